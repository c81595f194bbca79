# SPDX-License-Identifier: MIT
"""Mutual information with unordered classes."""

import numpy as np

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.criteria.estimators import ranks
from tf_diet.criteria.estimators.bias_correction import n_log_n
from tf_diet.criteria.estimators.bins import equal_mass
from tf_diet.criteria.estimators.features import class_codes
from tf_diet.criteria.estimators.vector import to_nats
from tf_diet.extensions import register_estimator

_UNITS = 32
_STANDS_OUT = 4
# With fewer samples a class than this its histogram is mostly chance.
_SAMPLES_PER_CLASS = 10


@register_estimator()
def classes(x: Array, y: Array) -> Floats:
    """Mutual information of every unit with an unordered class a sample.

    An analysis of variance of normal scores, replaced by a histogram of
    equal-mass bins where there are ten samples a class and the histogram
    sees more than chance explains.

    Args:
        x: units, checked.
        y: labels: strings, booleans or integers whose order means nothing.
            A row of a matrix, such as one-hot, is one label.

    Shapes:
        x: (samples, units).
        y: (samples,) or (samples, dimensions).

    Returns:
        Nats, shape (units,), at most the entropy of the classes; exactly 0
        for constant units.
    """
    codes = class_codes(y)
    counts = np.bincount(codes)
    samples = len(codes)
    information = np.empty(x.shape[1])
    for start in range(0, x.shape[1], _UNITS):
        chunk = slice(start, start + _UNITS)
        rows = np.ascontiguousarray(x[:, chunk].T)
        best = _between_classes(rows, codes, counts)
        if samples >= _SAMPLES_PER_CLASS * len(counts):
            seen, error = _histogram(rows, codes, counts)
            higher = seen > best + _STANDS_OUT * error
            best = np.where(higher, seen, best)
        information[chunk] = best
    share = counts / samples
    return np.minimum(information, -np.sum(share * np.log(share)))


def _between_classes(rows: Array, codes: Ints, counts: Ints) -> Floats:
    scores = ranks.normal_scores(rows)
    samples = len(codes)
    # Sorting by class first makes every class one slice.
    ordered = scores[:, np.argsort(codes, kind="stable")]
    starts = np.cumsum(counts) - counts
    totals = np.add.reduceat(ordered, starts, axis=1)
    share = np.sum(totals**2 / counts, axis=1) / samples
    left = max(samples - len(counts), 1)
    return to_nats(1 - (1 - share) * (samples - 1) / left)


def _histogram(rows: Array, codes: Ints, counts: Ints) -> tuple[Floats, Floats]:
    """Returns nats without the bias of chance, and their standard error."""
    samples, number = len(codes), len(counts)
    bins = _bins(samples, number)
    binned = equal_mass(rows, bins)
    table = n_log_n(samples)
    nats, error = np.empty(len(rows)), np.empty(len(rows))
    for unit in range(len(rows)):
        cells = binned.codes[unit].astype(np.int64) * number + codes
        joint = np.bincount(cells, minlength=bins * number)
        mass = binned.counts[unit]
        plug_in = table[joint].sum() - table[mass].sum() - table[counts].sum()
        freedom = (np.sum(mass > 0) - 1) * (number - 1)
        nats[unit] = (plug_in + table[samples] - freedom / 2) / samples
        error[unit] = np.sqrt(2 * freedom) / (2 * samples)
    return np.maximum(nats, 0.0), error


def _bins(samples: int, number: int) -> int:
    """As many bins as leave a few samples a cell, from 4 to 32."""
    room = samples / (2 * number)
    return int(2 ** np.clip(np.floor(np.log2(max(room, 1))), 2, 5))
