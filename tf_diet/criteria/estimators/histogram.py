# SPDX-License-Identifier: MIT
"""Mutual information from one plain histogram."""

import numpy as np

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.criteria.estimators.bias_correction import n_log_n
from tf_diet.criteria.estimators.bins import MOST_BINS, equal_mass
from tf_diet.criteria.estimators.checks import is_label
from tf_diet.criteria.estimators.features import class_codes
from tf_diet.errors import InputError
from tf_diet.extensions import register_estimator


@register_estimator()
def histogram(x: Array, y: Array, *, corrected: bool = True) -> Floats:
    """Mutual information of two sides cut into bins of equal mass.

    There are N^(1/3) bins, at most 128. From the plug-in value goes what
    chance adds, (rows - 1)(columns - 1) / 2N, counting filled bins; not less
    than 0 is left. It is low on sharp dependence, which one resolution blurs;
    "ladder" is this and a correction for it.

    Args:
        x: units, checked.
        y: the target: numbers, or labels, which are not cut.
        corrected: False for the plug-in value itself, which is high.

    Shapes:
        x: (samples, units).
        y: (samples,).

    Returns:
        Nats, shape (units,); exactly 0 for constant units.

    Raises:
        InputError: the target is a vector.

    Source:
        Miller, "Note on the bias of information estimates", 1955.
    """
    samples = len(y)
    bins = min(max(2, round(samples ** (1 / 3))), MOST_BINS)
    if is_label(y):
        codes = class_codes(y)
    elif y.ndim == 1:
        codes = bin_of_each(y, bins)
    else:
        raise InputError(
            "The 'histogram' estimator needs one number or label a sample. "
            f"Received: shape {y.shape}. Use method='vector' for vectors."
        )
    columns = np.bincount(codes)
    table = n_log_n(samples)
    nats = np.empty(x.shape[1])
    for unit, values in enumerate(x.T):
        cells = bin_of_each(values, bins) * len(columns) + codes
        joint = np.bincount(cells, minlength=bins * len(columns))
        rows = joint.reshape(bins, -1).sum(axis=1)
        freedom = (np.sum(rows > 0) - 1) * (np.sum(columns > 0) - 1)
        summed = table[joint].sum() - table[rows].sum() - table[columns].sum()
        chance = freedom / 2 if corrected else 0.0
        nats[unit] = (summed + table[samples] - chance) / samples
    return np.where(np.ptp(x, axis=0) > 0, np.maximum(nats, 0.0), 0.0)


def bin_of_each(values: Array, bins: int) -> Ints:
    """Returns the bin of equal mass of each sample; ties share one.

    Shapes:
        values: (samples,).
    """
    return equal_mass(values[None], bins).codes[0].astype(np.int64)
