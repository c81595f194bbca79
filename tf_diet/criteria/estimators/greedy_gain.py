# SPDX-License-Identifier: MIT
"""What each unit adds to those already chosen."""

import numpy as np

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.estimators.checks import check_target, check_units
from tf_diet.criteria.estimators.features import features
from tf_diet.criteria.estimators.ranks import standardised

_RIDGE = 1e-3
# Independent units gain 1 / samples on average; the best of many gains more.
_CHANCE = 4.0
_UNITS = 128


def gain(x: Array, y: Array) -> Floats:
    """The share of the target that each unit adds, in greedy order.

    Units enter one by one, the one that explains most of the target's
    features beyond all units before it first. A copy of a unit adds nothing,
    so redundant units rank last, and the values of a layer add up to what the
    whole layer explains.

    Where a unit helps only because an earlier one came first, both get their
    mean, so that ranking by value never keeps the later without the earlier.
    Once no unit explains more than chance does, the rest get what they
    explain beyond the chosen ones.

    Args:
        x: units.
        y: the target: numbers, a vector, or labels for classes.

    Shapes:
        x: (samples, units).
        y: (samples,) or (samples, dimensions).

    Returns:
        Shares from 0 to 1, shape (units,); exactly 0 for constant units.

    Raises:
        InputError: shapes do not fit, too few samples, or NaN.
    """
    x = check_units(x)
    basis = features(check_target(y, len(x)))
    samples, size = basis.shape
    if not size:
        return np.zeros(x.shape[1])
    units = np.empty(x.shape[::-1], np.float32)
    for start in range(0, len(units), _UNITS):
        chunk = slice(start, start + _UNITS)
        units[chunk] = standardised(x[:, chunk].T.astype(np.float64))
    towards = (units @ basis.astype(np.float32)) / np.float32(np.sqrt(samples))
    chance = (1 + _CHANCE * np.sqrt(2 / size)) / samples
    gains = _forward(units @ units.T / samples, towards, chance)
    return np.where(np.ptp(x, axis=0) > 0, gains, 0.0)


def _forward(correlation: Array, towards: Array, chance: float) -> Floats:
    """Greedy forward selection by a partial Cholesky factorisation.

    Args:
        correlation: of the units.
        towards: correlation of units and features; overwritten.
        chance: the gain below which nothing more is chosen.

    Shapes:
        correlation: (units, units).
        towards: (units, features).
    """
    units, size = towards.shape
    left = np.ones(units, np.float32) + np.float32(_RIDGE)
    floor = left.min() * np.float32(_RIDGE)
    factor = np.empty((units, units), np.float32)
    waiting = np.ones(units, bool)
    order: list[int] = []
    gains = np.zeros(units)
    for step in range(units):
        ratio = np.einsum("uf,uf->u", towards, towards) / (left * size)
        ratio[~waiting] = -1.0
        best = int(np.argmax(ratio))
        if ratio[best] <= chance:
            gains[waiting] = ratio[waiting]
            break
        gains[best] = ratio[best]
        order.append(best)
        waiting[best] = False
        column = correlation[:, best].copy()
        column[best] += np.float32(_RIDGE)
        column -= factor[:, :step] @ factor[best, :step]
        column /= np.sqrt(left[best])
        factor[:, step] = column
        towards -= np.outer(column, towards[best] / np.sqrt(left[best]))
        left = np.maximum(left - column**2, floor)
    gains[order] = _never_rising(gains[order])
    return gains


def _never_rising(values: Floats) -> Floats:
    """Pools neighbours until no value exceeds the one before it."""
    pools: list[tuple[float, int]] = []
    for value in values:
        total, count = float(value), 1
        while pools and total / count > pools[-1][0] / pools[-1][1]:
            earlier, number = pools.pop()
            total, count = total + earlier, count + number
        pools.append((total, count))
    return np.array([t / c for t, c in pools for _ in range(c)])
