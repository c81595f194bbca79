# SPDX-License-Identifier: MIT
"""Histograms of many units with one target, at falling resolution."""

import dataclasses

import numpy as np
import numpy.typing as npt

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.estimators.bias_correction import n_log_n, split_gain
from tf_diet.criteria.estimators.bins import Binned
from tf_diet.criteria.estimators.compiled import compiled, compiled_sum

Counts = npt.NDArray[np.uint32]

# A bin is split evenly enough for its halves to be told apart.
_SPLIT = 0.2


@dataclasses.dataclass(frozen=True)
class Pyramid:
    """What histograms of each resolution say of some units, coarsest first.

    Args:
        plug_in: information between the codes, nats.
        chance: N times what the plug-in gains by chance: in the coarsest
            histogram, then from each to the next, if each coarse cell is
            split without regard to the other side.
        product: of the scores of both sides in the finest, summed over all
            samples.

    Shapes:
        plug_in: (levels, units).
        chance: as plug_in.
        product: (units,).
    """

    plug_in: Floats
    chance: Floats
    product: Floats


def joint_histograms(
    units: Binned,
    target: Binned,
    scores: Floats,
    target_scores: Floats,
    coarsest: int,
) -> Pyramid:
    """Counts samples in pairs of bins, and folds those two by two.

    Args:
        units: some units.
        target: cut into as many bins, as the only unit.
        scores: of every bin of every unit.
        target_scores: of every bin of the target.
        coarsest: bins a side that folding stops at.

    Shapes:
        scores: (units, bins).
        target_scores: (bins,).
    """
    number, samples = units.codes.shape
    bins = scores.shape[1]
    levels = (bins // coarsest).bit_length()
    plug_in, chance = np.empty((2, levels, number))
    product = np.empty(number)
    _climb_down(
        units.codes,
        target.codes[0],
        units.counts,
        target.counts[0],
        scores,
        target_scores,
        (n_log_n(samples), split_gain(samples, 4), split_gain(samples, 2)),
        plug_in,
        chance,
        product,
    )
    return Pyramid(plug_in, chance, product)


@compiled
def _climb_down(
    codes: Array,
    target: Array,
    row_counts: Array,
    column_counts: Array,
    scores: Floats,
    target_scores: Floats,
    tables: tuple[Floats, Floats, Floats],
    plug_in: Floats,
    chance: Floats,
    product: Floats,
) -> None:
    """Fills `plug_in`, `chance` and `product`, see `Pyramid`."""
    samples, finest = len(target), len(target_scores)
    table, four, two = tables
    levels, units = plug_in.shape
    joint = np.empty((finest, finest), np.uint32)
    counts = joint.reshape(finest * finest)
    rows, columns = np.empty(finest, np.uint32), np.empty(finest, np.uint32)
    for unit in range(units):
        _count(codes[unit], target, joint)
        for b in range(finest):
            rows[b], columns[b] = row_counts[unit, b], column_counts[b]
        product[unit] = _multiply(joint, scores[unit], target_scores)
        bins = finest
        for level in range(levels - 1, -1, -1):
            total = _looked_up(table, counts[: bins * bins])
            total -= _looked_up(table, rows[:bins])
            total -= _looked_up(table, columns[:bins])
            plug_in[level, unit] = (total + table[samples]) / samples
            if level:
                bins //= 2
                in_rows = _halve(rows, bins)
                in_columns = _halve(columns, bins)
                _quarter(counts, bins)
                chance[level, unit] = _gained(
                    counts, in_rows, in_columns, four, two
                )
        filled = np.count_nonzero(rows[:bins]), np.count_nonzero(columns[:bins])
        chance[0, unit] = (filled[0] - 1) * (filled[1] - 1) / 2


@compiled
def _count(code: Array, target: Array, joint: Counts) -> None:
    joint[:] = 0
    for i in range(len(code)):
        joint[code[i], target[i]] += 1


@compiled_sum
def _multiply(joint: Counts, scores: Floats, target_scores: Floats) -> float:
    product = 0.0
    for r in range(len(scores)):
        towards = 0.0
        for c in range(len(target_scores)):
            towards += joint[r, c] * target_scores[c]
        product += towards * scores[r]
    return product


@compiled_sum
def _looked_up(table: Floats, counts: Counts) -> float:
    total = 0.0
    for i in range(len(counts)):
        total += table[counts[i]]
    return total


@compiled
def _halve(counts: Counts, bins: int) -> Array:
    """Joins bins by twos, and says which were split evenly enough."""
    even = np.empty(bins, np.bool_)
    for i in range(bins):
        left, right = counts[2 * i], counts[2 * i + 1]
        counts[i] = left + right
        even[i] = min(left, right) > _SPLIT * (left + right)
    return even


@compiled
def _quarter(counts: Counts, bins: int) -> None:
    """Joins cells by twos on both sides."""
    for r in range(bins):
        upper, lower = 4 * r * bins, (4 * r + 2) * bins
        for c in range(bins):
            counts[r * bins + c] = (
                counts[upper + 2 * c]
                + counts[upper + 2 * c + 1]
                + counts[lower + 2 * c]
                + counts[lower + 2 * c + 1]
            )


@compiled_sum
def _gained(
    counts: Counts,
    in_rows: Array,
    in_columns: Array,
    four: Floats,
    two: Floats,
) -> float:
    bins = len(in_rows)
    total = -(in_rows.sum() + in_columns.sum()) / 2
    for r in range(bins):
        row = counts[r * bins : (r + 1) * bins]
        for c in range(bins):
            if in_rows[r] and in_columns[c]:
                total += four[row[c]]
            elif in_rows[r] or in_columns[c]:
                total += two[row[c]]
    return total
