# SPDX-License-Identifier: MIT
"""What a synthesiser is told about a sound: its pitch and its loudness.

Both come as one value a frame. Frame m describes the sound around the end of
block m (samples m * hop to (m + 1) * hop - 1), so that a synthesiser that
reaches a frame's controls at the end of its block needs no look-ahead.
"""

import numpy as np
from numpy.typing import ArrayLike

from tf_diet import optional
from tf_diet.arrays import Bools, Floats, Floats32
from tf_diet.audio.tuning import hertz
from tf_diet.errors import InputError

FLOOR = -80.0
"""The quietest loudness that is told apart, in dB."""


def fundamental(
    audio: ArrayLike,
    sample_rate: int,
    hop: int,
    *,
    low: float,
    high: float,
) -> tuple[Floats32, Bools]:
    """Follows the fundamental frequency of a sound with one voice.

    A narrow search is what keeps octave errors out: where the note is known,
    `low` and `high` a fifth to either side of it leave no octave to confuse
    it with.

    Args:
        audio: the samples of one sound.
        sample_rate: samples a second.
        hop: samples a frame.
        low: lowest frequency looked for, in Hz.
        high: highest frequency looked for, in Hz; at least an octave above
            `low`, and below half the sample rate.

    Shapes:
        audio (samples,) -> (samples // hop,) twice.

    Returns:
        The frequency of each frame in Hz, and whether the frame is voiced.
        Unvoiced frames take the frequency from the voiced frames around
        them, straight in pitch; a sound without any voiced frame is given
        the middle of the search.

    Raises:
        InputError: the samples or the search range cannot be used.

    Source:
        Mauch and Dixon, "pYIN: A fundamental frequency estimator using
        probabilistic threshold distributions", ICASSP 2014.
    """
    frequency, voiced, _ = followed(audio, sample_rate, hop, low=low, high=high)
    return frequency, voiced


