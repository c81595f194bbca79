# SPDX-License-Identifier: MIT
"""What every estimator may take for granted about its two arrays."""

import numpy as np
import numpy.typing as npt

from tf_diet.arrays import Array
from tf_diet.errors import InputError

MIN_SAMPLES = 8


def check_units(x: npt.ArrayLike) -> Array:
    """Returns units as finite floats, one column each.

    Values that float32 holds exactly come back as float32, all others as
    float64.

    Args:
        x: activations, any real or boolean dtype.

    Shapes:
        x: (samples, units), or (samples,) for one unit.

    Returns:
        Array of shape (samples, units).

    Raises:
        InputError: wrong rank, empty, too few samples, not real, or with
            NaN or infinity.
    """
    values = np.asarray(x)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(
            "Units must come as an array of shape (samples, units). "
            f"Received: shape {values.shape}. Put every position of every "
            "example in a row of its own: x.reshape(-1, x.shape[-1])."
        )
    _check_count(values, "Units")
    return check_finite(_as_floats(values, "Units"), "Units")


def check_target(y: npt.ArrayLike, samples: int) -> Array:
    """Returns a target of one value or one vector a sample.

    Args:
        y: numbers, booleans or strings.
        samples: how many rows the units have.

    Shapes:
        y: (samples,) or (samples, dimensions).

    Returns:
        (samples,) for a single column, else (samples, dimensions); numbers
        as finite floats, labels as they came.

    Raises:
        InputError: wrong rank or length, empty, or with NaN or infinity.
    """
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2) or not values.size:
        raise InputError(
            "A target must have shape (samples,) or (samples, dimensions). "
            f"Received: shape {np.shape(y)}. Give one row a sample."
        )
    if len(values) != samples:
        raise InputError(
            "Units and target must have the same number of samples. "
            f"Received: {samples} rows of units, {len(values)} rows of "
            "target. Pair them before estimating."
        )
    if is_label(values):
        return values
    return check_finite(_as_floats(values, "A target"), "A target")


def is_label(y: Array) -> bool:
    """Tells labels (booleans, strings, objects) from numbers."""
    return y.dtype.kind in "bUSO"


def check_scalar(y: Array, method: str) -> Array:
    """Returns `y` if it has one number a sample.

    Raises:
        InputError: it is a vector or holds labels.
    """
    if y.ndim == 1 and not is_label(y):
        return y
    raise InputError(
        f"The {method!r} estimator needs one number a sample. Received: "
        f"dtype {y.dtype}, shape {y.shape}. Use method='vector' for vectors "
        "and method='classes' for labels."
    )


def check_finite(values: Array, what: str) -> Array:
    """Returns `values` if all are finite.

    Raises:
        InputError: there is a NaN or an infinity; the message says where.
    """
    flat = values.ravel(order="K")
    # A sum of squares takes half the time of looking at each, and is finite
    # where all of them are, if they are not huge.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(flat @ flat):
            return values
    finite = np.isfinite(values)
    if finite.all():
        return values
    first = tuple(int(i) for i in np.argwhere(~finite)[0])
    raise InputError(
        f"{what} must be finite numbers. Received: "
        f"{values.size - int(finite.sum())} NaN or infinite values, the "
        f"first at {first}. Drop those rows, or find what made them."
    )


def _check_count(values: Array, what: str) -> None:
    if len(values) < MIN_SAMPLES:
        raise InputError(
            f"{what} need at least {MIN_SAMPLES} samples to estimate "
            f"information. Received: {len(values)}. Give more calibration "
            "data; 5,000 positions is a good number."
        )


def _as_floats(values: Array, what: str) -> Array:
    if values.dtype.kind == "c" or values.dtype.kind in "USOMm":
        raise InputError(
            f"{what} must be real numbers. Received: dtype {values.dtype}. "
            "Convert to floats; of complex values take modulus or parts."
        )
    if values.dtype == np.float32:
        return values
    wide = values.astype(np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return narrow if np.array_equal(narrow, wide) else wide
