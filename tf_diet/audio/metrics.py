# SPDX-License-Identifier: MIT
"""How good a sound is, in units that a person can read."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tf_diet import optional
from tf_diet.arrays import BackendTensor, Bools, Floats
from tf_diet.audio import features
from tf_diet.audio.tuning import hertz
from tf_diet.errors import InputError

_VISQOL_RATE = 48000


def log_spectral_distance(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    window: int = 1024,
    hop: int = 256,
    gate: float = 60.0,
) -> float:
    """Returns the log-spectral distance in dB, where there is sound.

    Bins further below the loudest bin of their frame in `y_true`, and frames
    further below the loudest frame, are left out: the noise between a
    recording's partials is another one every time, and would be most of the
    figure. What `y_pred` has less than that is taken as that.

    Args:
        y_true: the sounds as they should be.
        y_pred: the sounds as they are.
        window: length of the Hann window in samples.
        hop: samples from one frame to the next.
        gate: in dB.

    Shapes:
        y_true, y_pred (batch, samples).

    Raises:
        InputError: shapes differ, or `y_true` is silent.

    Source:
        Gray and Markel, "Distance measures for speech processing", 1976.
    """
    true, pred = _pair(y_true, y_pred)
    levels = [_levels(sound, window, hop) for sound in (true, pred)]
    peak = levels[0].max(axis=-1, keepdims=True)
    loudest = peak.max(axis=1, keepdims=True)
    if not (loudest > -150).all():
        raise InputError(
            "A silent sound has no spectrum to be near to. Received: a "
            "y_true without sound. Leave it out."
        )
    heard = (levels[0] > peak - gate) & (peak > loudest - gate)
    floor = peak - gate
    apart = levels[0] - np.maximum(levels[1], floor)
    counts = heard.sum(axis=-1)
    squares = np.where(heard, apart**2, 0).sum(axis=-1)
    frames = np.sqrt(squares[counts > 0] / counts[counts > 0])
    return float(frames.mean())


def _levels(sounds: Floats, window: int, hop: int) -> Floats:
    padded = np.pad(sounds, ((0, 0), (window // 2, window // 2)))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)
    taper = np.hanning(window + 1)[:-1]
    spectra = np.abs(np.fft.rfft(blocks[:, ::hop] * taper))
    return 20 * np.log10(np.maximum(spectra, 1e-8))


def _pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Floats, Floats]:
    true, pred = (np.asarray(y, np.float64) for y in (y_true, y_pred))
    if true.ndim != 2 or true.shape != pred.shape:
        raise InputError(
            "Sounds (batch, samples) of one shape are compared. Received: "
            f"{true.shape} and {pred.shape}. Cut both to the same length."
        )
    return true, pred


@keras.saving.register_keras_serializable("tf_diet")
class BitsPerSample(keras.losses.Loss):
    """Cross-entropy of mu-law codes in bits a sample; 8 for a guess of 256.

    Args:
        skipped: samples at the start that do not count: those of a crop
            whose past is not known, `receptive_field - 1` of a WaveNet.
        reduction: over the batch, as in every Keras loss.
        name: of the loss.
        dtype: of the computation.

    Shapes:
        y_true (batch, samples) of integers; y_pred (batch, samples, classes)
        of logits.

    Example:
        `model.compile("adam", loss=BitsPerSample())`
    """

    def __init__(
        self,
        skipped: int = 0,
        reduction: str = "sum_over_batch_size",
        name: str = "bits_per_sample",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.skipped = skipped

    def call(
        self, y_true: BackendTensor, y_pred: BackendTensor
    ) -> BackendTensor:
        """Returns one value a sample, (batch, samples).

        Skipped samples are zero, and the others weigh the more for it.

        Raises:
            InputError: shapes do not fit, or nothing is left to count.
        """
        if len(y_pred.shape) != 3 or len(y_true.shape) != 2:
            raise InputError(
                "Codes (batch, samples) are compared with logits (batch, "
                f"samples, classes). Received: {tuple(y_true.shape)} and "
                f"{tuple(y_pred.shape)}."
            )
        samples = y_pred.shape[1]
        if samples is not None and not 0 <= self.skipped < samples:
            raise InputError(
                "There is nothing to count. Received: skipped="
                f"{self.skipped} of {samples} samples. Give longer crops."
            )
        nats = ops.sparse_categorical_crossentropy(
            ops.cast(y_true, "int32"), y_pred, from_logits=True
        )
        bits = nats / math.log(2.0)
        if not self.skipped:
            return bits
        number = ops.shape(bits)[1]
        counted = ops.cast(ops.arange(number) >= self.skipped, bits.dtype)
        return bits * counted / ops.mean(counted)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "skipped": self.skipped}


def f0_error(
    f0_true: ArrayLike,
    f0_pred: ArrayLike,
    confidence: ArrayLike | None = None,
    least: float = 0.5,
) -> float:
    """Returns the mean absolute difference of two pitch tracks, in cents.

    Args:
        f0_true: in Hz.
        f0_pred: in Hz.
        confidence: of each frame; less sure ones do not count.
        least: the confidence from which on a frame counts.

    Shapes:
        All alike, such as (batch, frames).

    Raises:
        InputError: shapes differ, or no frame counts.
    """
    true, pred = (np.asarray(f, np.float64) for f in (f0_true, f0_pred))
    sure = np.ones(true.shape, bool)
    if confidence is not None:
        sure = np.asarray(confidence) >= least
    counted = (
        sure & (true > 0) & (pred > 0) if sure.shape == true.shape else sure
    )
    if (
        true.shape != pred.shape
        or sure.shape != true.shape
        or not counted.any()
    ):
        raise InputError(
            "Pitch tracks of one shape are compared, where there is a pitch. "
            f"Received: {true.shape}, {pred.shape} and {sure.shape}, "
            f"{int(counted.sum())} frames to count."
        )
    cents = 1200 * np.log2(pred[counted] / true[counted])
    return float(np.abs(cents).mean())


def sounding(
    audio: ArrayLike,
    pitch: ArrayLike,
    sample_rate: int = 16000,
    cents: float = 50.0,
) -> Bools:
    """Tells the frames of 10 ms in which notes sound their pitch.

    By pYIN between half and twice the pitch.

    Args:
        audio: the notes.
        pitch: their MIDI numbers.
        sample_rate: in Hz.
        cents: how far off a frame may be.

    Shapes:
        audio (batch, samples); pitch (batch,); returns (batch, frames).

    Raises:
        InputError: shapes do not fit.
    """
    audio, pitch = np.asarray(audio), np.asarray(pitch)
    if audio.ndim != 2 or pitch.shape != audio.shape[:1]:
        raise InputError(
            "Notes (batch, samples) have a pitch each. Received: "
            f"{audio.shape} and {pitch.shape}."
        )
    right = []
    for sound, midi in zip(audio, pitch, strict=True):
        named = hertz(float(midi))
        high = min(2 * named, 0.49 * sample_rate)
        found, voiced = features.fundamental(
            sound,
            sample_rate,
            sample_rate // 100,
            low=min(named / 2, high / 2),
            high=high,
        )
        apart = np.abs(1200 * np.log2(found / named))
        right.append(voiced & (apart <= cents))
    return np.stack(right)


def pitch_accuracy(
    audio: ArrayLike,
    pitch: ArrayLike,
    sample_rate: int = 16000,
    cents: float = 50.0,
    counted: ArrayLike | None = None,
) -> float:
    """Returns the share of frames that sound the note that was asked for.

    Of generated notes, see `sounding`; frames without a pitch count as wrong.
    Says nothing of models that are given f0.

    Args:
        audio: the notes.
        pitch: their MIDI numbers.
        sample_rate: in Hz.
        cents: how far off a frame may be.
        counted: the frames that count, such as those in which the recorded
            notes sound their pitch; all when left out.

    Shapes:
        audio (batch, samples); pitch (batch,); counted (batch, frames).

    Raises:
        InputError: shapes do not fit, or no frame counts.
    """
    right = sounding(audio, pitch, sample_rate, cents)
    chosen = np.ones(right.shape, bool)
    if counted is not None:
        chosen = np.asarray(counted, bool)
    if chosen.shape != right.shape or not chosen.any():
        raise InputError(
            "Some frames of the notes must count. Received: "
            f"{chosen.shape}, {int(chosen.sum())} of them, for {right.shape}."
        )
    return float(right[chosen].mean())


def visqol(
    y_true: ArrayLike, y_pred: ArrayLike, sample_rate: int = 16000
) -> float:
    """Returns ViSQOL's estimate of quality, from 1 to about 4.7.

    For pairs that are near each other: far-off sounds are not well ordered. A
    pair with a silent sound counts 1: ViSQOL itself has no number for it.

    Args:
        y_true: the sounds as they should be.
        y_pred: the sounds as they are.
        sample_rate: in Hz.

    Shapes:
        y_true, y_pred (batch, samples).

    Raises:
        InputError: shapes differ.
        MissingDependencyError: the extra `visqol` is not installed.

    Source:
        Chinen et al., "ViSQOL v3: An Open Source Production Ready Objective
        Speech and Audio Metric", QoMEX 2020.
    """
    module = optional.require("visqol", extra="visqol")
    soxr = optional.require("soxr", extra="audio")
    true, pred = _pair(y_true, y_pred)
    api = module.VisqolApi()
    api.create(mode="audio")
    scores = []
    for pair in zip(true, pred, strict=True):
        if not all(sound.any() for sound in pair):
            scores.append(1.0)
            continue
        one, other = (
            soxr.resample(sound, sample_rate, _VISQOL_RATE) for sound in pair
        )
        scores.append(api.measure_from_arrays(one, other, _VISQOL_RATE).moslqo)
    return float(np.mean(scores))
