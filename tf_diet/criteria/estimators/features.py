# SPDX-License-Identifier: MIT
"""Orthonormal features of a target, which units are regressed on."""

import hashlib
from collections import OrderedDict

import numpy as np

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.estimators.checks import is_label
from tf_diet.criteria.estimators.ranks import normal_scores, standardised

# Directions below this share of the largest singular value are rounding.
_RANK = 1e-6
# Fewer samples than this a feature and a regression explains chance.
_SAMPLES_PER_FEATURE = 5
_MOST_KNOWN = 4
_KNOWN: OrderedDict[tuple[bytes, tuple[int, ...], str], Floats] = OrderedDict()


def features(y: Array) -> Floats:
    """Returns whitened features of a target of any kind.

    Numbers and vectors give the first two Hermite polynomials of the normal
    scores of every dimension, labels give one indicator a class. Where that
    is more than one feature for five samples, the squares of small principal
    components go first, then the small components themselves.

    Args:
        y: a target as `check_target` returns it.

    Shapes:
        y: (samples,) or (samples, dimensions).

    Returns:
        (samples, features), columns centred and orthonormal.
    """
    y = np.ascontiguousarray(y)
    if y.dtype.kind == "O":
        return _of(y)
    # Layers that run at one rate share a target.
    content = hashlib.blake2b(y.tobytes(), digest_size=16).digest()
    key = (content, y.shape, y.dtype.str)
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.popitem(last=False)
        _KNOWN[key] = _of(y)
        _KNOWN[key].setflags(write=False)
    return _KNOWN[key]


def _of(y: Array) -> Floats:
    if is_label(y):
        return _orthonormal(indicators(y))
    scores = normal_scores(np.ascontiguousarray(np.atleast_2d(y.T))).T
    most = max(1, len(y) // _SAMPLES_PER_FEATURE)
    dimensions = scores.shape[1]
    if 2 * dimensions <= most:
        return _orthonormal(np.hstack([scores, scores**2]))
    components = _orthonormal(scores)[:, :most]
    squares = components[:, : most - components.shape[1]] ** 2 * len(y)
    return _orthonormal(np.hstack([components, squares]))


def indicators(y: Array) -> Floats:
    """Returns a column of zeros and ones for every class.

    Shapes:
        y: (samples,) labels, or (samples, dimensions) rows of labels.
    """
    codes = class_codes(y)
    return np.eye(codes.max() + 1)[codes]


def class_codes(y: Array) -> Array:
    """Returns 0, 1, ... for the classes of a target, sorted by label.

    Shapes:
        y: (samples,), or (samples, dimensions) with a class a distinct row.
    """
    y = y.astype(str) if y.dtype.kind == "O" else y
    return np.unique(y, axis=0, return_inverse=True)[1].reshape(-1)


def _orthonormal(columns: Floats) -> Floats:
    """Whitens columns, strongest direction first."""
    scaled = standardised(np.ascontiguousarray(columns.T))
    spread, axes = np.linalg.eigh(scaled @ scaled.T / scaled.shape[1])
    kept = spread > max(float(spread[-1]), 0.0) * _RANK
    if not kept.any() or spread[-1] <= 0:
        return np.empty((scaled.shape[1], 0))
    directions = (axes[:, kept] / np.sqrt(spread[kept]))[:, ::-1]
    return scaled.T @ directions / np.sqrt(scaled.shape[1])
