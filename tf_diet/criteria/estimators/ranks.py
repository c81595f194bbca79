# SPDX-License-Identifier: MIT
"""Order, ranks and normal scores of many units at once.

Everything here depends on the order of values alone, so monotone maps of a
unit change nothing.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from tf_diet.arrays import Array, Floats, Ints

# A float32 widened to float64 leaves 29 low bits of the mantissa empty. A
# payload put there is carried along by a plain sort, which numpy vectorises;
# argsort is three times slower.
PAYLOAD_BITS = 29


def float32_order(rows: Array) -> npt.NDArray[np.float32]:
    """Returns float32 rows with the same order and the same ties.

    Args:
        rows: float32 or float64, one unit a row.

    Shapes:
        rows: (units, samples).
    """
    if rows.dtype == np.float32:
        return rows
    dense = np.empty(rows.shape, np.float32)
    for row, out in zip(rows, dense, strict=True):
        out[:] = np.unique(row, return_inverse=True)[1]
    return dense


def sort_with(
    rows: npt.NDArray[np.float32], payload: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """Sorts every row, carrying an integer with each value.

    Args:
        rows: values, one unit a row.
        payload: integers below 2**29, one a sample.

    Shapes:
        rows: (units, samples).
        payload: (samples,).

    Returns:
        (units, samples) bit patterns in sorted order: the payload in the low
        29 bits, above it a pattern that is equal for equal values only.
    """
    # Adding zero turns -0.0 into 0.0, which differ in bits but not in value.
    wide = rows.astype(np.float64)
    wide += 0.0
    bits = wide.view(np.uint64)
    bits |= payload
    wide.sort(axis=1)
    return bits


def low(bits: npt.NDArray[np.uint64]) -> Ints:
    """Returns the payloads that `sort_with` carried."""
    mask = np.uint64((1 << PAYLOAD_BITS) - 1)
    return (bits & mask).view(np.int64)


def high(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Returns patterns that are equal for tied values only."""
    return bits >> np.uint64(PAYLOAD_BITS)


def normal_scores(rows: Array) -> Floats:
    """Replaces values by standard normal quantiles of their mid-ranks.

    Args:
        rows: float32 or float64, one unit a row.

    Shapes:
        rows: (units, samples).

    Returns:
        (units, samples) scores with mean 0 and variance 1 in every row; all
        zero for a constant row.
    """
    rows = float32_order(rows)
    samples = rows.shape[1]
    index = np.arange(samples, dtype=np.uint64)
    # Entry k is the score of mid-rank k / 2, which ties make half-integer.
    table = ndtri((np.arange(2 * samples - 1) / 2 + 0.5) / samples)
    # Without ties every row is this one in another order.
    untied = standardised(table[None, ::2])[0]
    scores = np.empty(rows.shape)
    for row, out in zip(rows, scores, strict=True):
        bits = sort_with(row[None], index)
        values, place = high(bits)[0], low(bits)[0]
        if np.any(values[1:] == values[:-1]):
            out[place] = _standardised_ties(values, table)
        else:
            out[place] = untied
    return scores


def _standardised_ties(
    patterns: npt.NDArray[np.uint64], table: Floats
) -> Floats:
    """Returns the scores of sorted values, with mean 0 and variance 1."""
    if patterns[0] == patterns[-1]:
        return np.zeros(len(patterns))
    scores = table[_twice_mid_ranks(patterns)]
    scores -= scores.mean()
    scores *= np.sqrt(len(scores) / (scores @ scores))
    return scores


def standardised(rows: Floats) -> Floats:
    """Returns rows with mean 0 and variance 1; constant rows become 0.

    Shapes:
        rows: (units, samples).
    """
    # A constant's mean may be off by a rounding, so look at the range.
    constant = np.ptp(rows, axis=1, keepdims=True) == 0
    centred = rows - rows.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.mean(centred**2, axis=1, keepdims=True))
    safe = np.where(constant | (scale == 0), 1.0, scale)
    return np.where(constant, 0.0, centred / safe)


def _runs(patterns: npt.NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Returns where every run of tied values starts and ends."""
    fresh = np.flatnonzero(patterns[1:] != patterns[:-1]) + 1
    starts = np.concatenate([[0], fresh])
    return starts, np.concatenate([fresh, [len(patterns)]])


def _twice_mid_ranks(patterns: npt.NDArray[np.uint64]) -> Ints:
    starts, ends = _runs(patterns)
    return np.repeat(starts + ends - 1, ends - starts)
