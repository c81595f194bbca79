# SPDX-License-Identifier: MIT
"""What a model has to beat before it has learned anything."""

import numpy as np
from numpy.typing import ArrayLike

from tf_diet.arrays import Array, Ints
from tf_diet.errors import InputError


def uniform_bits(classes: int = 256) -> float:
    """Returns the bits a sample of a guess among all codes alike."""
    return float(np.log2(classes))


def unigram_bits(
    train: ArrayLike, test: ArrayLike, classes: int = 256
) -> float:
    """Returns the bits a sample when each code is as likely as it is common.

    Args:
        train: codes to count, one added to each.
        test: codes to predict.
        classes: number of codes.

    Shapes:
        (batch, samples) of integers.

    Raises:
        InputError: they are not such codes.
    """
    train, test = _codes(train, classes), _codes(test, classes)
    counts = np.bincount(train.ravel(), minlength=classes) + 1.0
    return float(-np.log2(counts / counts.sum())[test].mean())


def bigram_bits(train: ArrayLike, test: ArrayLike, classes: int = 256) -> float:
    """Returns the bits a sample when each code follows from the one before.

    The first code of a sound follows silence, `classes // 2`.

    Args:
        train: codes to count, one added to each pair.
        test: codes to predict.
        classes: number of codes.

    Shapes:
        (batch, samples) of integers.

    Raises:
        InputError: they are not such codes.
    """
    train, test = _codes(train, classes), _codes(test, classes)
    pairs = _before(train, classes) * classes + train
    counts = np.bincount(pairs.ravel(), minlength=classes**2) + 1.0
    counts = counts.reshape(classes, classes)
    bits = -np.log2(counts / counts.sum(axis=1, keepdims=True))
    return float(bits[_before(test, classes), test].mean())


def _before(codes: Ints, classes: int) -> Ints:
    start = np.full_like(codes[:, :1], classes // 2)
    return np.concatenate([start, codes[:, :-1]], axis=1)


def _codes(codes: ArrayLike, classes: int) -> Ints:
    codes = np.asarray(codes)
    integer = np.issubdtype(codes.dtype, np.integer)
    if codes.ndim != 2 or not integer or not codes.size:
        raise InputError(
            "Codes are integers (batch, samples). Received: "
            f"{codes.dtype} of shape {codes.shape}."
        )
    if codes.min() < 0 or codes.max() >= classes:
        raise InputError(
            f"Codes lie between 0 and {classes - 1}. Received: {codes.min()} "
            f"to {codes.max()}."
        )
    return codes.astype(np.int64)


def nearest_notes(
    labels: ArrayLike,
    wanted: ArrayLike,
    audio: ArrayLike,
    weights: ArrayLike = (1.0, 0.01, 0.001),
) -> Array:
    """Returns the training note that is most like each note asked for.

    Args:
        labels: instrument, pitch and velocity of the training notes.
        wanted: those of the notes asked for.
        audio: the training notes.
        weights: how much another instrument, a semitone and a step of
            velocity count.

    Shapes:
        labels (notes, 3); wanted (asked, 3); audio (notes, samples); returns
        (asked, samples).

    Raises:
        InputError: shapes do not fit, or there are no notes.
    """
    labels, wanted, audio = map(np.asarray, (labels, wanted, audio))
    fits = labels.ndim == wanted.ndim == 2 and labels.shape[1:] == (3,)
    if not fits or wanted.shape[1:] != (3,) or len(labels) != len(audio):
        raise InputError(
            "Notes have instrument, pitch and velocity. Received: labels "
            f"{labels.shape}, wanted {wanted.shape}, audio {audio.shape}."
        )
    apart = np.abs(wanted[:, None] - labels[None]).astype(float)
    # Another instrument is another one, however far its number is.
    apart[..., 0] = apart[..., 0] > 0
    return audio[np.argmin(apart @ np.asarray(weights), axis=1)]
