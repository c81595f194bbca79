# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from tf_diet.audio import mu_law


def test_every_code_survives_the_round_trip():
    codes = np.arange(256)
    np.testing.assert_array_equal(mu_law.encode(mu_law.decode(codes)), codes)


def test_silence_is_the_middle_code():
    assert mu_law.encode(np.zeros(3)).tolist() == [mu_law.SILENCE] * 3
    assert abs(mu_law.decode(mu_law.SILENCE)) < 2e-4


def test_the_error_is_small_and_without_offset():
    audio = np.random.default_rng(0).uniform(-1, 1, 100_000)
    error = mu_law.decode(mu_law.encode(audio)) - audio
    assert abs(error.mean()) < 1e-4
    noise_db = 10 * np.log10(np.mean(error**2) / np.mean(audio**2))
    assert noise_db < -37


def test_beyond_full_scale_is_clipped():
    assert mu_law.encode([-3.0, 3.0]).tolist() == [0, 255]
    assert mu_law.decode([0, 255]).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("classes", [256, 64])
def test_the_teacher_shifts_by_one(classes):
    codes = np.array([[5, 6, 7], [1, 2, 3]])
    inputs, targets = mu_law.teacher(codes, classes)
    np.testing.assert_array_equal(targets, codes)
    half = classes // 2
    assert inputs.tolist() == [[half, 5, 6], [half, 1, 2]]
