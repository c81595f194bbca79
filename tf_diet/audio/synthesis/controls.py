# SPDX-License-Identifier: MIT
"""From the raw outputs of a decoder to amplitudes and filter magnitudes."""

import math
from typing import NamedTuple

from keras import ops

from tf_diet.arrays import BackendTensor

NOISE_BIAS = -5.0
FLOOR = 1e-7


class Controls(NamedTuple):
    """Scaled controls of a sequence of frames.

    Attributes:
        amplitudes: linear amplitude of each harmonic, (batch, frames,
            harmonics); 0 at and above the Nyquist frequency.
        magnitudes: noise filter magnitude of each band, (batch, frames,
            bands).
    """

    amplitudes: BackendTensor
    magnitudes: BackendTensor


def exp_sigmoid(x: BackendTensor) -> BackendTensor:
    """Squashes to (1e-7, 2), exponential below and saturating above.

    Computes `2 * sigmoid(x) ** ln(10) + 1e-7` through the logarithm, so that
    the gradient stays finite for strongly negative values.

    Source:
        Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR
        2020.
    """
    return 2.0 * ops.exp(math.log(10.0) * ops.log_sigmoid(x)) + FLOOR


def scale_controls(
    f0_hz: BackendTensor, controls: BackendTensor, harmonics: int, rate: int
) -> Controls:
    """Splits and scales raw controls.

    Args:
        f0_hz: fundamental frequency in Hz.
        controls: raw decoder outputs in the order overall amplitude, harmonic
            distribution, noise magnitudes.
        harmonics: number of harmonics.
        rate: sample rate in Hz.

    Shapes:
        f0_hz (batch, frames, 1); controls (batch, frames,
        1 + harmonics + bands).

    Returns:
        The `Controls`. Harmonics at or above the Nyquist frequency are
        silenced before the distribution is normalised, so that the overall
        amplitude is shared by the audible ones only.
    """
    number = ops.arange(1, harmonics + 1, dtype="float32")
    audible = ops.cast(f0_hz * number < rate / 2, "float32")
    distribution = exp_sigmoid(controls[..., 1 : 1 + harmonics]) * audible
    total = ops.sum(distribution, axis=-1, keepdims=True)
    overall = exp_sigmoid(controls[..., :1])
    return Controls(
        overall * distribution / ops.maximum(total, FLOOR),
        exp_sigmoid(controls[..., 1 + harmonics :] + NOISE_BIAS),
    )
