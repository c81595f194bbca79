# SPDX-License-Identifier: MIT
"""Checked arrays in, nats out, by whichever estimator fits the target."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from absl import logging

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.estimators.checks import (
    check_target,
    check_units,
    is_label,
)
from tf_diet.errors import InputError
from tf_diet.extensions import estimators as estimators
from tf_diet.extensions import register_estimator as register_estimator

Estimator = Callable[[Array, Array], Floats]


def mutual_information(
    x: npt.ArrayLike, y: npt.ArrayLike, method: str | Estimator = "auto"
) -> Floats:
    """Estimates the mutual information of every unit with a target.

    Args:
        x: units, such as the activations of a layer.
        y: the target: a number, a vector or a label a sample.
        method: the name of an estimator, a function, or "auto", which picks
            by the target and logs which (`chosen` tells it too): "vector" for
            vectors, "classes" for strings and booleans, "ladder" for all
            numbers. Integers count as ordered, as mu-law codes are; say
            "classes" where their order means nothing.

    Shapes:
        x: (samples, units), or (samples,) for one unit.
        y: (samples,) or (samples, dimensions).

    Returns:
        Nats, shape (units,).

    Raises:
        InputError: an unknown method, shapes that do not fit, fewer than 8
            samples, NaN or infinity.
    """
    x = check_units(x)
    y = check_target(y, len(x))
    if method == "auto":
        method = chosen(method, y)
        logging.info("%s of a target of shape %s", method, y.shape)
    estimate = estimators.resolve(method)
    nats = np.asarray(estimate(x, y), dtype=np.float64)
    if nats.shape != (x.shape[1],):
        raise InputError(
            "An estimator must return one value a unit. Received: shape "
            f"{nats.shape} from {method!r} for {x.shape[1]} units. Return an "
            "array of shape (units,)."
        )
    return nats


def chosen(
    method: str | Estimator, y: Array, *, whole: bool = False
) -> str | Estimator:
    """Returns the estimator that a method stands for, "auto" by the target.

    Args:
        method: a name, a function or "auto".
        y: the target.
        whole: whether there is one target for a whole example: then integers
            are classes, not ordered codes.

    Shapes:
        y: (samples,) or (samples, dimensions).
    """
    if method != "auto":
        return method
    numbered = whole and y.ndim == 1 and np.issubdtype(y.dtype, np.integer)
    if numbered or is_label(y):
        return "classes"
    return "vector" if y.ndim == 2 and y.shape[1] > 1 else "ladder"
