# SPDX-License-Identifier: MIT
"""Mu-law companding: audio as 256 codes, finer near silence."""

import math

import numpy as np
from numpy.typing import ArrayLike

from tf_diet.arrays import Array, Floats32, Ints32

SILENCE = 128


def encode(audio: ArrayLike, classes: int = 256) -> Ints32:
    """Codes audio.

    Rounds to the nearest code, so that silence is 128 of 256 and the decoded
    sound has no offset.

    Args:
        audio: samples of any shape; those beyond [-1, 1] are clipped.
        classes: number of codes.

    Returns:
        int32 codes from 0 to classes - 1, shaped like `audio`.
    """
    mu = classes - 1
    x = np.clip(np.asarray(audio, dtype="float64"), -1.0, 1.0)
    squeezed = np.sign(x) * np.log1p(mu * np.abs(x)) / math.log1p(mu)
    return np.floor((squeezed + 1.0) / 2.0 * mu + 0.5).astype("int32")


def decode(codes: ArrayLike, classes: int = 256) -> Floats32:
    """Returns the float32 audio that `codes` stand for.

    Args:
        codes: integers from 0 to classes - 1, of any shape.
        classes: number of codes.
    """
    mu = classes - 1
    squeezed = 2.0 * np.asarray(codes, dtype="float64") / mu - 1.0
    x = np.sign(squeezed) * np.expm1(np.abs(squeezed) * math.log1p(mu)) / mu
    return x.astype("float32")


def teacher(codes: ArrayLike, classes: int = 256) -> tuple[Array, Array]:
    """Makes inputs and targets for next-code prediction.

    The inputs are the codes one sample late, starting from silence: shifted
    here, once, and nowhere else.

    Args:
        codes: integers, (batch, samples).
        classes: number of codes.

    Returns:
        Inputs and targets, both (batch, samples).
    """
    targets = np.asarray(codes)
    start = np.full_like(targets[:, :1], classes // 2)
    return np.concatenate([start, targets[:, :-1]], axis=1), targets
