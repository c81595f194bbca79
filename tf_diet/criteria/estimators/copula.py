# SPDX-License-Identifier: MIT
"""How much of a Gaussian copula's information a histogram still sees."""

import functools
import itertools

import numpy as np
from scipy.special import ndtri

from tf_diet.arrays import Floats

LEVELS = (4, 8, 16, 32, 64)
LARGEST = 7.0
_STEPS = 120
_NODES = 6


def seen(information: Floats, bins: int) -> Floats:
    """Information left after an equal-mass quantisation, in nats.

    Args:
        information: true mutual information of a Gaussian copula; small
            negative values, as unbiased estimates have, are mirrored.
        bins: how many bins a side, one of `LEVELS`.
    """
    grid, levels = _tables()
    size = np.interp(np.abs(information), grid, levels[bins])
    return np.sign(information) * size


def true(quantised: Floats, bins: int) -> Floats:
    """The inverse of `seen`; at most `LARGEST`.

    Args:
        quantised: information between the codes, in nats.
        bins: how many bins a side, one of `LEVELS`.
    """
    grid, levels = _tables()
    size = np.interp(np.abs(quantised), levels[bins], grid)
    return np.sign(quantised) * size


@functools.cache
def _tables() -> tuple[Floats, dict[int, Floats]]:
    """Tabulates `seen` for all levels.

    The density of the bivariate normal is the derivative of its distribution
    function by the correlation (Plackett 1954), so one sweep over the angle
    asin(rho) gives the cell probabilities of every correlation on the grid.
    """
    finest = LEVELS[-1]
    grid = LARGEST * np.linspace(0, 1, _STEPS + 1) ** 2
    angles = np.arcsin(np.sqrt(-np.expm1(-2 * grid)))
    edges = np.arange(1, finest) / finest
    h, k = np.meshgrid(ndtri(edges), ndtri(edges))
    below = np.zeros((finest + 1, finest + 1))
    below[1:, -1] = below[-1, 1:] = np.arange(1, finest + 1) / finest
    below[1:-1, 1:-1] = np.outer(edges, edges)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    levels: dict[int, list[float]] = {bins: [0.0] for bins in LEVELS}
    for start, end in itertools.pairwise(angles):
        half = (end - start) / 2
        for node, weight in zip(nodes, weights, strict=True):
            angle = start + half * (1 + node)
            power = h**2 + k**2 - 2 * h * k * np.sin(angle)
            density = np.exp(-power / (2 * np.cos(angle) ** 2))
            below[1:-1, 1:-1] += weight * half * density / (2 * np.pi)
        for bins in LEVELS:
            coarse = below[:: finest // bins, :: finest // bins]
            levels[bins].append(_quantised(coarse))
    return grid, {bins: np.array(values) for bins, values in levels.items()}


def _quantised(below: Floats) -> float:
    cells = np.maximum(np.diff(np.diff(below, axis=0), axis=1), 0)
    bins = len(cells)
    filled = cells > 0
    return float(np.sum(cells[filled] * np.log(cells[filled] * bins**2)))
