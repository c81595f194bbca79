# SPDX-License-Identifier: MIT
"""A forward pass gives what the model gives, and leaves it as it was."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.graph.forward import ForwardPass, needed
from tf_diet.graph.walk import walk


def net(batch=None):
    """Noise with a state, statistics, a merged axis and two inputs."""
    one = keras.Input((6, 4), batch_size=batch, name="one")
    two = keras.Input((4,), batch_size=batch, name="two")
    x = layers.BatchNormalization(name="norm")(one)
    x = layers.Dropout(0.5, seed=1)(x)
    x = keras.ops.reshape(x, (-1, 4))
    x = layers.Dense(5, name="merged")(x)
    x = layers.Dense(3, name="after")(keras.ops.reshape(x, (-1, 30)))
    y = layers.Dense(3, name="side")(two)
    return keras.Model([one, two], layers.Add()([x, y]))


def data(examples):
    rng = np.random.default_rng(0)
    shapes = ((examples, 6, 4), (examples, 4))
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def key(walked, name):
    (call,) = [c for c in walked.calls if c.operation.name == name]
    return call.outputs[0]


@pytest.mark.parametrize(
    ("batch", "size"), [(None, None), (None, 8), (4, None)]
)
def test_tensors_are_those_of_the_model(batch, size):
    model = net(batch)
    walked = walk(model)
    inputs = data(3)
    passes = ForwardPass(walked)
    keys = [key(walked, "merged"), *walked.outputs, walked.inputs[1]]
    found = passes.run(inputs, keys, size=size)
    filled = [np.resize(x, (batch or 3, *x.shape[1:])) for x in inputs]
    wanted = keras.ops.convert_to_numpy(model(filled))[:3]
    np.testing.assert_allclose(found[walked.outputs[0]], wanted, atol=1e-6)
    np.testing.assert_array_equal(found[walked.inputs[1]], inputs[1])
    # Six positions of each example, merged into one axis.
    assert found[key(walked, "merged")].shape == (18, 5)


def test_states_are_put_back():
    model = net()
    before = [np.array(v) for v in model.variables]
    passes = ForwardPass(walk(model))
    with passes.restoring():
        for _ in range(2):
            passes.run(data(3), passes.walk.outputs)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)


def test_no_more_is_run_than_is_asked_for():
    walked = walk(net())
    calls = needed(walked, [key(walked, "side")])
    assert [walked.calls[index].operation.name for index in calls] == ["side"]


def test_the_peak_counts_what_is_alive_at_a_time():
    x = keras.Input((10,))
    wide = layers.Dense(1000)(x)
    model = keras.Model(x, layers.Dense(2)(layers.Dense(10)(wide)))
    peak = ForwardPass(walk(model)).peak_bytes([np.zeros((3, 10), "float32")])
    # The input is gone once the wide layer has run, which is read by one more.
    assert peak == 4 * 3 * (1000 + 10)
