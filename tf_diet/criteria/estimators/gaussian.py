# SPDX-License-Identifier: MIT
"""Mutual information of a Gaussian copula: linear in normal scores."""

import numpy as np

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.estimators.checks import check_scalar
from tf_diet.criteria.estimators.ranks import normal_scores
from tf_diet.criteria.estimators.vector import to_nats
from tf_diet.extensions import register_estimator


@register_estimator()
def gaussian(x: Array, y: Array) -> Floats:
    """Mutual information of every unit under a Gaussian copula.

    Blind to dependence that is not monotone, such as y = x ** 2.

    Args:
        x: units, checked.
        y: the target.

    Shapes:
        x: (samples, units).
        y: (samples,).

    Returns:
        Nats, shape (units,); exactly 0 for constant units.

    Raises:
        InputError: the target is a vector or holds labels.
    """
    y = check_scalar(y, "gaussian")
    samples = len(y)
    (target,) = normal_scores(y[None])
    scores = normal_scores(np.ascontiguousarray(x.T))
    squared = (scores @ target / samples) ** 2
    return to_nats(1 - (1 - squared) * (samples - 1) / (samples - 2))
