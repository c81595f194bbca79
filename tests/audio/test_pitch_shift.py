# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_diet.audio.pitch_shift import pitch_shift
from tf_diet.audio.tuning import hertz

RATE = 16000
# Longer than a period of the lowest note.
FRAME = RATE // 20


def note(pitch, held, seconds=4.0):
    """A tone of three partials, let go of at some moment."""
    time = np.arange(round(seconds * RATE)) / RATE
    partials = [np.sin(2 * np.pi * k * hertz(pitch) * time) for k in (1, 2, 3)]
    envelope = np.minimum(time / 0.02, 1) * np.exp(
        -30 * np.maximum(time - held, 0)
    )
    return (0.2 * envelope * np.sum(partials, axis=0)).astype(np.float32)


def level(sound):
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    return np.sqrt(np.mean(frames**2, axis=1))


@given(
    pitch=st.integers(48, 84),
    semitones=st.integers(-5, 5),
    held=st.sampled_from([1.0, 2.0, 3.0]),
)
@settings(max_examples=30, deadline=None)
def test_a_note_sounds_its_new_pitch_for_as_long_as_it_was_held(
    pitch, semitones, held
):
    sound = note(pitch, held)
    other = pitch_shift(sound, semitones, pitch + semitones, RATE)
    assert other.shape == sound.shape
    assert other.dtype == np.float32
    steady = other[round(0.2 * RATE) : round((held - 0.1) * RATE)]
    window = np.hanning(len(steady))
    spectrum = np.abs(np.fft.rfft(steady * window, 8 * len(steady)))
    bins = np.fft.rfftfreq(8 * len(steady), 1 / RATE)
    partial = np.abs(bins / hertz(pitch + semitones) - 1) < 0.5
    found = bins[partial][spectrum[partial].argmax()]
    assert abs(12 * np.log2(found / hertz(pitch + semitones))) < 0.1
    # Let go of at the same moment, and no gap or click where it was mended.
    wanted, heard = level(sound), level(other)
    inside = slice(4, round(held * 20) - 2)
    np.testing.assert_allclose(heard[inside], wanted[inside], rtol=0.12)
    after = slice(round(held * 20) + 5, None)
    assert heard[after].max() < 0.02 * heard.max()
    steepest = np.abs(np.diff(sound)).max() * 2 ** (semitones / 12)
    assert np.abs(np.diff(other)).max() < 1.1 * steepest


@pytest.mark.parametrize("sound", [np.zeros(1000), np.ones(7), np.zeros(0)])
@pytest.mark.parametrize("semitones", [-3, 0, 3])
def test_silence_and_scraps_keep_their_length(sound, semitones):
    sound = sound.astype(np.float32)
    other = pitch_shift(sound, semitones, 60, RATE)
    assert other.shape == sound.shape
    assert np.isfinite(other).all()
