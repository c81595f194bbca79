# SPDX-License-Identifier: MIT
"""How far two sounds are apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tf_diet.arrays import BackendTensor
from tf_diet.audio import features
from tf_diet.errors import InputError

LEAST_POWER = 1e-14


def power_spectra(audio: BackendTensor, window: int, hop: int) -> BackendTensor:
    """Returns the power spectrogram through Hann windows.

    Half a window of silence stands at both ends, so that every sample counts
    and sounds shorter than the window have a spectrum too.
    """
    short = -ops.shape(audio)[-1] % hop
    audio = ops.pad(audio, ((0, 0), (window // 2, window // 2 + short)))
    # Frames out of whole hops side by side: much faster than a gather, whose
    # gradient is a scatter.
    hops = ops.reshape(audio, (ops.shape(audio)[0], -1, hop))
    overlaps = window // hop
    frames = ops.shape(hops)[1] - overlaps + 1
    parts = [hops[:, first : first + frames] for first in range(overlaps)]
    n = np.arange(window)
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * n / window)).astype("float32")
    real, imaginary = ops.rfft(ops.concatenate(parts, axis=-1) * hann)
    return real * real + imaginary * imaginary


def _magnitudes(audio: BackendTensor, window: int, hop: int) -> BackendTensor:
    # The slope of the square root at 0 is infinite.
    return ops.sqrt(ops.maximum(power_spectra(audio, window, hop), LEAST_POWER))


def check_sounds(
    y_true: BackendTensor,
    y_pred: BackendTensor,
    hops: Mapping[int, int],
    overlap: float,
) -> None:
    """Checks what a spectral loss compares.

    Args:
        y_true: a sound.
        y_pred: a sound.
        hops: of each window.
        overlap: that they follow from.

    Raises:
        InputError: they are not (batch, samples), or a window is no whole
            number of hops.
    """
    if len(y_true.shape) != 2 or len(y_pred.shape) != 2:
        raise InputError(
            "A spectral loss compares sounds (batch, samples). Received: "
            f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}. Drop the "
            "channel axis: audio[..., 0]."
        )
    if not hops or any(not 0 < h < w or w % h for w, h in hops.items()):
        raise InputError(
            "Windows of a spectral loss must be whole numbers of hops. "
            f"Received: windows {tuple(hops)}, overlap {overlap}. "
            "Choose powers of two and an overlap of 0.5 or 0.75."
        )


@keras.saving.register_keras_serializable("tf_diet")
class MultiScaleSpectralLoss(keras.losses.Loss):
    """Distance of magnitude spectrograms at several resolutions.

    For every window, the mean absolute difference of the magnitudes plus
    that of their logarithms, summed over the windows. The phase is ignored.
    Values depend on windows and floor: compare like with like.

    Args:
        windows: lengths of the Hann windows in samples.
        floor: added to magnitudes before the logarithm.
        overlap: share of a window that it has in common with the next. The
            windows must be whole numbers of hops, as they are with 0.75 and
            0.5 (half the work).
        reduction: over the batch, as in every Keras loss.
        name: of the loss.
        dtype: of the computation.

    Shapes:
        y_true, y_pred (batch, samples).

    Example:
        `model.compile("adam", loss=MultiScaleSpectralLoss())`

    Source:
        Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR
        2020.
    """

    def __init__(
        self,
        windows: Sequence[int] = (2048, 1024, 512, 256, 128, 64),
        floor: float = 1e-5,
        overlap: float = 0.75,
        reduction: str = "sum_over_batch_size",
        name: str = "multi_scale_spectral_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.windows = tuple(windows)
        self.floor = floor
        self.overlap = overlap

    @classmethod
    def paper(cls, **options: Any) -> "MultiScaleSpectralLoss":
        """Returns the loss of the structured lottery paper.

        Its floor of 5e-3 lies near the noise of a good recording: what is
        quieter, and differs from one recording to the next for no reason
        that pitch and loudness tell, hardly counts.

        Args:
            **options: the constructor's other arguments.

        Source:
            Esling et al., "Diet deep generative audio models with structured
            lottery", DAFx 2020: five windows, 32 to 1024.
        """
        windows = (1024, 512, 256, 128, 32)
        return cls(windows=windows, floor=5e-3, **options)

    def call(
        self, y_true: BackendTensor, y_pred: BackendTensor
    ) -> BackendTensor:
        """Returns one value a sound, (batch,).

        Raises:
            InputError: the sounds are not (batch, samples), or a window is no
                whole number of hops.
        """
        hops = {window: self._hop(window) for window in self.windows}
        check_sounds(y_true, y_pred, hops, self.overlap)
        total = 0.0
        for window, hop in hops.items():
            true = _magnitudes(y_true, window, hop)
            pred = _magnitudes(y_pred, window, hop)
            linear = ops.mean(ops.abs(true - pred), axis=(1, 2))
            ratio = ops.log(true + self.floor) - ops.log(pred + self.floor)
            total = total + linear + ops.mean(ops.abs(ratio), axis=(1, 2))
        return total

    def _hop(self, window: int) -> int:
        return round(window * (1.0 - self.overlap))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "windows": list(self.windows),
            "floor": self.floor,
            "overlap": self.overlap,
        }


def loudness_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_rate: int = 16000,
    hop: int = 160,
) -> float:
    """Mean absolute difference of the loudness in dB.

    Args:
        y_true: the sounds as they should be.
        y_pred: the sounds as they are.
        sample_rate: sample rate in Hz.
        hop: samples in a frame.

    Shapes:
        y_true, y_pred (batch, samples).

    Returns:
        The mean over frames and sounds.

    Raises:
        InputError: the shapes differ or a sound cannot be measured.
    """
    true, pred = np.asarray(y_true), np.asarray(y_pred)
    if true.shape != pred.shape or true.ndim != 2:
        raise InputError(
            "Loudness is compared between sounds (batch, samples) of one "
            f"shape. Received: {true.shape} and {pred.shape}. Cut both to "
            "the same length."
        )
    differences = [
        features.loudness(one, sample_rate, hop)
        - features.loudness(other, sample_rate, hop)
        for one, other in zip(true, pred, strict=True)
    ]
    return float(np.mean(np.abs(differences)))
