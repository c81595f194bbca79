# SPDX-License-Identifier: MIT
"""EDGE: mutual information from a dependence graph of hashed samples."""

import functools

import numpy as np

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.criteria.estimators.checks import is_label
from tf_diet.criteria.estimators.features import class_codes
from tf_diet.criteria.estimators.ranks import standardised
from tf_diet.extensions import register_estimator

# Bandwidths of the ensemble, in units of the basic one.
SCALES = tuple(np.linspace(1.0, 3.0, 8))
_SEED = 0
# A cell counts at most this much, the bound U of the paper.
_MOST = 10.0


@register_estimator()
def edge(x: Array, y: Array) -> Floats:
    """Mutual information by the ensemble dependence graph estimator.

    Samples are hashed into cells of one bandwidth, cells of the unit and
    cells of the target that share samples are joined by an edge, and each
    edge counts g(w) = w ln w of its weight w, the frequency of the pair over
    the product of those of its ends. Estimates at several bandwidths are
    combined with the weights that cancel the first terms of the bias.

    For comparison with what the paper on lottery tickets used: slower than
    "ladder" and biased on vectors, see the guide on mutual information.

    Args:
        x: units, checked.
        y: the target: numbers, a vector, or labels.

    Shapes:
        x: (samples, units).
        y: (samples,) or (samples, dimensions).

    Returns:
        Nats, shape (units,); exactly 0 for constant units.

    Source:
        Noshad, Zeng and Hero, "Scalable mutual information estimation using
        dependence graphs", ICASSP 2019: the base estimator, and the ensemble
        of bandwidths t N^(-1/2d).
    """
    labels = is_label(y)
    y = class_codes(y) if labels else y
    columns = standardised(np.atleast_2d(y.T).astype(np.float64))
    targets = [
        class_codes(y) if labels else cells(columns, _width(scale, *y.shape))
        for scale in SCALES
    ]
    weights = ensemble_weights(SCALES)
    nats = np.zeros(x.shape[1])
    for unit, values in enumerate(x.T.astype(np.float64)):
        row = standardised(values[None])
        if not row.any():
            continue
        each = [
            graph_nats(cells(row, _width(scale, *y.shape)), target)
            for scale, target in zip(SCALES, targets, strict=True)
        ]
        nats[unit] = max(float(np.dot(weights, each)), 0.0)
    return nats


def _width(scale: float, samples: int, dimensions: int = 1) -> float:
    return float(scale * samples ** (-1 / (2 * (1 + dimensions))))


def cells(rows: Floats, width: float) -> Ints:
    """Returns the cell of each sample, numbered from 0.

    Args:
        rows: one dimension a row.
        width: of a cell along every dimension.

    Shapes:
        rows: (dimensions, samples).
    """
    shift = np.random.default_rng(_SEED).random((len(rows), 1))
    places = np.floor(rows / width + shift).astype(np.int64)
    if len(places) == 1:
        return places[0] - places[0].min()
    return np.unique(places, axis=1, return_inverse=True)[1].reshape(-1)


def graph_nats(left: Ints, right: Ints) -> float:
    """Sums g over the edges of a dependence graph.

    Args:
        left: the cell of each sample on one side.
        right: the cell of each sample on the other.

    Shapes:
        left: (samples,).
        right: (samples,).
    """
    samples, wide = len(left), int(right.max()) + 1
    pairs, joint = np.unique(left * wide + right, return_counts=True)
    ends = np.bincount(left)[pairs // wide] * np.bincount(right)[pairs % wide]
    weight = joint * (samples / ends)
    gains = np.minimum(np.log(weight), _MOST)
    return float(np.sum(joint * gains) / samples)


@functools.cache
def ensemble_weights(scales: tuple[float, ...]) -> Floats:
    """Returns the smallest weights that cancel the bias of first orders.

    They sum to one, and to zero against the bandwidth and against the number
    of cells that it makes, which is what chance adds.

    Args:
        scales: bandwidths, in any unit.
    """
    t = np.array(scales)
    moments = np.stack([np.ones_like(t), t, t**-2.0])
    return np.linalg.pinv(moments) @ np.array([1.0, 0.0, 0.0])
