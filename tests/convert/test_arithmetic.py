# SPDX-License-Identifier: MIT
"""Products are counted by the arithmetic that a file really does."""

import keras
import numpy as np
import pytest

from tf_diet.convert.arithmetic import Products, products, stored_as
from tf_diet.convert.flatbuffer_writing import without_inner_names
from tf_diet.convert.tflite import to_tflite
from tf_diet.convert.tflite_graph import read

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
layers = keras.layers


@pytest.fixture(scope="module")
def dense():
    keras.utils.set_random_seed(0)
    x = keras.Input((64,), name="x")
    return keras.Model(x, layers.Dense(32)(layers.Dense(64)(x)))


def calibration():
    return np.random.default_rng(0).normal(size=(30, 64)).astype("float32")


def float_ends(converter, samples):
    """As files of other tools often are: int8 inside, floats outside."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples


@pytest.mark.parametrize(
    ("how", "arithmetic"),
    [
        ("float32", "float32"),
        ("float16", "float32"),
        ("wi8", "float32"),
        ("dynamic", "int8"),
        ("int8", "int8"),
        ("int16x8", "int16x8"),
        (float_ends, "int8"),
    ],
)
def test_the_arithmetic_is_read_from_the_tensors(dense, how, arithmetic):
    lite = to_tflite(dense, how, calibration())
    count = 64 * 64 + 64 * 32
    assert products(lite.data) == (Products(arithmetic, "dense", count),)
    assert stored_as(lite.data) == arithmetic


def test_convolutions_and_products_are_told_apart():
    x = keras.Input((10, 4, 3), batch_size=1, name="x")
    y = layers.Conv2D(5, (3, 2), padding="same")(x)
    y = layers.DepthwiseConv2D((2, 1), padding="same")(y)
    y = layers.Flatten()(y)
    found = products(to_tflite(keras.Model(x, layers.Dense(2)(y))).data)
    assert set(found) == {
        Products("float32", "convolution", 40 * (5 * 6 * 3 + 5 * 2)),
        Products("float32", "dense", 200 * 2),
    }


def test_a_loop_counts_as_often_as_it_turns():
    import tensorflow as tf

    x = keras.Input((20, 4), batch_size=1, name="x")
    model = keras.Model(x, layers.Dense(2)(layers.GRU(8)(x)))
    data = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    assert "WHILE" in {op.name for op in read(data)[0].operators}
    found = products(data)
    assert sum(p.count for p in found) == 20 * (4 * 24 + 8 * 24) + 8 * 2


def test_tensors_without_names_are_read(dense):
    data = without_inner_names(to_tflite(dense).data)
    names = {t.name for t in read(data)[0].tensors}
    assert "" in names
    assert products(data) == products(to_tflite(dense).data)
