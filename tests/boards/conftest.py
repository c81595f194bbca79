# SPDX-License-Identifier: MIT
"""A small dense model in two quantizations, with known counts."""

import keras
import numpy as np
import pytest

from tf_diet.convert.tflite import to_tflite


@pytest.fixture(scope="session")
def dense():
    keras.utils.set_random_seed(1)
    noisy = keras.initializers.RandomNormal(0.0, 1.0, seed=1)
    model = keras.Sequential(
        [
            keras.Input((8,), name="x"),
            keras.layers.Dense(20, "tanh", bias_initializer=noisy),
            keras.layers.Dense(5, bias_initializer=noisy),
        ]
    )
    name = model.inputs[0].name
    calls = [
        {name: row} for row in np.random.default_rng(0).normal(size=(50, 8))
    ]
    return {q: to_tflite(model, q, calls) for q in ("float32", "int16x8")}
