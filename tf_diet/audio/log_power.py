# SPDX-License-Identifier: MIT
"""The loss of SING: log-power spectra at one resolution."""

from typing import Any

import keras
from keras import ops

from tf_diet.arrays import BackendTensor
from tf_diet.audio.losses import check_sounds, power_spectra


@keras.saving.register_keras_serializable("tf_diet")
class LogPowerSpectralLoss(keras.losses.Loss):
    """Distance of `log(1 + power)` of short-time spectra.

    The 1 is what makes quiet bins alike: nothing below a power of about 1 is
    told apart, and silence costs no more than it is louder.

    Args:
        window: length of the Hann window in samples.
        overlap: share of a window that it has in common with the next.
        squared: the mean of squares, as in the paper; else that of absolute
            differences, which the paper calls L1.
        reduction: over the batch, as in every Keras loss.
        name: of the loss.
        dtype: of the computation.

    Shapes:
        y_true, y_pred (batch, samples).

    Source:
        Defossez et al., "SING: Symbol-to-Instrument Neural Generator",
        NeurIPS 2018, equation 1.
    """

    def __init__(
        self,
        window: int = 1024,
        overlap: float = 0.75,
        squared: bool = True,
        reduction: str = "sum_over_batch_size",
        name: str = "log_power_spectral_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.window = window
        self.overlap = overlap
        self.squared = squared

    def call(
        self, y_true: BackendTensor, y_pred: BackendTensor
    ) -> BackendTensor:
        """Returns one value a sound, (batch,).

        Raises:
            InputError: the sounds are not (batch, samples), or the window is
                no whole number of hops.
        """
        hop = round(self.window * (1 - self.overlap))
        check_sounds(y_true, y_pred, {self.window: hop}, self.overlap)
        true, pred = (
            ops.log1p(power_spectra(sound, self.window, hop))
            for sound in (y_true, y_pred)
        )
        apart = (
            ops.square(true - pred) if self.squared else ops.abs(true - pred)
        )
        return ops.mean(apart, axis=(1, 2))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "window": self.window,
            "overlap": self.overlap,
            "squared": self.squared,
        }
