# SPDX-License-Identifier: MIT
"""Units are seen wherever they are: nested, shared, recurrent, returned."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.criteria import Activation, MutualInformation, rank
from tf_diet.graph.build import build

EXAMPLES = 200


def activations(model, x, reduce="sum"):
    return rank(model, build(model), x, Activation(reduce)).values


def sizes(values):
    return np.abs(keras.ops.convert_to_numpy(values)).mean(axis=0)


def draw(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("depth", [1, 2])
def test_units_of_nested_models(depth):
    h = keras.Input((4,))
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, "tanh", name="units")], name="inner"
    )
    block = inner
    for level in range(depth - 1):
        x = keras.Input((4,))
        block = keras.Model(x, inner(x), name=f"around_{level}")
    model = keras.Model(h, layers.Dense(1)(block(h)))
    x = draw(EXAMPLES, 4)
    (values,) = activations(model, x).values()
    np.testing.assert_allclose(values, sizes(inner(x)), rtol=1e-5)


def test_units_of_a_shared_layer_are_seen_at_every_call():
    left, right = (
        keras.Input((4,), name="left"),
        keras.Input((4,), name="right"),
    )
    shared = layers.Dense(6, "relu", name="units")
    both = layers.Concatenate()([shared(left), shared(right)])
    model = keras.Model([left, right], layers.Dense(1)(both))
    x = draw(EXAMPLES, 4)
    # The other side sees inputs ten times as large.
    scores = activations(model, [x, 10 * x], "max")["units"]
    np.testing.assert_allclose(scores, sizes(shared(10 * x)), rtol=1e-5)


def test_a_nested_model_called_twice():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, "relu", name="units")]
    )
    x = keras.Input((4,))
    both = layers.Add()([inner(x), inner(layers.Rescaling(3.0)(x))])
    model = keras.Model(x, layers.Dense(1)(both))
    data = draw(EXAMPLES, 4)
    (values,) = activations(model, data, "max").values()
    np.testing.assert_allclose(values, sizes(inner(3 * data)), rtol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.SimpleRNN(6, name="units"),
        lambda: layers.GRU(6, name="units"),
        lambda: layers.LSTM(6, name="units"),
        lambda: layers.RNN(layers.GRUCell(6), name="units"),
        lambda: layers.Bidirectional(
            layers.GRU(6), merge_mode="sum", name="units"
        ),
    ],
    ids=["SimpleRNN", "GRU", "LSTM", "cell", "Bidirectional"],
)
def test_units_of_recurrent_layers(layer):
    x = keras.Input((5, 3))
    made = layer()
    model = keras.Model(x, layers.Dense(1)(made(x)))
    data = draw(EXAMPLES, 5, 3)
    scores = activations(model, data, "max")
    wanted = sizes(made(data))
    found = [v for v in scores.values() if v.shape == wanted.shape]
    assert any(np.allclose(v, wanted, rtol=1e-5) for v in found)


def test_states_that_are_returned_are_seen():
    x = keras.Input((5, 3))
    lstm = layers.LSTM(6, return_state=True, name="units")
    _, hidden, carried = lstm(x)
    out = layers.Dense(1)(layers.Concatenate()([hidden, carried]))
    model = keras.Model(x, out)
    data = draw(EXAMPLES, 5, 3)
    _, hidden, carried = lstm(data)
    seen = np.maximum(sizes(hidden), sizes(carried))
    scores = activations(model, data, "max")["units"]
    np.testing.assert_allclose(scores, seen, rtol=1e-5)


def test_the_state_that_knows_a_frame_is_found():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((EXAMPLES, 40, 3)).astype(np.float32)
    frames = keras.Input((40, 3))
    rnn = layers.SimpleRNN(
        3, activation="linear", return_sequences=True, name="units"
    )
    model = keras.Model(frames, layers.Dense(1)(rnn(frames)))
    # Unit 1 sums what it hears, the others pass their input on.
    rnn.set_weights([np.eye(3), np.diag([0.0, 0.9, 0.0]), np.zeros(3)])
    heard = np.zeros((EXAMPLES, 40))
    for time in range(40):
        heard[:, time] = 0.9 * heard[:, max(time - 1, 0)] + x[:, time, 1]
    scores = rank(
        model, build(model), (x, heard[..., None]), MutualInformation()
    )
    values = scores.values["units"]
    assert values[1] > 2
    assert max(values[0], values[2]) < 0.01
