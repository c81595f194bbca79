# SPDX-License-Identifier: MIT
"""One audio file as samples, or the reason why not."""

import os
from pathlib import Path

import numpy as np

from tf_diet import optional
from tf_diet.arrays import Floats32
from tf_diet.audio.tuning import hertz

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"})
SILENCE = 10 ** (-60 / 20)


class UnusableError(Exception):
    """The reason why one file cannot be used."""


def read_audio(
    path: str | os.PathLike[str],
    sample_rate: int,
    *,
    least: int = 1,
    upsample: bool = True,
) -> Floats32:
    """Reads a file as one channel at a sample rate.

    Args:
        path: of the file; channels are averaged.
        sample_rate: samples a second to convert to.
        least: how many samples there must be.
        upsample: convert files of a lower rate too; they hold nothing above
            half their own.

    Shapes:
        Returns (samples,).

    Raises:
        UnusableError: it cannot be read, is too short, holds what is no
            number, or would have to be upsampled.
    """
    soundfile = optional.require("soundfile", extra="audio")
    if not Path(path).exists():
        raise UnusableError("missing, though it is listed")
    try:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise UnusableError(f"unreadable ({error})") from error
    audio = audio.mean(axis=1)
    if not np.isfinite(audio).all():
        raise UnusableError("holds samples that are NaN or infinite")
    if rate < sample_rate and not upsample:
        raise UnusableError(
            f"recorded at {rate} Hz, and upsampling to {sample_rate} Hz was "
            "refused"
        )
    if rate != sample_rate and len(audio):
        soxr = optional.require("soxr", extra="audio")
        audio = soxr.resample(audio, rate, sample_rate)
    if len(audio) < least:
        raise UnusableError(
            f"too short ({len(audio) / sample_rate:.2f} s; "
            f"{least / sample_rate:g} s are needed)"
        )
    return audio


def audible(audio: Floats32) -> Floats32:
    """Returns the samples.

    Raises:
        UnusableError: there is nothing to hear.
    """
    if np.abs(audio).max() < SILENCE:
        raise UnusableError("silent (its peak is below -60 dBFS)")
    return audio


def check_pitch(pitch: int, sample_rate: int) -> None:
    """Says that a note cannot be heard at a sample rate.

    Raises:
        UnusableError: it cannot.
    """
    if hertz(pitch) > 0.49 * sample_rate:
        raise UnusableError(
            f"its note, MIDI {pitch}, is above half the sample rate"
        )
