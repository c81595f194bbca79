# SPDX-License-Identifier: MIT
"""One small recurrent decoder, its sequences and its conversions."""

import keras
import numpy as np
import pytest

from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite

FRAMES = 200


def decoder(reset_after=True):
    """Two MLPs, a GRU and a head, like a small DDSP decoder."""
    layers = keras.layers
    inputs = {
        "pitch": keras.Input((None, 1), name="pitch"),
        "level": keras.Input((None, 1), name="level"),
    }
    read = [
        layers.Dense(12, activation="relu", name=f"{name}_mlp")(tensor)
        for name, tensor in inputs.items()
    ]
    x = layers.Concatenate(name="features")(read)
    x = layers.GRU(
        16,
        return_sequences=True,
        reset_after=reset_after,
        bias_initializer=keras.initializers.RandomNormal(0.0, 0.5),
        name="gru",
    )(x)
    x = layers.Concatenate(name="context")([x, *read])
    x = layers.Dense(10, name="controls")(x)
    return keras.Model(inputs, x, name="decoder")


def moving(seed, frames=FRAMES):
    """Pitch and level as they go in a melody: steps and slow waves."""
    rng = np.random.default_rng(seed)
    notes = np.repeat(rng.uniform(0.4, 0.8, frames // 20 + 1), 20)[:frames]
    waves = 0.5 + 0.5 * np.sin(np.arange(frames) / 9.0 + rng.uniform(0, 6))
    return {
        "pitch": notes.astype("float32")[:, None],
        "level": waves.astype("float32")[:, None],
    }


@pytest.fixture(scope="session")
def melody():
    """A function of a seed and a number of frames."""
    return moving


@pytest.fixture(scope="session")
def model():
    keras.utils.set_random_seed(3)
    return decoder()


@pytest.fixture(scope="session")
def streaming(model):
    return to_streaming(model)


@pytest.fixture(scope="session")
def sequences():
    return moving(seed=1)


@pytest.fixture(scope="session")
def calibration():
    return [moving(seed) for seed in range(10, 15)]


@pytest.fixture(scope="session")
def offline(model, sequences):
    batch = {name: values[None] for name, values in sequences.items()}
    return keras.ops.convert_to_numpy(model(batch))[0]


@pytest.fixture(scope="session")
def converted(streaming, calibration):
    """The decoder in every shipped quantization."""
    return {
        name: to_tflite(streaming, name, calibration)
        for name in ("float32", "int8", "int16x8")
    }
