# SPDX-License-Identifier: MIT
"""What a histogram's plug-in information gains by chance alone."""

import functools

import numpy as np
from scipy.special import gammaln

from tf_diet.arrays import Floats

# Up to here by summing the binomial, above by its expansion (error 1e-6).
_EXACT = 400


@functools.lru_cache(maxsize=8)
def n_log_n(most: int) -> Floats:
    """Tabulates n ln n for n = 0 .. `most`."""
    n = np.arange(most + 1.0)
    return n * np.log(np.maximum(n, 1))


@functools.lru_cache(maxsize=16)
def split_gain(most: int, parts: int) -> Floats:
    """Tabulates E[sum n_i ln n_i] - n ln(n / parts) for n = 0 .. `most`.

    n samples fall evenly into `parts` cells, each with 1 / parts chance.
    Without bias, as for large n, this would be (parts - 1) / 2.

    Args:
        most: the largest n.
        parts: how many cells.

    Returns:
        Array of shape (most + 1,).
    """
    n = np.arange(most + 1.0)
    mean = np.maximum(n, 1) / parts
    p, q = 1 / parts, 1 - 1 / parts
    variance = mean * q
    third = variance * (q - p)
    fourth = 3 * variance**2 + variance * (1 - 6 * p * q)
    fifth = 10 * variance * third
    sixth = 15 * variance**3
    gain = parts * (
        variance / (2 * mean)
        - third / (6 * mean**2)
        + fourth / (12 * mean**3)
        - fifth / (20 * mean**4)
        + sixth / (30 * mean**5)
    )
    exact = min(most, _EXACT)
    gain[: exact + 1] = _summed(exact, parts)
    return gain


def _summed(most: int, parts: int) -> Floats:
    n = np.arange(most + 1)[:, None]
    k = np.arange(most + 1)[None]
    inside = k <= n
    rest = np.where(inside, n - k, 0)
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(rest + 1)
    log_chance = ways - k * np.log(parts) + rest * np.log1p(-1 / parts)
    chance = np.where(inside, np.exp(log_chance), 0.0)
    expected = parts * (chance @ n_log_n(most))
    log_even = np.log(np.maximum(n[:, 0], 1) / parts)
    return expected - n[:, 0] * log_even