def followed(
    audio: ArrayLike,
    sample_rate: int,
    hop: int,
    *,
    low: float,
    high: float,
) -> tuple[Floats32, Bools, Floats32]:
    """Returns what `fundamental` does, and how sure it is of each frame.

    Args:
        audio: the samples of one sound.
        sample_rate: samples a second.
        hop: samples a frame.
        low: lowest frequency looked for, in Hz.
        high: highest frequency looked for, in Hz; at least an octave above
            `low`, and below half the sample rate.

    Shapes:
        audio (samples,) -> (samples // hop,) three times.

    Returns:
        Frequency in Hz, voiced or not, and the probability of being voiced.

    Raises:
        InputError: the samples or the search range cannot be used.
    """
    audio = _checked(audio, hop)
    if not 0 < 2 * low <= high < sample_rate / 2:
        raise InputError(
            "The pitch search must span an octave or more below half the "
            f"sample rate ({sample_rate / 2:g} Hz). Received: low={low:g}, "
            f"high={high:g}. Move low down or high up."
        )
    librosa = optional.require("librosa", extra="audio")
    # 64 ms blur a vibrato by 1 cent; 128 ms by 4 and more.
    window = _power_of_two(max(0.06 * sample_rate, 4 * sample_rate / low))
    frames = len(audio) // hop
    found, voiced, sure = librosa.pyin(
        np.pad(audio, window // 2),
        fmin=low,
        fmax=high,
        sr=sample_rate,
        frame_length=window,
        hop_length=hop,
        center=False,
        resolution=0.05,
    )
    found, voiced, sure = (
        track[1 : frames + 1] for track in (found, voiced, sure)
    )
    sure = sure.astype(np.float32)
    if not voiced.any():
        middle = np.full(frames, np.sqrt(low * high), np.float32)
        return middle, voiced, sure
    at = np.flatnonzero(voiced)
    pitch = np.interp(np.arange(frames), at, np.log(found[at]))
    return np.exp(pitch).astype(np.float32), voiced, sure


def around(pitch: int | None, sample_rate: int) -> tuple[float, float]:
    """Returns where to look for the pitch of a note, in Hz.

    A fifth to either side of a note that is named: wide enough for pYIN and
    for any vibrato, too narrow for the octave errors of a wider search. From
    50 to 1000 Hz where no note is named.

    Args:
        pitch: a MIDI number, or None.
        sample_rate: samples a second.
    """
    if pitch is None:
        return 50.0, min(1000.0, 0.49 * sample_rate)
    named = hertz(pitch)
    high = min(named * 2 ** (7 / 12), 0.49 * sample_rate)
    return min(named * 2 ** (-7 / 12), high / 2), high


def loudness(audio: ArrayLike, sample_rate: int, hop: int) -> Floats32:
    """Measures how loud each frame is to the ear.

    The A-weighted power is averaged over the spectrum before it is turned
    into dB; 0 dB is a sine of full scale at 1 kHz.

    Args:
        audio: the samples of one sound.
        sample_rate: samples a second.
        hop: samples a frame.

    Shapes:
        audio (samples,) -> (samples // hop,).

    Returns:
        The loudness of each frame in dB, never below `FLOOR`.

    Raises:
        InputError: the samples cannot be used.

    Source:
        IEC 61672-1 (A-weighting).
    """
    audio = _checked(audio, hop)
    librosa = optional.require("librosa", extra="audio")
    window = _power_of_two(max(0.03 * sample_rate, 2 * hop))
    taper = np.hanning(window + 1)[:-1]
    # Mirrored, so that the last frame does not hear the silence after it.
    padded = np.pad(audio, window // 2, mode="reflect")
    blocks = np.lib.stride_tricks.sliding_window_view(padded, window)
    spectrum = np.fft.rfft(blocks[hop::hop] * taper)
    frequencies = np.fft.rfftfreq(window, 1 / sample_rate)
    weights = np.zeros_like(frequencies)
    # The curve has no value at 0 Hz, where nothing is heard.
    weights[1:] = 10 ** (librosa.A_weighting(frequencies[1:]) / 10)
    power = np.abs(spectrum) ** 2 @ weights
    full_scale = window * np.sum(taper**2) / 4
    heard = np.maximum(power / full_scale, 10 ** (FLOOR / 10))
    return (10 * np.log10(heard)).astype(np.float32)


def log_mel(
    audio: ArrayLike, sample_rate: int, hop: int, bands: int = 80
) -> Floats32:
    """Measures the spectrum of each frame in bands as the ear has them.

    Frame m is centred on block m (samples m * hop to (m + 1) * hop - 1), all
    of which it describes to a WaveNet.

    Args:
        audio: the samples of one sound.
        sample_rate: samples a second.
        hop: samples a frame.
        bands: of the mel scale, from 0 Hz to half the sample rate.

    Shapes:
        audio (samples,) -> (samples // hop, bands).

    Returns:
        0 at -100 dB or below, 1 at 0 dB, where 0 dB is a sine of full scale.

    Raises:
        InputError: the samples cannot be used.
    """
    power, window = _centred(audio, sample_rate, hop)
    librosa = optional.require("librosa", extra="audio")
    weights = librosa.filters.mel(
        sr=sample_rate, n_fft=window, n_mels=bands, norm=None
    )
    level = 10 * np.log10(np.maximum(power @ weights.T, 1e-10))
    return (level / 100 + 1).astype(np.float32)


def amplified(log_mel: Floats32, decibels: float) -> Floats32:
    """Returns what `log_mel` finds in the same sound, louder by so many dB.

    Bands at the bottom of the scale, -100 dB or less, stay there.

    Args:
        log_mel: as found, of any shape.
        decibels: below 0 for quieter.
    """
    louder = np.where(log_mel > 0, log_mel + decibels / 100, 0)
    return np.maximum(louder, 0).astype(np.float32)


def pitch_shifted(
    log_mel: Floats32, semitones: float, sample_rate: int
) -> Floats32:
    """Returns about what `log_mel` finds in the same sound, played faster.

    What a band held, the band holds that is so much higher. It is near for a
    few semitones: bands are not as fine as partials are.

    Args:
        log_mel: as found.
        semitones: below 0 for slower. What comes from above half the sample
            rate is silence.
        sample_rate: samples a second.

    Shapes:
        (..., bands), as it was given.
    """
    librosa = optional.require("librosa", extra="audio")
    bands = log_mel.shape[-1]
    edges = librosa.mel_frequencies(bands + 2, fmin=0, fmax=sample_rate / 2)
    mel = librosa.hz_to_mel(edges[1:-1])
    heard = librosa.hz_to_mel(edges[1:-1] * 2 ** (-semitones / 12))
    rows = log_mel.reshape(-1, bands)
    found = [np.interp(heard, mel, row, right=0) for row in rows]
    return np.asarray(found, np.float32).reshape(log_mel.shape)


def mfcc(
    audio: ArrayLike, sample_rate: int, hop: int, count: int = 30
) -> Floats32:
    """Describes the timbre of each frame, as the latent encoder of DDSP reads.

    Args:
        audio: the samples of one sound.
        sample_rate: samples a second.
        hop: samples a frame.
        count: of coefficients.

    Shapes:
        audio (samples,) -> (samples // hop, count).

    Raises:
        InputError: the samples cannot be used.

    Source:
        Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR
        2020, appendix: 30 coefficients of 128 bands.
    """
    librosa = optional.require("librosa", extra="audio")
    bands = log_mel(audio, sample_rate, hop, bands=128)
    found = librosa.feature.mfcc(S=bands.T, n_mfcc=count)
    return found.T.astype(np.float32)


def reach(sample_rate: int, hop: int) -> int:
    """Returns the samples on either side of a block that its frame sees.

    Args:
        sample_rate: samples a second.
        hop: samples a frame.
    """
    return -(-(_window(sample_rate, hop) - hop) // 2)


def _window(sample_rate: int, hop: int) -> int:
    return _power_of_two(max(0.064 * sample_rate, hop))


def _centred(
    audio: ArrayLike, sample_rate: int, hop: int
) -> tuple[Floats, int]:
    """Returns power spectra centred on blocks, 1 for a full-scale sine."""
    audio = _checked(audio, hop)
    window = _window(sample_rate, hop)
    before = (window - hop) // 2
    frames = len(audio) // hop
    padded = np.pad(audio, (before, window - hop - before))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, window)
    taper = np.hanning(window + 1)[:-1]
    spectrum = np.fft.rfft(blocks[::hop][:frames] * taper)
    return np.abs(spectrum) ** 2 / (taper.sum() / 2) ** 2, window


def _power_of_two(least: float) -> int:
    return 1 << int(np.ceil(np.log2(least)))


def _checked(audio: ArrayLike, hop: int) -> Floats:
    audio = np.asarray(audio, np.float64)
    if audio.ndim != 1 or len(audio) < max(hop, 1) or hop < 1:
        raise InputError(
            "Features need the samples of one sound, at least one hop of "
            f"them. Received: shape {audio.shape}, hop {hop}. Give one "
            "channel, and a hop that is shorter than the sound."
        )
    if not np.isfinite(audio).all():
        raise InputError(
            "Features need finite samples. Received: "
            f"{np.count_nonzero(~np.isfinite(audio))} that are NaN or "
            "infinite. Repair the sound or leave it out."
        )
    return audio
