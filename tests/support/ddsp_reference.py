# SPDX-License-Identifier: MIT
"""Harmonics and noise in float64 numpy, written from the formulas alone.

A frame is [f0, a, d_1 .. d_H, n_1 .. n_M]: a pitch in hertz and raw controls.
"""

import numpy as np


def exp_sigmoid(x):
    return 2 * (1 / (1 + np.exp(-x))) ** np.log(10) + 1e-7


def reference_harmonics(frames, rate, hop, harmonics):
    """Returns (blocks * hop,), block by block, phase in cycles."""
    f0 = frames[:, 0]
    raw = frames[:, 2 : 2 + harmonics]
    number = np.arange(1, harmonics + 1)
    share = exp_sigmoid(raw) * (number * f0[:, None] < rate / 2)
    share /= np.maximum(share.sum(1, keepdims=True), 1e-7)
    amplitude = exp_sigmoid(frames[:, 1:2]) * share
    n = np.arange(1, hop + 1)
    fade = (0.5 - 0.5 * np.cos(np.pi * n / hop))[:, None]
    phase, blocks = 0.0, []
    for m in range(len(frames)):
        before = max(m - 1, 0)
        cycles = (
            phase
            + (f0[before] * n + (f0[m] - f0[before]) * n**2 / (2 * hop)) / rate
        )
        sines = np.sin(2 * np.pi * cycles[:, None] * number)
        level = (1 - fade) * amplitude[before] + fade * amplitude[m]
        blocks.append((sines * level).sum(1))
        phase = (phase + hop * (f0[before] + f0[m]) / (2 * rate)) % 1.0
    return np.concatenate(blocks)


def xorshift32(seed, count):
    state, values = seed, np.empty(count)
    for i in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        values[i] = state - 2**32 if state >= 2**31 else state
    return (values.astype(np.float32) / np.float32(2**31)).astype(float)


def reference_noise(frames, hop, bands, seed):
    taps = 2 * (bands - 1)
    magnitudes = exp_sigmoid(frames[:, -bands:] - 5)
    i = np.arange(taps)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * i / taps)
    white = xorshift32(seed, len(frames) * hop).reshape(-1, hop)
    audio = np.zeros(len(frames) * hop + taps)
    for m, (excitation, magnitude) in enumerate(
        zip(white, magnitudes, strict=True)
    ):
        response = np.roll(np.fft.irfft(magnitude), taps // 2) * window
        block = np.convolve(excitation, response)
        audio[m * hop : m * hop + len(block)] += block
    return audio[: len(frames) * hop]


def reference(frames, *, rate, hop, harmonics, bands, seed, part="all"):
    """Returns what the C++ library should play, (frames * hop,)."""
    frames = frames.astype(float)
    audio = np.zeros(len(frames) * hop)
    if part != "noise":
        audio = audio + reference_harmonics(frames, rate, hop, harmonics)
    if part != "harmonics":
        audio = audio + reference_noise(frames, hop, bands, seed)
    return audio
