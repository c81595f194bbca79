"""What a synthesiser is told about a sound: its pitch and its loudness.

Both come as one value a frame. Frame m describes the sound around the end of
block m (samples m * hop to (m + 1) * hop - 1), so that a synthesiser that
reaches a frame's controls at the end of its block needs no look-ahead.
"""

import numpy as np

from tf_diet import optional
from tf_diet.errors import InputError

FLOOR = -80.0
"""The quietest loudness that is told apart, in dB."""


def fundamental(
    audio: np.ndarray,
    sample_rate: int,
    hop: int,
    *,
    low: float,
    high: float,
) -> tuple[np.ndarray, np.ndarray]:
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
    found, voiced, _ = librosa.pyin(
        np.pad(audio, window // 2),
        fmin=low,
        fmax=high,
        sr=sample_rate,
        frame_length=window,
        hop_length=hop,
        center=False,
        resolution=0.05,
    )
    found, voiced = found[1 : frames + 1], voiced[1 : frames + 1]
    if not voiced.any():
        return np.full(frames, np.sqrt(low * high), np.float32), voiced
    at = np.flatnonzero(voiced)
    pitch = np.interp(np.arange(frames), at, np.log(found[at]))
    return np.exp(pitch).astype(np.float32), voiced


def loudness(audio: np.ndarray, sample_rate: int, hop: int) -> np.ndarray:
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


def _power_of_two(least: float) -> int:
    return 1 << int(np.ceil(np.log2(least)))


def _checked(audio: np.ndarray, hop: int) -> np.ndarray:
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
