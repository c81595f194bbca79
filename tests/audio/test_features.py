# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from tf_diet.audio import features
from tf_diet.errors import InputError

RATE = 16000
HOP = 160


def tone(frequency, seconds=0.6, amplitude=0.1):
    """A sine; the frequency is one number, or one a sample."""
    frequency = np.broadcast_to(frequency, int(seconds * RATE))
    return amplitude * np.sin(2 * np.pi * np.cumsum(frequency) / RATE)


def cents(found, expected):
    return 1200 * np.log2(found / expected)


def fundamental(audio, low=300, high=700):
    return features.fundamental(audio, RATE, HOP, low=low, high=high)


@pytest.mark.slow
def test_pitch_of_a_tone():
    f0, voiced = fundamental(tone(440))
    assert f0.shape == voiced.shape == (60,)
    assert f0.dtype == np.float32
    assert voiced.all()
    assert np.abs(cents(f0, 440)).max() < 10


def test_frame_m_holds_the_pitch_at_the_end_of_block_m():
    glide = 400 * 2 ** np.linspace(0, 0.5, int(0.6 * RATE))
    f0, _ = fundamental(tone(glide))
    error = cents(f0[4:-5], glide[HOP::HOP][4:-4])
    # One frame early or late is 10 cents, all in one direction.
    assert np.abs(np.median(error)) < 3


def test_unvoiced_frames_are_bridged():
    gap = np.zeros(int(0.3 * RATE))
    sound = np.concatenate([tone(400, 0.3), gap, tone(500, 0.3)])
    f0, voiced = fundamental(sound)
    assert voiced[:25].all()
    assert voiced[65:].all()
    assert not voiced[35:55].any()
    bridge = f0[35:55]
    assert np.all(np.diff(bridge) > 0)
    assert bridge[0] > 400
    assert bridge[-1] < 500
    # Straight in pitch: equal steps are equal ratios.
    np.testing.assert_allclose(np.diff(np.log(bridge), 2), 0, atol=1e-5)


def test_a_sound_without_pitch_is_given_the_middle_of_the_search():
    f0, voiced = fundamental(np.zeros(RATE // 2), low=200, high=800)
    assert not voiced.any()
    np.testing.assert_allclose(f0, 400, rtol=1e-5)


@pytest.mark.parametrize(
    ("low", "high"), [(300, 500), (0, 600), (-1, 600), (3000, 8000)]
)
def test_a_search_that_cannot_work_is_refused(low, high):
    with pytest.raises(InputError, match=f"Received: low={low}"):
        fundamental(tone(440), low=low, high=high)


def test_loudness_is_relative_to_a_sine_of_full_scale():
    level = features.loudness(tone(1000, amplitude=1), RATE, HOP)
    assert level.shape == (60,)
    assert level.dtype == np.float32
    np.testing.assert_allclose(level, 0, atol=0.15)


def test_loudness_of_twice_the_amplitude():
    quiet = features.loudness(tone(440, amplitude=0.1), RATE, HOP)
    loud = features.loudness(tone(440, amplitude=0.2), RATE, HOP)
    np.testing.assert_allclose(loud - quiet, 20 * np.log10(2), atol=1e-3)


# From the table of IEC 61672-1.
@pytest.mark.parametrize(
    ("frequency", "weight"), [(125, -16.1), (500, -3.2), (4000, 1.0)]
)
def test_loudness_is_a_weighted(frequency, weight):
    level = features.loudness(tone(frequency), RATE, HOP)
    np.testing.assert_allclose(level[5:-5], weight - 20, atol=0.3)


def test_loudness_adds_powers():
    one = features.loudness(tone(1000), RATE, HOP)
    both = features.loudness(tone(1000) + tone(3000), RATE, HOP)
    # A mean of dB over the spectrum would hardly rise here; A(3 kHz) = 1.2.
    expected = 10 * np.log10(1 + 10**0.12)
    np.testing.assert_allclose((both - one)[5:-5], expected, atol=0.1)


def test_loudness_has_a_floor():
    level = features.loudness(np.zeros(RATE), RATE, HOP)
    np.testing.assert_array_equal(level, features.FLOOR)


def test_a_step_in_loudness_lands_on_the_block_that_ends_there():
    sound = tone(1000, amplitude=0.5)
    sound[: 30 * HOP] *= 0.1
    level = features.loudness(sound, RATE, HOP)
    # Block 29 ends at the step: its frame hears half of the louder power.
    middle = 10 * np.log10((0.5**2 + 0.05**2) / 2)
    assert abs(level[29] - middle) < 0.3
    np.testing.assert_allclose(level[:28], 20 * np.log10(0.05), atol=0.3)
    np.testing.assert_allclose(level[31:], 20 * np.log10(0.5), atol=0.3)


@pytest.mark.parametrize("samples", [HOP, HOP + 1, 1599, 1601])
def test_only_whole_blocks_have_a_frame(samples):
    sound = tone(440)[:samples]
    assert len(features.loudness(sound, RATE, HOP)) == samples // HOP
    assert len(fundamental(sound)[0]) == samples // HOP


@pytest.mark.parametrize(
    ("sound", "hop", "words"),
    [
        (np.zeros((2, 1600)), HOP, r"shape \(2, 1600\)"),
        (np.zeros(100), HOP, r"shape \(100,\)"),
        (np.zeros(100), 0, "hop 0"),
        (np.full(1600, np.nan), HOP, "1600 that are NaN"),
        (np.r_[np.zeros(1600), np.inf], HOP, "1 that are NaN"),
    ],
)
def test_samples_that_cannot_be_used_are_refused(sound, hop, words):
    with pytest.raises(InputError, match=words):
        features.loudness(sound, RATE, hop)
    with pytest.raises(InputError, match=words):
        features.fundamental(sound, RATE, hop, low=300, high=700)


@pytest.mark.parametrize("semitones", [-5, -1, 2.5, 5])
def test_bands_of_a_shifted_pitch_are_near_those_of_the_sound(semitones):
    time = np.arange(RATE) / RATE

    def bands(pitch):
        partials = [
            np.sin(2 * np.pi * pitch * n * time) * 0.3 / n for n in range(1, 8)
        ]
        return features.log_mel(np.sum(partials, axis=0), RATE, 512)[5:-5]

    known = bands(400)
    wanted = bands(400 * 2 ** (semitones / 12))
    got = features.pitch_shifted(known, semitones, RATE)
    assert got.shape == known.shape

    def apart(found):
        return np.abs(found - wanted).mean()

    assert apart(got) < 0.6 * apart(known)
    # The fundamental is in the band that it would be in.
    low = slice(0, 24)
    band, right = (found[3, low].argmax() for found in (got, wanted))
    assert abs(int(band) - int(right)) <= 1


def test_no_shift_changes_nothing_and_nothing_comes_from_above():
    rng = np.random.default_rng(0)
    known = rng.uniform(0.2, 1, (2, 3, 80)).astype(np.float32)
    same = features.pitch_shifted(known, 0, RATE)
    np.testing.assert_allclose(same, known, atol=1e-5)
    lower = features.pitch_shifted(known, -12, RATE)
    assert (lower[..., -5:] == 0).all()
    assert lower[..., :60].min() > 0
