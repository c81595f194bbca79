# SPDX-License-Identifier: MIT
"""A room is a convolution that stays the same."""

import keras
import numpy as np
import pytest

from tf_diet.audio.synthesis import Reverb
from tf_diet.errors import InputError


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("samples", [5, 37, 64, 200])
@pytest.mark.parametrize("length", [2, 37, 64])
def test_it_is_the_convolution_with_its_taps(samples, length):
    layer = Reverb(length)
    sound = noise(2, samples)
    layer.build(sound.shape)
    taps = noise(length - 1, seed=1)
    layer.taps.assign(taps)
    response = np.concatenate([[1.0], taps])
    wanted = [np.convolve(s, response)[:samples] for s in sound]
    np.testing.assert_allclose(np.asarray(layer(sound)), wanted, atol=1e-4)


def test_every_call_is_in_the_same_room(tmp_path):
    x = keras.Input((None,))
    model = keras.Model(x, Reverb(50, seed=3)(x))
    sound = noise(1, 120)
    first = model.predict(sound, verbose=0)
    np.testing.assert_array_equal(model.predict(sound, verbose=0), first)
    in_training = np.asarray(model(sound, training=True))
    np.testing.assert_allclose(in_training, first, atol=1e-6)
    model.save(tmp_path / "room.keras")
    again = keras.models.load_model(tmp_path / "room.keras")
    np.testing.assert_array_equal(again.predict(sound, verbose=0), first)
    # It starts all but dry.
    assert 0 < np.abs(first - sound).max() < 0.01


@pytest.mark.slow
def test_the_room_is_learned():
    x = keras.Input((None,))
    model = keras.Model(x, Reverb(16)(x))
    model.compile(keras.optimizers.Adam(0.05), "mse")
    sound = noise(8, 100)
    echo = np.pad(sound, ((0, 0), (5, 0)))[:, :100]
    model.fit(sound, sound + 0.6 * echo, epochs=150, verbose=0)
    (taps,) = model.get_weights()
    wanted = np.zeros(15)
    wanted[4] = 0.6
    np.testing.assert_allclose(taps, wanted, atol=0.05)


def test_what_is_no_sound():
    with pytest.raises(InputError, match=r"sounds \(batch, samples\)"):
        Reverb(10)(noise(1, 5, 1))
    with pytest.raises(InputError, match="two taps or more"):
        Reverb(1)(noise(1, 5))
