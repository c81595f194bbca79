# SPDX-License-Identifier: MIT
"""Notes at other pitches, held as long as they were."""

import numpy as np

from tf_diet import optional
from tf_diet.arrays import Floats32
from tf_diet.audio.tuning import hertz

# The stretch over which one part of a note passes into another, seconds.
_SEAM = 0.05
# The level of a note is looked at so often, seconds.
_FRAME = 0.01
# A frame sounds above this share of the loudest, and the note is held while
# its level is above that share of what it mostly is.
_SOUNDS, _HELD = 0.1, 0.5


def pitch_shift(
    audio: Floats32, semitones: int, pitch: int, sample_rate: int
) -> Floats32:
    """Returns a note at another pitch.

    It is played faster or slower, and a part of its middle, whole periods of
    it, is passed through twice or left out, so that it is let go of when it
    was. Attack and release are as much shorter or longer as it is higher or
    lower, and formants move with the pitch: good for a few semitones.

    Args:
        audio: one note.
        semitones: below 0 for lower.
        pitch: of what is returned, MIDI.
        sample_rate: samples a second.

    Shapes:
        (samples,), as it was given.
    """
    if not semitones:
        return audio
    soxr = optional.require("soxr", extra="audio")
    ratio = 2 ** (semitones / 12)
    played = soxr.resample(audio, ratio * sample_rate, sample_rate)
    end = _let_go(audio, sample_rate)
    middle = round(end / ratio / 2)
    period = sample_rate / hertz(pitch)
    periods = round((end - end / ratio) / period)
    # From the middle on, what comes is taken from so much earlier.
    back = min(round(periods * period), middle)
    before, after = played[middle:], played[middle - back :]
    seam = min(round(_SEAM * sample_rate), len(before), len(after))
    rise = np.linspace(0, 1, seam, dtype=audio.dtype)
    passed = before[:seam] * (1 - rise) + after[:seam] * rise
    whole = np.concatenate([played[:middle], passed, after[seam:]])
    fitted = whole[: len(audio)]
    return np.pad(fitted, (0, len(audio) - len(fitted)))


def _let_go(audio: Floats32, sample_rate: int) -> int:
    """Returns the sample at which a note is about let go of."""
    size = max(round(_FRAME * sample_rate), 1)
    frames = audio[: len(audio) // size * size].reshape(-1, size)
    level = np.sqrt(np.mean(frames**2, axis=1))
    sounding = level[level > _SOUNDS * level.max(initial=0)]
    if not len(sounding):
        return 0
    held = np.flatnonzero(level > _HELD * np.median(sounding))
    return size * (int(held[-1]) + 1)
