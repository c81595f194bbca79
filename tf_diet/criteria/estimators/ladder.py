"""Mutual information with a scalar or ordered target, on five histograms.

A Gaussian copula gives a first guess. Histograms of 4 x 4, 8 x 8, ... up to
64 x 64 equal-mass bins say where it is wrong, see `climb`. Weak dependence
thus keeps the small error of the parametric guess, strong dependence of any
form is found by the histograms.
"""

import dataclasses
import functools
import itertools

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from tf_diet.criteria.estimators import copula, ranks
from tf_diet.criteria.estimators.chance import n_log_n, split_gain
from tf_diet.criteria.estimators.checks import (
    Array,
    Floats,
    check_scalar,
    check_target,
    check_units,
)
from tf_diet.criteria.estimators.climb import Rungs, climb
from tf_diet.criteria.estimators.ranks import Ints

# Units that are worked on together: their sorted rows, and their histograms,
# stay in the processor's cache.
_SORTED = 8
_COUNTED = 32
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
    for start in range(0, x.shape[1], _COUNTED):
        chunk = slice(start, start + _COUNTED)
        rows = ranks.float32_order(np.ascontiguousarray(x[:, chunk].T))
        counted = _count(rows, target, bins)
        rungs.append(_rungs(counted, target))
        # A unit with one bin that holds anything says nothing.
        spread = _filled(counted.rows) > 1
        most.append(np.where(spread, counted.most, 0.0))
    information = climb(Rungs.joined(rungs), len(x), z)
    allowed = np.minimum(np.concatenate(most), target.most)
    return np.clip(information, 0.0, allowed)


@dataclasses.dataclass(frozen=True)
class _Target:
    """What is prepared once for all units."""

    codes: Ints
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
    row = ranks.float32_order(y[None])
    bits = ranks.sort_with(row, np.arange(len(y), dtype=np.uint64))
    edges = ranks.sorted_bins(bits, bins)
    codes = np.empty(len(y), np.int64)
    codes[ranks.low(bits)[0]] = ranks.bin_codes(edges[0])
    counts = np.diff(edges)
    scores = _bin_scores(edges, len(y))
    variance = float(np.sum(counts * scores**2) / len(y))
    most = _most(bits, edges)
    return _Target(codes, counts[0], scores[0], variance, float(most[0]))


def _count(rows: Array, target: _Target, bins: int) -> _Counted:
    units, samples = rows.shape
    edges = np.empty((units, bins + 1), np.int64)
    joint = np.empty((units, bins, bins), np.int64)
    most = np.empty(units)
    for start in range(0, units, _SORTED):
        chunk = slice(start, start + _SORTED)
        bits = ranks.sort_with(rows[chunk], target.codes.view(np.uint64))
        edges[chunk] = ranks.sorted_bins(bits, bins)
        most[chunk] = _most(bits, edges[chunk])
        joint[chunk] = _histograms(ranks.low(bits), edges[chunk])
    scores = _bin_scores(edges, samples)
    return _Counted(joint, np.diff(edges), scores, most)


def _histograms(codes: Ints, edges: Ints) -> Ints:
    """Counts target codes, given in the order of each unit, by its bins."""
    units, samples = codes.shape
    bins = edges.shape[1] - 1
    regular = np.arange(bins + 1) * samples // bins
    cells = codes + ranks.bin_codes(regular) * bins
    for unit in np.flatnonzero((edges != regular).any(axis=1)):
        cells[unit] = codes[unit] + ranks.bin_codes(edges[unit]) * bins
    cells += np.arange(units)[:, None] * bins**2
    counts = np.bincount(cells.ravel(), minlength=units * bins**2)
    return counts.reshape(units, bins, bins)


def _bin_scores(edges: Ints, samples: int) -> Floats:
    """Mean normal score of every bin; 0 for an empty one."""
    total = _summed_scores(samples)[edges]
    return np.diff(total) / np.maximum(np.diff(edges), 1)


def _most(bits: npt.NDArray[np.uint64], edges: Ints) -> Floats:
    """The entropy of units whose bins hold one value each, else infinity."""
    most = np.full(len(bits), np.inf)
    ends = np.maximum(edges[:, 1:] - 1, 0)
    in_first = bits[np.arange(len(bits)), ends[:, 0]]
    # Few units get past this: the first bin of a continuous one is mixed.
    for unit in np.flatnonzero(ranks.high(in_first) == ranks.high(bits[:, 0])):
        counts = np.diff(edges[unit])
        filled = counts > 0
        lasts = bits[unit, ends[unit]][filled]
        firsts = bits[unit, edges[unit, :-1][filled]]
        if np.array_equal(ranks.high(firsts), ranks.high(lasts)):
            share = counts[filled] / bits.shape[1]
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
        cells = table[joint].sum(axis=(1, 2)) - table[rows].sum(axis=1)
        plug_in = (cells - table[columns].sum() + table[samples]) / samples
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
    r, c = in_rows[:, :, None], in_columns[:, None, :]
    if r.all() and c.all():
        gain = four[joint]
    else:
        gain = np.where(r & c, four[joint], np.where(r | c, two[joint], 0))
    marginals = in_rows.sum(axis=1) + in_columns.sum(axis=1)
    return gain.sum(axis=(1, 2)) - marginals / 2


def _splits(counts: Ints) -> np.ndarray:
    halves = counts.reshape(len(counts), -1, 2)
    return halves.min(axis=2) > _SPLIT * halves.sum(axis=2)


def _filled(counts: Ints) -> Ints:
    return np.sum(counts > 0, axis=1)


@functools.lru_cache(maxsize=8)
def _summed_scores(samples: int) -> Floats:
    scores = ndtri((np.arange(samples) + 0.5) / samples)
    return np.concatenate([[0.0], np.cumsum(scores)])
