"""Mutual information with a scalar or ordered target, on five histograms.

A Gaussian copula gives a first guess. Histograms of 4 x 4, 8 x 8, ... up to
64 x 64 equal-mass bins say where it is wrong, see `climb`. Weak dependence
thus keeps the small error of the parametric guess, strong dependence of any
form is found by the histograms.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from tf_diet.criteria.estimators import copula
from tf_diet.criteria.estimators.bins import Binned, Ints, equal_mass
from tf_diet.criteria.estimators.chance import n_log_n, split_gain
from tf_diet.criteria.estimators.checks import (
    Array,
    Floats,
    check_scalar,
    check_target,
    check_units,
)
from tf_diet.criteria.estimators.climb import Rungs, climb

# Units that are worked on together: more take memory, fewer take longer.
_TOGETHER = 64
# A side with less than this variance left is made of ties, not of bins.
_CONTINUOUS = 0.9
# A bin is split evenly enough for its halves to be told apart.
_SPLIT = 0.2


def ladder(x: Array, y: Array, *, z: float = 3.75) -> Floats:
    """Mutual information of every unit with one ordered number a sample.

    Args:
        x: units.
        y: the target; ordered integer codes, such as mu-law, count as
            numbers.
        z: how many standard errors a histogram must stand out by before the
            unit counts as anything but Gaussian. Lower finds more of the weak
            units, and gives more of the independent ones something.

    Shapes:
        x: (samples, units).
        y: (samples,).

    Returns:
        Nats, shape (units,); exactly 0 for constant units.

    Raises:
        InputError: shapes do not fit, too few samples, or NaN.
    """
    x = check_units(x)
    y = check_scalar(check_target(y, len(x)), "ladder")
    bins = _bins(len(x))
    target = _target(y, bins)
    rungs, most = [], []
    for rows in _rows(x):
        counted = _count(rows, target, bins)
        rungs.append(_rungs(counted, target))
        # A unit with one bin that holds anything says nothing.
        spread = _filled(counted.rows) > 1
        most.append(np.where(spread, counted.most, 0.0))
    information = climb(Rungs.joined(rungs), len(x), z)
    allowed = np.minimum(np.concatenate(most), target.most)
    return np.clip(information, 0.0, allowed)


def _rows(x: Array) -> Iterator[Array]:
    """Yields some units at a time, one a row."""
    for start in range(0, x.shape[1], _TOGETHER):
        read = x[:, start : start + _TOGETHER]
        if not x.flags.f_contiguous:
            # Whole lines of memory are read once, and turned in the cache.
            read = np.ascontiguousarray(read)
        yield np.ascontiguousarray(read.T)


@dataclasses.dataclass(frozen=True)
class _Target:
    """What is prepared once for all units."""

    codes: npt.NDArray[np.uint8]
    counts: Ints
    scores: Floats
    variance: float
    most: float


@dataclasses.dataclass(frozen=True)
class _Counted:
    """Histograms of a chunk of units against the target."""

    joint: Ints
    rows: Ints
    scores: Floats
    most: Floats


def _bins(samples: int) -> int:
    if samples < 64:
        return 4
    if samples < 1000:
        return 16
    return 32 if samples < 4000 else 64


def _target(y: Array, bins: int) -> _Target:
    binned = equal_mass(y[None], bins)
    counts = binned.counts
    scores = _bin_scores(binned.edges, len(y))
    variance = float(np.sum(counts * scores**2) / len(y))
    most = float(_most(binned)[0])
    return _Target(binned.codes[0], counts[0], scores[0], variance, most)


def _count(rows: Array, target: _Target, bins: int) -> _Counted:
    units, samples = rows.shape
    binned = equal_mass(rows, bins)
    within = binned.codes * np.uint16(bins)
    within += target.codes
    cells = within + np.arange(units)[:, None] * bins**2
    counts = np.bincount(cells.ravel(), minlength=units * bins**2)
    joint = counts.reshape(units, bins, bins)
    scores = _bin_scores(binned.edges, samples)
    return _Counted(joint, binned.counts, scores, _most(binned))


def _bin_scores(edges: Ints, samples: int) -> Floats:
    """Mean normal score of every bin; 0 for an empty one."""
    total = _summed_scores(samples)[edges]
    return np.diff(total) / np.maximum(np.diff(edges), 1)


def _most(binned: Binned) -> Floats:
    """The entropy of units whose bins hold one value each, else infinity."""
    most = np.full(len(binned.pure), np.inf)
    for unit in np.flatnonzero(binned.pure):
        counts = binned.counts[unit]
        share = counts[counts > 0] / counts.sum()
        most[unit] = -np.sum(share * np.log(share))
    return most


def _rungs(counted: _Counted, target: _Target) -> Rungs:
    samples = len(target.codes)
    levels = _levels(counted, target)
    coarsest = levels[0]
    sides = _filled(coarsest.rows), _filled(coarsest.columns)
    chance = [(sides[0] - 1) * (sides[1] - 1) / 2]
    pairs = itertools.pairwise(levels)
    chance += [_chance_gain(coarse, fine) for coarse, fine in pairs]
    guess = _gaussian_guess(counted, target, samples)
    plug_in = [level.plug_in for level in levels]
    whole = np.isfinite(counted.most) & np.isfinite(target.most)
    return Rungs(guess, np.stack(plug_in), np.stack(chance), whole)


def _gaussian_guess(counted: _Counted, target: _Target, samples: int) -> Floats:
    """Information of a Gaussian copula with the correlation that is seen."""
    towards = counted.joint @ target.scores
    covariance = np.sum(towards * counted.scores, axis=1) / samples
    variance = np.sum(counted.rows * counted.scores**2, axis=1) / samples
    scale = variance * target.variance
    squared = covariance**2 / np.where(scale > 0, scale, 1.0)
    adjusted = 1 - (1 - squared) * (samples - 1) / (samples - 2)
    # Bins blur a continuous side, ties are what the values really are.
    for spread in (variance, np.full_like(variance, target.variance)):
        adjusted = adjusted / np.where(spread > _CONTINUOUS, spread, 1.0)
    most = -np.expm1(-2 * copula.LARGEST)
    return -np.log1p(-np.minimum(adjusted, most)) / 2


@dataclasses.dataclass(frozen=True)
class _Level:
    """The histograms of a chunk of units at one resolution."""

    bins: int
    joint: Ints
    rows: Ints
    columns: Ints
    plug_in: Floats


def _levels(counted: _Counted, target: _Target) -> list[_Level]:
    """Returns the histograms, coarsest first."""
    joint, rows, columns = counted.joint, counted.rows, target.counts[None]
    samples = len(target.codes)
    table = n_log_n(samples)
    levels: list[_Level] = []
    while True:
        cells = _summed(table, joint) - _summed(table, rows)
        plug_in = (cells - _summed(table, columns) + table[samples]) / samples
        bins = joint.shape[1]
        levels.insert(0, _Level(bins, joint, rows, columns, plug_in))
        if bins == copula.LEVELS[0]:
            return levels
        joint = joint[:, ::2] + joint[:, 1::2]
        joint = joint[:, :, ::2] + joint[:, :, 1::2]
        rows = rows[:, ::2] + rows[:, 1::2]
        columns = columns[:, ::2] + columns[:, 1::2]


def _chance_gain(coarse: _Level, fine: _Level) -> Floats:
    """N times what the plug-in gains by chance from one level to the next.

    That is what it gains if each coarse cell is split without regard to the
    other side.
    """
    in_rows = _splits(fine.rows)
    in_columns = _splits(fine.columns)
    most = int(fine.rows.sum(axis=1).max())
    four, two = split_gain(most, 4), split_gain(most, 2)
    joint = coarse.joint
    marginals = in_rows.sum(axis=1) + in_columns.sum(axis=1)
    if in_rows.all() and in_columns.all():
        return _summed(four, joint) - marginals / 2
    r, c = in_rows[:, :, None], in_columns[:, None, :]
    gain = np.where(r & c, four[joint], np.where(r | c, two[joint], 0))
    return gain.sum(axis=(1, 2)) - marginals / 2


def _splits(counts: Ints) -> np.ndarray:
    left, right = counts[:, ::2], counts[:, 1::2]
    return np.minimum(left, right) > _SPLIT * (left + right)


def _summed(table: Floats, counts: Ints) -> Floats:
    """Looks counts up and sums them for every unit."""
    return table.take(counts.reshape(len(counts), -1)).sum(axis=1)


def _filled(counts: Ints) -> Ints:
    return np.sum(counts > 0, axis=1)


@functools.lru_cache(maxsize=8)
def _summed_scores(samples: int) -> Floats:
    scores = ndtri((np.arange(samples) + 0.5) / samples)
    return np.concatenate([[0.0], np.cumsum(scores)])
