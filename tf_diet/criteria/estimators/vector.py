# SPDX-License-Identifier: MIT
"""Mutual information with a vector, by regression on its features."""

import numpy as np

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.estimators.features import features
from tf_diet.criteria.estimators.ranks import normal_scores
from tf_diet.extensions import register_estimator

_UNITS = 32
# A variance below this is rounding.
_NOTHING = 1e-12
# Products of a unit with a feature come in another order for another column;
# this many digits are free of it, so equal units get equal values.
_DIGITS = 9
_LARGEST = 7.0


@register_estimator()
def vector(x: Array, y: Array) -> Floats:
    """Mutual information of every unit with a vector a sample.

    The adjusted R2 of the unit's normal score, regressed on the first two
    Hermite features of every dimension of the target; or of the square of
    that score where it stands out above the score itself.

    Args:
        x: units, checked.
        y: the target.

    Shapes:
        x: (samples, units).
        y: (samples, dimensions) or (samples,).

    Returns:
        Nats, shape (units,); exactly 0 for constant units.
    """
    basis = features(y)
    samples, size = basis.shape
    # The features never take more than a fifth of the samples' freedom.
    lost = (samples - 1) / max(samples - size - 1, 1)
    stands_out = 4 * np.sqrt(2 * size) / samples
    share = np.empty(x.shape[1])
    for start in range(0, x.shape[1], _UNITS):
        chunk = slice(start, start + _UNITS)
        scores = normal_scores(np.ascontiguousarray(x[:, chunk].T))
        squares = _squares(scores)
        linear, square = (
            1 - (1 - _explained(rows, basis)) * lost
            for rows in (scores, squares)
        )
        share[chunk] = np.where(square > linear + stands_out, square, linear)
    return to_nats(share)


def to_nats(share: Floats) -> Floats:
    """Returns the information of a Gaussian channel from its R2.

    Args:
        share: the explained share of variance; negative counts as 0.
    """
    most = -np.expm1(-2 * _LARGEST)
    nats = -np.log1p(-np.clip(share, 0.0, most)) / 2
    return np.round(nats, _DIGITS) + 0.0


def _squares(scores: Floats) -> Floats:
    """Squares of standardised rows, with what follows the rows taken out."""
    spread = _dot(scores, scores)
    squares = scores**2
    squares -= spread
    squares -= _dot(squares, scores) * scores
    return squares


def _dot(rows: Floats, others: Floats) -> Floats:
    """Mean products, one a row; shape (units, 1)."""
    return np.einsum("ij,ij->i", rows, others)[:, None] / rows.shape[1]


def _explained(rows: Floats, basis: Floats) -> Floats:
    """The share of the variance of centred rows in the span of a basis."""
    variance = np.maximum(_dot(rows, rows)[:, 0], _NOTHING)
    return np.sum((rows @ basis) ** 2, axis=1) / (variance * rows.shape[1])
