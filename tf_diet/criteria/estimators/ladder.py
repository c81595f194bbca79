# SPDX-License-Identifier: MIT
"""Mutual information with a scalar or ordered target, on five histograms.

A Gaussian copula gives a first guess. Histograms of 4 x 4, 8 x 8, ... up to
64 x 64 equal-mass bins say where it is wrong, see `multiscale_histogram`. Weak
dependence thus keeps the small error of the parametric guess, strong dependence
of any form is found by the histograms.
"""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
from scipy.special import entr, ndtri

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.estimators import copula
from tf_diet.criteria.estimators.bins import Binned, equal_mass
from tf_diet.criteria.estimators.checks import check_scalar
from tf_diet.criteria.estimators.joint_histograms import joint_histograms
from tf_diet.criteria.estimators.multiscale_histogram import (
    Rungs,
    multiscale_histogram,
)
from tf_diet.extensions import register_estimator

# Units that are worked on together: more take memory, fewer take longer.
_TOGETHER = 256
# A side with less than this variance left is made of ties, not of bins.
_CONTINUOUS = 0.9


@register_estimator()
def ladder(x: Array, y: Array, *, z: float = 3.75) -> Floats:
    """Mutual information of every unit with one ordered number a sample.

    Args:
        x: units, checked.
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
        InputError: the target is a vector or holds labels.
    """
    y = check_scalar(y, "ladder")
    bins = _bins(len(x))
    target = _Scored.of(y[None], bins)
    rungs, most = [], []
    for rows in _rows(x):
        units = _Scored.of(rows, bins)
        rungs.append(_rungs(units, target))
        # A unit with one bin that holds anything says nothing.
        spread = np.count_nonzero(units.binned.counts, axis=1) > 1
        most.append(np.where(spread, units.most, 0.0))
    information = multiscale_histogram(Rungs.joined(rungs), len(x), z)
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
class _Scored:
    """Units, or the target, in bins of equal mass.

    Args:
        binned: the bins.
        scores: mean normal score of every bin; 0 for an empty one.
        variance: of the scores of all samples.
        most: the entropy of units whose bins hold one value each, else
            infinity.

    Shapes:
        scores: (units, bins).
        variance: (units,).
        most: (units,).
    """

    binned: Binned
    scores: Floats
    variance: Floats
    most: Floats

    @staticmethod
    def of(rows: Array, bins: int) -> "_Scored":
        samples = rows.shape[1]
        binned = equal_mass(rows, bins)
        counts = binned.counts
        scores = np.diff(_summed_scores(samples)[binned.edges])
        scores /= np.maximum(counts, 1)
        variance = np.sum(counts * scores**2, axis=1) / samples
        most = np.full(len(rows), np.inf)
        share = counts[binned.pure] / samples
        most[binned.pure] = entr(share).sum(axis=1)
        return _Scored(binned, scores, variance, most)


def _bins(samples: int) -> int:
    if samples < 64:
        return 4
    if samples < 1000:
        return 16
    return 32 if samples < 4000 else 64


def _rungs(units: _Scored, target: _Scored) -> Rungs:
    samples = units.binned.codes.shape[1]
    levels = joint_histograms(
        units.binned,
        target.binned,
        units.scores,
        target.scores[0],
        copula.LEVELS[0],
    )
    covariance = levels.product / samples
    guess = _gaussian_guess(covariance, units, target, samples)
    whole = np.isfinite(units.most) & np.isfinite(target.most)
    return Rungs(guess, levels.plug_in, levels.chance, whole)


def _gaussian_guess(
    covariance: Floats, units: _Scored, target: _Scored, samples: int
) -> Floats:
    """Information of a Gaussian copula with the correlation that is seen."""
    scale = units.variance * target.variance
    squared = covariance**2 / np.where(scale > 0, scale, 1.0)
    adjusted = 1 - (1 - squared) * (samples - 1) / (samples - 2)
    # Bins blur a continuous side, ties are what the values really are.
    for spread in (units.variance, target.variance):
        adjusted = adjusted / np.where(spread > _CONTINUOUS, spread, 1.0)
    most = -np.expm1(-2 * copula.LARGEST)
    return -np.log1p(-np.minimum(adjusted, most)) / 2


@functools.lru_cache(maxsize=8)
def _summed_scores(samples: int) -> Floats:
    scores = ndtri((np.arange(samples) + 0.5) / samples)
    return np.concatenate([[0.0], np.cumsum(scores)])
