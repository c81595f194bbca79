# SPDX-License-Identifier: MIT
"""What the interpreters need, and how numbers are stored."""

import keras
import numpy as np
import pytest

from tf_diet.convert.arena import ALIGNMENT, _search
from tf_diet.convert.runtime import LiteRTRunner, MicroRunner
from tf_diet.convert.step_runner import _fed_back
from tf_diet.convert.tensor_spec import TensorDetails
from tf_diet.convert.tflite import to_tflite
from tf_diet.errors import ConversionError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)


@pytest.mark.parametrize("quantize", ["float32", "int8", "int16x8"])
def test_the_measured_arena_is_enough_and_no_less(
    converted, sequences, quantize
):
    lite = converted[quantize]
    arena = MicroRunner(lite).arena_bytes
    snug = MicroRunner(lite, arena_bytes=arena)
    np.testing.assert_array_equal(
        snug.run(sequences), MicroRunner(lite).run(sequences)
    )
    assert ("yes", arena) in _search(lite.data, 0, arena)[0]
    less = arena - ALIGNMENT
    assert ("yes", less) not in _search(lite.data, less - ALIGNMENT, less)[0]
    with pytest.raises(ConversionError, match=f"arena_bytes={less:,}"):
        MicroRunner(lite, arena_bytes=less)


@pytest.mark.parametrize("arena", [0, 16, 1000])
def test_an_arena_that_would_crash_is_not_tried(converted, arena):
    with pytest.raises(ConversionError, match=f"arena_bytes={arena:,}. This"):
        MicroRunner(converted["int8"], arena_bytes=arena)


def test_runs_start_from_zero(converted, sequences):
    runner = MicroRunner(converted["int16x8"])
    first = runner.run(sequences)
    np.testing.assert_array_equal(runner.run(sequences), first)


def test_operators_are_checked_before_anything_runs():
    x = keras.Input((4,), batch_size=1, name="x")
    model = keras.Model(x, keras.activations.gelu(x, approximate=False))
    with pytest.raises(ConversionError, match="the operator GELU"):
        MicroRunner(to_tflite(model))
    assert LiteRTRunner(to_tflite(model)).step({"x": np.ones(4)})


def test_a_form_of_an_operator_that_is_missing():
    """Known by name, but not for 8-bit weights and float activations."""

    lite = pytest.importorskip("tensorflow").lite

    def dynamic(converter, samples):
        converter.optimizations = [lite.Optimize.DEFAULT]

    x = keras.Input((64,), batch_size=1, name="x")
    model = keras.Model(x, keras.layers.Dense(64)(x))
    with pytest.raises(ConversionError, match="FLOAT32 with filter type: INT8"):
        MicroRunner(to_tflite(model, dynamic))


INT8 = TensorDetails("x", 0, (1, 3), "int8", scale=0.1, zero_point=10)
INT16 = TensorDetails("y", 0, (1, 3), "int16", scale=0.001)


def test_integers_are_rounded_shifted_and_clipped():
    stored = INT8.encode([0.04, -0.06, 1e9])
    assert stored.dtype == np.int8
    assert stored.tolist() == [[10, 9, 127]]
    assert INT16.encode([-1e9, 0.0, 1.0]).tolist() == [[-32768, 0, 1000]]
    np.testing.assert_allclose(INT8.decode(stored)[0, :2], [0.0, -0.1])


def test_states_of_another_scale_are_requantised():
    stored = np.array([[1000, -500, 100]], np.int16)
    fed = _fed_back(stored, INT16, INT8)
    assert fed.dtype == np.int8
    assert fed.tolist() == [[20, 5, 11]]
    assert _fed_back(stored, INT16, INT16) is not None
    np.testing.assert_array_equal(_fed_back(stored, INT16, INT16), stored)
