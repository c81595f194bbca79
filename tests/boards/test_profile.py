# SPDX-License-Identifier: MIT
"""Profiles count what is in the file."""

import dataclasses

import keras
import pytest

from tf_diet.boards.board import get
from tf_diet.boards.fit import fits
from tf_diet.boards.profiling import profile
from tf_diet.convert.arithmetic import products
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.errors import InputError


def multiply_accumulates(data):
    return sum(found.count for found in products(data))


pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)


@pytest.mark.parametrize("quantize", ["float32", "int16x8"])
def test_counts(dense, quantize):
    found = profile(dense[quantize], runs=20)
    assert found.parameters == 8 * 20 + 20 + 20 * 5 + 5
    assert found.multiply_accumulates == 8 * 20 + 20 * 5
    assert found.ops == {"FULLY_CONNECTED": 2, "TANH": 1}
    assert found.n_ops == 3
    assert found.bytes == len(dense[quantize])
    assert found.arena_bytes > 0
    for word in (quantize, "285", "260 a call", "2 FULLY_CONNECTED, 1 TANH"):
        assert word in repr(found)


def test_convolutions_are_counted_at_every_position():
    layers = keras.layers
    x = keras.Input((10, 4, 3), batch_size=1, name="x")
    y = layers.Conv2D(5, (3, 2), padding="same")(x)
    y = layers.DepthwiseConv2D((2, 1), padding="same")(y)
    model = keras.Model(x, layers.Conv2DTranspose(2, (3, 1), strides=2)(y))
    count = multiply_accumulates(to_tflite(model).data)
    assert count == 40 * (5 * 6 * 3 + 5 * 2 + 5 * 3 * 2)


def test_products_of_two_inputs():
    a = keras.Input((4, 6), batch_size=1, name="a")
    b = keras.Input((6, 2), batch_size=1, name="b")
    model = keras.Model([a, b], keras.ops.matmul(a, b))
    assert multiply_accumulates(to_tflite(model).data) == 4 * 6 * 2


def test_a_step_model_is_converted():
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, keras.layers.GRU(4, return_sequences=True)(x))
    step = to_streaming(model, sample_rate=8000)
    found = profile(step, runs=5, hop=80)
    assert found.multiply_accumulates == 3 * 12 + 4 * 12
    latency = found.latency
    assert latency.real_time_factor == pytest.approx(latency.p50_us / 1e4)


def test_what_tflite_micro_cannot_run_is_said():
    x = keras.Input((4,), batch_size=1, name="x")
    model = keras.Model(x, keras.ops.power(keras.ops.abs(x), 2.3))
    found = profile(to_tflite(model).data, runs=5)
    assert found.arena_bytes is None
    assert "POW" in found.micro_problem
    assert "cannot run: TFLite Micro cannot run the operator POW" in repr(found)


def test_a_keras_model_is_sent_to_be_converted():
    with pytest.raises(InputError, match=r"Received: Sequential.*to_tflite"):
        profile(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


def test_sound_is_not_assumed(dense):
    found = profile(dense["float32"], runs=5)
    assert found.latency.real_time_factor is None
    assert found.hop is None
    assert found.sample_rate is None
    assert "real-time" not in repr(found)
    assert profile(
        dense["float32"], runs=5, hop=1, sample_rate=10
    ).latency.real_time_factor == pytest.approx(0, abs=0.1)
    with pytest.raises(InputError, match=r"hop=4, sample_rate=None"):
        profile(dense["float32"], hop=4)


def test_a_step_of_sound_knows_its_rate():
    """One call in 48,000 a second, without arguments."""
    x = keras.Input((None, 1), name="x")
    gru = keras.layers.GRU(4, return_sequences=True)(x)
    step = to_streaming(keras.Model(x, gru), 4, sample_rate=48000)
    for model in (step, to_tflite(step), to_tflite(step).data):
        found = profile(model, runs=5)
        latency = found.latency
        assert latency.real_time_factor == pytest.approx(
            latency.p50_us * 1e-6 * 48000 / 4, rel=0.01
        )
        low, high = fits(found, "pi-4").load
        calls = 48000 / 4
        assert low == pytest.approx(
            fits(found, "pi-4").call_ms[0] * calls / 1e3
        )
        assert high >= low


def test_the_arithmetic_decides_and_not_the_name(dense):
    found = profile(dense["int16x8"], runs=5)
    assert [(p.arithmetic, p.kind) for p in found.products] == [
        ("int16x8", "dense")
    ]
    renamed = dataclasses.replace(found, quantize="my_own")
    assert get("pico").call_seconds(renamed) == get("pico").call_seconds(found)
    assert fits(renamed, "pico").ram_needed == (
        found.board_arena_bytes["Arduino_TensorFlowLite"] + 16_000
    )
