# SPDX-License-Identifier: MIT
"""Loops over time give compiled what they give operation by operation."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.graph import loops as module
from tf_diet.graph.forward import ForwardPass
from tf_diet.graph.walk import walk

TENSORFLOW = keras.backend.backend() == "tensorflow"


def recurrent():
    x = keras.Input((7, 3))
    sequence, state = layers.GRU(
        5, return_sequences=True, return_state=True, reset_after=False
    )(x)
    y = layers.LSTM(5, go_backwards=True, return_sequences=True)(
        sequence, initial_state=[state, state]
    )
    return keras.Model(x, layers.SimpleRNN(4)(y))


def masked():
    x = keras.Input((7,), dtype="int32")
    y = layers.Embedding(6, 4, mask_zero=True)(x)
    return keras.Model(x, layers.GRU(5)(y))


def half():
    x = keras.Input((7, 3), dtype="float16")
    return keras.Model(x, layers.GRU(4, dtype="mixed_float16")(x))


def inputs(model, seed):
    rng = np.random.default_rng(seed)
    (spec,) = model.inputs
    shape = (4, *spec.shape[1:])
    if "int" in spec.dtype:
        return rng.integers(0, 3, shape).astype(spec.dtype)
    return rng.normal(size=shape).astype(spec.dtype)


@pytest.mark.parametrize(
    ("build", "compiled"), [(recurrent, 3), (masked, 0), (half, 1)]
)
def test_compiled_loops_are_the_layers(build, compiled, monkeypatch):
    keras.utils.set_random_seed(0)
    model = build()
    names = [variable.path for variable in model.variables]
    made = []
    begin = module._Loop.__init__

    def counted(loop, operation):
        made.append(operation)
        begin(loop, operation)

    monkeypatch.setattr(module._Loop, "__init__", counted)
    walked = walk(model)
    passes = ForwardPass(walked)
    for seed in range(2):
        x = inputs(model, seed)
        (got,) = passes.run([x], walked.outputs).values()
        wanted = keras.ops.convert_to_numpy(model(x, training=False))
        assert got.dtype == wanted.dtype
        tolerance = 2e-3 if got.dtype == np.float16 else 1e-6
        np.testing.assert_allclose(got, wanted, atol=tolerance)
    # Once for all batches, where the backend does not do it of its own.
    assert len(made) == (compiled if TENSORFLOW else 0)
    # The layers are as they were.
    assert [variable.path for variable in model.variables] == names
    assert len(walk(model).calls) == len(walked.calls)
