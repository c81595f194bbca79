# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from tf_diet.criteria.alignment import BANDS, Target
from tf_diet.errors import InputError


def centres(count, size):
    return (np.arange(count)[:, None] + 0.5) * size / count / size


def test_a_tone_is_found_in_its_band_at_its_time():
    rate, length = 16000, 16000
    time = np.arange(length) / rate
    audio = np.zeros((2, length))
    audio[1] = np.sin(2 * np.pi * np.where(time < 0.5, 500, 4000) * time)
    for signal in (audio, audio[..., None]):
        target = Target(signal)
        assert target.spectral((100,))
        assert not target.whole
        where = np.array([[0.25], [0.75]])
        bands = target.at(np.array([1, 1]), where, (100,))
        assert bands.shape == (2, bands.shape[1])
        assert 32 <= bands.shape[1] <= BANDS
        low, high = bands.argmax(axis=1)
        # Bands widen, and stand in order of frequency.
        assert 4 < low < high
        # The window is centred: at the edge half of it is silence.
        edge = target.at(np.array([1]), np.array([[1e-9]]), (100,))
        middle = bands[0, low]
        assert edge[0, low] == pytest.approx(middle + np.log(0.5), abs=0.15)


def test_silence_has_a_floor_that_follows_the_level():
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((2, 4096))
    audio[1] *= 1e-6
    examples, where = np.array([0, 1]), np.full((2, 1), 0.5)
    loud = Target(audio).at(examples, where, (16,))
    soft = Target(audio * 1e-3).at(examples, where, (16,))
    np.testing.assert_allclose(loud - soft, np.log(1e6), rtol=1e-6)
    # Noise 120 dB below the rest is silence.
    assert np.ptp(loud[1]) < 1e-3
    assert np.isfinite(Target(0 * audio).at(examples, where, (16,))).all()


def test_a_layer_without_time_sees_the_mean_spectrum():
    audio = np.random.default_rng(1).standard_normal((3, 8192))
    target = Target(audio)
    bands = target.at(np.arange(3), np.zeros((3, 0)), ())
    assert bands.shape[0] == 3
    assert "averaged over time" in target.describe(())
    louder = Target(audio * np.array([[1], [1], [3]]))
    gain = louder.at(np.arange(3), np.zeros((3, 0)), ()) - bands
    np.testing.assert_allclose(gain[2], np.log(9), atol=1e-3)


def test_units_at_the_rate_of_the_signal_are_paired_with_samples():
    codes = np.arange(2 * 2000).reshape(2, 2000)
    target = Target(codes)
    assert not target.spectral((2000,))
    assert not target.spectral((1998,))
    places = np.array([0, 7, 1999])
    where = (places[:, None] + 0.5) / 2000
    y = target.at(np.array([0, 1, 1]), where, (2000,))
    np.testing.assert_array_equal(y, [0, 2007, 3999])
    assert y.dtype.kind == "i"


def test_sequences_are_paired_at_the_nearest_position():
    y = np.arange(2 * 10 * 3.0).reshape(2, 10, 3)
    target = Target(y)
    assert not target.whole
    same = target.at(np.array([1]), np.array([[0.35]]), (10,))
    np.testing.assert_array_equal(same, y[1, 3:4])
    # Units that are coarser, finer or without positions.
    coarse = target.at(np.array([0, 0]), np.array([[0.25], [0.75]]), (2,))
    np.testing.assert_array_equal(coarse, y[0, [2, 7]])
    fine = target.at(np.array([0]), np.array([[0.999]]), (500,))
    np.testing.assert_array_equal(fine, y[0, 9:])
    none = target.at(np.array([0]), np.zeros((1, 0)), ())
    np.testing.assert_allclose(none, y[0].mean(axis=0)[None])


def test_images_are_paired_along_both_axes():
    y = np.arange(4 * 6.0).reshape(1, 4, 6, 1)
    where = np.array([[0.3, 0.9]])
    assert Target(y).at(np.array([0]), where, (8, 8)) == [y[0, 1, 5, 0]]
    # A layer that knows rows only is compared with the mean of the row.
    row = Target(y).at(np.array([0]), where[:, :1], (8,))
    np.testing.assert_allclose(row, y[0, 1].mean())


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 10), (5, 1000)])
def test_one_target_an_example(shape):
    y = np.arange(np.prod(shape)).reshape(shape)
    target = Target(y)
    assert target.whole
    picked = target.at(np.array([4, 0]), np.zeros((2, 0)), (7,))
    expected = y[:, 0] if shape == (5, 1) else y
    np.testing.assert_array_equal(picked, expected[[4, 0]])


def test_codes_of_positions_are_told_from_vectors_by_the_model():
    codes = np.arange(2 * 64).reshape(2, 64)
    assert Target(codes).whole
    assert Target(codes, outputs=[(None, 64)]).whole
    assert Target(codes, outputs=[(None, 32, 256)]).whole
    assert Target(codes[:, 0], outputs=[(None, 256)]).whole
    for output in ((None, 64, 256), (None, None, 256)):
        target = Target(codes, outputs=[(None, 9), output])
        assert not target.whole
        y = target.at(np.array([1]), np.array([[0.5 / 64]]), (64,))
        np.testing.assert_array_equal(y, [64])


def test_own_features_replace_the_target():
    y = np.random.default_rng(2).standard_normal((4, 3000))
    target = Target(y, lambda y: np.abs(y).reshape(4, 30, 100).mean(axis=2))
    assert target.whole
    target = Target(y, lambda y: np.abs(y).reshape(4, 30, 100))
    assert not target.whole
    assert not target.spectral((30,))
    assert "target at the unit's position" in target.describe((30,))
    for bad in (lambda y: y[:2], lambda y: np.nan * y, lambda y: 3.0):
        with pytest.raises(InputError, match="target_features must return"):
            Target(y, bad)
