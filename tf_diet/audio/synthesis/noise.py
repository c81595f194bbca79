# SPDX-License-Identifier: MIT
"""White noise through a filter that changes every frame."""

import numpy as np
from keras import ops

from tf_diet.arrays import BackendTensor, Floats32


def _filter_matrix(bands: int) -> Floats32:
    """Magnitudes times this matrix are the windowed, centred taps."""
    taps = 2 * (bands - 1)
    i = np.arange(taps)
    j = np.arange(bands)[:, None]
    both_sides = np.where((j == 0) | (j == bands - 1), 1.0, 2.0)
    cosines = np.cos(2 * np.pi * j * (i - taps // 2) / taps)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * i / taps)
    return (both_sides / taps * cosines * hann).astype("float32")


def impulse_responses(magnitudes: BackendTensor) -> BackendTensor:
    """Turns filter magnitudes into symmetric impulse responses.

    Args:
        magnitudes: gain of each band, from 0 Hz to the Nyquist frequency.

    Shapes:
        magnitudes (batch, frames, bands).

    Returns:
        Hann-windowed taps, (batch, frames, 2 * (bands - 1)), delayed by
        `bands - 1` samples to be causal.
    """
    return ops.matmul(magnitudes, _filter_matrix(magnitudes.shape[-1]))


def filtered_noise(
    magnitudes: BackendTensor, noise: BackendTensor, hop: int
) -> BackendTensor:
    """Filters each block of noise by its own frame and adds the overlaps.

    The delay of `bands - 1` samples is left in, as in the C++ library.

    Args:
        magnitudes: gain of each band, from 0 Hz to the Nyquist frequency.
        noise: white noise within [-1, 1).
        hop: samples in a block.

    Shapes:
        magnitudes (batch, frames, bands); noise (batch, frames * hop).

    Returns:
        Audio, (batch, frames * hop); what rings beyond the end is cut.
    """
    frames = ops.shape(magnitudes)[1]
    length = hop + 2 * (magnitudes.shape[-1] - 1) - 1
    blocks = -(-length // hop)
    size = blocks * hop
    white = ops.reshape(ops.stop_gradient(noise), (-1, frames, hop))
    a, b = ops.rfft(white, fft_length=size)
    c, d = ops.rfft(impulse_responses(magnitudes), fft_length=size)
    wet = ops.irfft((a * c - b * d, a * d + b * c), fft_length=size)
    wet = ops.reshape(wet, (-1, frames, blocks, hop))
    total = wet[:, :, 0]
    for late in range(1, blocks):
        tail = ops.pad(wet[:, :, late], ((0, 0), (late, 0), (0, 0)))
        total = total + tail[:, :-late]
    return ops.reshape(total, (-1, frames * hop))
