# SPDX-License-Identifier: MIT
"""Inputs that are drawn at random are such that the model gives something."""

import keras
import pytest
from keras import layers

import tf_diet
from tf_diet.testing import random_inputs


def patches():
    x = keras.Input((None, 1))
    h = layers.Conv1D(8, 16, strides=16)(x)
    h = layers.GRU(8, return_sequences=True)(h)
    return keras.Model(x, layers.Dense(3)(h))


def two_rates():
    slow, fast = keras.Input((None, 3)), keras.Input((None, 1))
    h = layers.UpSampling1D(4)(layers.Dense(8)(slow))
    h = layers.Concatenate()([h, layers.Dense(8)(fast)])
    return keras.Model([slow, fast], layers.Dense(2)(h))


def spectrogram():
    x = keras.Input((None,))
    h = layers.MelSpectrogram(fft_length=64, num_mel_bins=8)(x)
    h = layers.Dense(8)(layers.Permute((2, 1))(h))
    return keras.Model(x, layers.Dense(3)(h))


@pytest.mark.parametrize("build", [patches, two_rates, spectrogram])
def test_a_right_plan_is_verified_without_data(build):
    keras.utils.set_random_seed(0)
    model = build()
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    assert tf_diet.verify(model, plan.apply(model), plan) < 1e-5


def test_what_takes_any_length_gets_twelve():
    x = keras.Input((None, 2))
    assert random_inputs(keras.Model(x, layers.Dense(3)(x))).shape == (2, 12, 2)


def test_frames_beside_samples():
    slow, fast = random_inputs(two_rates())
    assert fast.shape[1] == 4 * slow.shape[1]
