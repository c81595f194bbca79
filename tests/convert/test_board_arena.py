# SPDX-License-Identifier: MIT
"""The arena of a board is a bound between what is needed and this machine's."""

import keras
import numpy as np
import pytest

from tf_diet.convert.arena import smallest_arena
from tf_diet.convert.board_arena import board_arena
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
layers = keras.layers


def image():
    x = keras.Input((16, 16, 3), name="x")
    y = layers.Conv2D(8, 3, activation="relu")(x)
    y = layers.DepthwiseConv2D(3, activation="relu")(y)
    y = layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, layers.Dense(4, "softmax")(y))


def test_a_step_needs_less_than_on_this_machine():
    x = keras.Input((None, 2), name="x")
    gru = layers.GRU(32, return_sequences=True)(x)
    step = to_streaming(keras.Model(x, layers.Dense(4)(gru)))
    data = to_tflite(step).data
    here = smallest_arena(data)
    assert board_arena(data) == here - (here - board_arena(data)) // 16 * 16
    # 4,416 and 4,176 bytes in the Arduino library of 2023 and in that of the
    # ESP32, built for 32 bits.
    assert 4416 <= board_arena(data) <= 5300 < here


def test_kernels_of_boards_need_scratch_memory():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 16, 16, 3)).astype("float32")
    data = to_tflite(image(), "int8", x).data
    plain = smallest_arena(data)
    # CMSIS-NN: two columns of 3 x 3 x 3 numbers, or 2 x 3 x 3 x 8 bytes.
    saved = plain + 144 - board_arena(data)
    assert 0 < saved < 800
    # ESP-NN copies input and kernel with their borders.
    assert board_arena(data, "esp-tflite-micro") > plain + 19 * 19 * 16
    floats = to_tflite(image()).data
    assert board_arena(floats) == board_arena(floats, "esp-tflite-micro")
