# SPDX-License-Identifier: MIT
"""A bank of harmonics whose phase does not drift.

Phase is counted in turns of 2**-32 cycles, in 32-bit integers, where overflow
is exactly the wrap at one cycle: however long the sound, sums of turns add no
error of their own.
"""

import math

import numpy as np
from keras import ops

from tf_diet.arrays import BackendTensor

TURNS = 2**32


def previous(frames: BackendTensor) -> BackendTensor:
    """Returns the frames one step later, the first one held.

    Block m of the audio runs from frame m - 1 to frame m; what comes before
    frame 0 is frame 0 itself, which makes streamed and offline synthesis
    equal.
    """
    return ops.concatenate([frames[:, :1], frames[:, :-1]], axis=1)


def _turns(cycles: BackendTensor) -> BackendTensor:
    cycles = ops.mod(cycles, 1.0)
    cycles = ops.where(cycles < 0.5, cycles, cycles - 1.0)
    return ops.cast(cycles * float(TURNS), "int32")


def _cycles(turns: BackendTensor) -> BackendTensor:
    return ops.cast(turns, "float32") * (1.0 / TURNS)


def _turns_after(
    samples: BackendTensor, f0_hz: BackendTensor, rate: int
) -> BackendTensor:
    # Whole Hz are counted in integers: their product with the samples, cut
    # to the 24 bits of a float after many cycles, would lose the fraction.
    whole = ops.floor(f0_hz)
    steps = ops.mod(whole * samples, float(rate))
    per_step, rest = divmod(TURNS, rate)
    small = (f0_hz - whole) * (samples / rate)
    small = small + steps * (rest / rate / TURNS)
    return ops.cast(steps, "int32") * per_step + _turns(small)


def _starts(f0_hz: BackendTensor, rate: int, hop: int) -> BackendTensor:
    turns = _turns_after(float(hop), previous(f0_hz), 2 * rate)
    turns = turns + _turns_after(float(hop), f0_hz, 2 * rate)
    return ops.cumsum(turns, axis=1) - turns


def block_phase(f0_hz: BackendTensor, rate: int, hop: int) -> BackendTensor:
    """Phase of the fundamental at the start of every block.

    Args:
        f0_hz: fundamental frequency in Hz, one value a frame.
        rate: sample rate in Hz.
        hop: samples in a block.

    Shapes:
        f0_hz (batch, frames, 1).

    Returns:
        Phases in cycles, within [-0.5, 0.5], shaped like `f0_hz`.
    """
    return _cycles(_starts(f0_hz, rate, hop))


def sine_bank(
    f0_hz: BackendTensor, harmonics: int, rate: int, hop: int
) -> BackendTensor:
    """Unit sines of every harmonic at every sample of every block.

    Args:
        f0_hz: fundamental frequency in Hz, one value a frame.
        harmonics: number of harmonics.
        rate: sample rate in Hz.
        hop: samples in a block.

    Shapes:
        f0_hz (batch, frames, 1).

    Returns:
        Sines, (batch, frames, hop, harmonics).
    """
    n = np.arange(1, hop + 1, dtype="float32")
    before = previous(f0_hz)
    glide = (f0_hz - before) * (n * n / (2.0 * hop * rate))
    turns = _starts(f0_hz, rate, hop) + _turns_after(n, before, rate)
    cycles = _cycles(turns + _turns(glide))[..., None]
    numbers = np.arange(1, harmonics + 1, dtype="float32")
    return ops.sin(cycles * (2.0 * math.pi) * numbers)


def harmonic_oscillator(
    f0_hz: BackendTensor, amplitudes: BackendTensor, rate: int, hop: int
) -> BackendTensor:
    """Synthesises harmonics with amplitudes that glide from frame to frame.

    Amplitudes are never brought to the sample rate: each block is the bank
    of sines times the amplitudes of the frames on both its sides, mixed by
    half a Hann window. No gradient flows to `f0_hz`.

    Args:
        f0_hz: fundamental frequency in Hz.
        amplitudes: linear amplitude of each harmonic.
        rate: sample rate in Hz.
        hop: samples in a block.

    Shapes:
        f0_hz (batch, frames, 1); amplitudes (batch, frames, harmonics).

    Returns:
        Audio, (batch, frames * hop).
    """
    f0_hz = ops.stop_gradient(f0_hz)
    bank = sine_bank(f0_hz, amplitudes.shape[-1], rate, hop)
    ends = ops.stack([previous(amplitudes), amplitudes], axis=-1)
    n = np.arange(1, hop + 1)
    rise = 0.5 - 0.5 * np.cos(np.pi * n / hop)
    mix = np.stack([1.0 - rise, rise], axis=-1).astype("float32")
    blocks = ops.sum(ops.matmul(bank, ends) * mix, axis=-1)
    return ops.reshape(blocks, (-1, ops.shape(blocks)[1] * hop))
