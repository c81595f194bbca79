"""Mutual information from one plain histogram."""

import numpy as np

from tf_diet.criteria.estimators import ranks
from tf_diet.criteria.estimators.chance import n_log_n
from tf_diet.criteria.estimators.checks import (
    Array,
    Floats,
    check_target,
    check_units,
    is_label,
)
from tf_diet.criteria.estimators.features import class_codes
from tf_diet.criteria.estimators.ranks import Ints
from tf_diet.errors import InputError


def histogram(x: Array, y: Array, *, corrected: bool = True) -> Floats:
    """Mutual information of two sides cut into N^(1/3) bins of equal mass.

    The plug-in value less what chance adds, (rows - 1)(columns - 1) / 2N,
    counting filled bins; not less than 0. It is low on sharp dependence,
    which one resolution blurs; "ladder" is this and a correction for it.

    Args:
        x: units.
        y: the target: numbers, or labels, which are not cut.
        corrected: False for the plug-in value itself, which is high.

    Shapes:
        x: (samples, units).
        y: (samples,).

    Returns:
        Nats, shape (units,); exactly 0 for constant units.

    Raises:
        InputError: shapes do not fit, too few samples, or NaN.

    Source:
        Miller, "Note on the bias of information estimates", 1955.
    """
    x = check_units(x)
    y = check_target(y, len(x))
    samples = len(y)
    bins = max(2, round(samples ** (1 / 3)))
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
    row = ranks.float32_order(values[None])
    index = np.arange(len(values), dtype=np.uint64)
    bits = ranks.sort_with(row, index)
    codes = np.empty(len(values), np.int64)
    codes[ranks.low(bits)[0]] = ranks.bin_codes(
        ranks.sorted_bins(bits, bins)[0]
    )
    return codes
