# SPDX-License-Identifier: MIT
"""The nearest-neighbour estimators of scikit-learn, as an oracle."""

import numpy as np

from tf_diet import optional
from tf_diet.arrays import Array, Floats
from tf_diet.criteria.estimators.checks import check_scalar, is_label
from tf_diet.criteria.estimators.features import class_codes
from tf_diet.extensions import register_estimator


@register_estimator()
def neighbours(x: Array, y: Array) -> Floats:
    """Mutual information by k-nearest neighbours, k = 3.

    Closest in nats where dependence is strong and sharp; a hundred times
    slower than the others, and noisy on weak units.

    Args:
        x: units, checked.
        y: the target: numbers, or labels for classes.

    Shapes:
        x: (samples, units).
        y: (samples,).

    Returns:
        Nats, shape (units,); exactly 0 for constant units.

    Raises:
        InputError: the target is a vector.
        MissingDependencyError: scikit-learn is not installed.

    Source:
        Kraskov, Stögbauer and Grassberger 2004; Ross 2014 for classes.
    """
    sklearn = optional.require("sklearn.feature_selection", extra="dev")
    if is_label(y):
        estimate, y = sklearn.mutual_info_classif, class_codes(y)
    else:
        estimate = sklearn.mutual_info_regression
        y = check_scalar(y, "neighbours")
    # One call a unit: the tiny noise that breaks ties is then the same for
    # all, and equal units stay equal.
    return np.array(
        [
            estimate(unit[:, None], y, discrete_features=False, random_state=0)[
                0
            ]
            if np.ptp(unit)
            else 0.0
            for unit in x.T
        ]
    )
