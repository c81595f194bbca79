"""Making scores of different groups comparable before they are ranked."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tf_diet.registry import Registry

Scaling = Callable[[NDArray[np.float64]], NDArray[np.float64]]

scalings: Registry[Scaling] = Registry("scaling")
register_scaling = scalings.register


@register_scaling("none")
def none(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leaves the scores of a group as they are."""
    return values


@register_scaling("max")
def maximum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divides by the largest score of the group (the paper's choice)."""
    top = float(np.abs(values).max(initial=0.0))
    return values / top if top > 0 else values


@register_scaling("dimension")
def dimension(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divides by the number of units in the group."""
    return values / max(len(values), 1)
