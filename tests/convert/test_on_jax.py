# SPDX-License-Identifier: MIT
"""Conversion from Keras' JAX backend, by LiteRT's own converter."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.convert.runtime import LiteRTRunner, MicroRunner
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError

pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "jax", reason="converts with JAX"
    ),
    pytest.mark.slow,
]
HEADS = {
    "dense": lambda h: layers.Dense(4, "relu")(h),
    "normalization": lambda h: layers.LayerNormalization()(h),
    "gru": lambda h: layers.GRU(5)(h),
    "attention": lambda h: layers.MultiHeadAttention(2, 4)(h, h),
    "lost relu": lambda h: ops.relu(
        ops.matmul(layers.Flatten()(h), ops.transpose(layers.Flatten()(h)))
    ),
}


@pytest.mark.parametrize("quantize", ["float32", "wi8"])
@pytest.mark.parametrize("head", HEADS)
def test_a_whole_model(head, quantize):
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 8), name="x", batch_size=1)
    h = HEADS[head](layers.Conv1D(8, 3)(x))
    model = keras.Model(x, layers.Flatten(name="y")(h))
    lite = to_tflite(model, quantize)
    assert TFLiteModel.from_bytes(lite.data) == lite
    assert lite.fidelity.rms_error < {"float32": 1e-5, "wi8": 0.03}[quantize]
    data = np.random.default_rng(0).normal(size=(1, 12, 8))
    wanted = keras.ops.convert_to_numpy(model(data))
    got = LiteRTRunner(lite).step({"x": data})["y"]
    np.testing.assert_allclose(
        got, wanted, atol=0.1 * np.abs(wanted).max(), rtol=0
    )
    if head == "dense":
        micro = MicroRunner(lite).step({"x": data})["y"]
        np.testing.assert_allclose(micro, got, atol=1e-5)


def test_a_step_model_keeps_names_and_order():
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((None, 2), name=name) for name in ("b", "a")]
    x = layers.Concatenate()(inputs)
    x = layers.GRU(6, return_sequences=True, name="gru")(x)
    model = keras.Model(inputs, layers.Dense(3, name="y")(x))
    lite = to_tflite(to_streaming(model))
    assert [d.name for d in lite.inputs] == ["b", "a", "gru_state"]
    assert [d.name for d in lite.outputs] == ["y", "gru_state_next"]
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=(30, 2)) for name in ("b", "a")}
    wanted = model([data[name][None] for name in ("b", "a")])[0]
    got = LiteRTRunner(lite).run(data)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_what_tensorflow_does_is_refused_by_name():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(
        ConversionError, match=r"'int8'.*jax.*float32, wi4, wi8"
    ):
        to_tflite(model, "int8", np.random.default_rng(0).normal(size=(9, 3)))
