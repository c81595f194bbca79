# SPDX-License-Identifier: MIT
"""What is known of the inputs, outputs and states of a step model."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

# The output `gru_state_next` is the next value of the input `gru_state`.
NEXT = "_next"


@dataclass(frozen=True)
class TensorDetails:
    """One input or output of a step model.

    Args:
        name: its name, as the Keras model calls it.
        index: its position among the inputs or among the outputs.
        shape: its fixed shape, batch first.
        dtype: "float32", "int8", "int16" or "int32".
        scale: the step between two integers; 0 for plain numbers.
        zero_point: the integer that stands for zero.
        steps: time steps in one call, on axis 1; 0 where it has no time, None
            where that is told from the shape.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: str = "float32"
    scale: float = 0.0
    zero_point: int = 0
    steps: int | None = None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    def encode(self, values: Any) -> np.ndarray[Any, Any]:
        """Returns real values as this tensor stores them."""
        values = np.reshape(np.asarray(values), self.shape)
        if not self.scale:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps = np.round(values.astype(np.float64) / self.scale)
        return np.clip(steps + self.zero_point, limits.min, limits.max).astype(
            self.dtype
        )

    def decode(self, stored: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Returns the real values of what this tensor stores."""
        if not self.scale:
            return stored
        steps = stored.astype(np.float32) - np.float32(self.zero_point)
        return steps * np.float32(self.scale)

    def row_shape(self, frame: int) -> tuple[int, ...]:
        """Returns the shape of one row of a sequence of this tensor."""
        if self.has_time(frame):
            return self.shape[2:]
        return self.shape[1:]

    def has_time(self, frame: int) -> bool:
        """Says whether axis 1 holds the time steps of one call.

        Where nothing else is known, these are `frame`, floats of rank 2 are
        one vector, and integers of rank 2 are classes, one a time step.
        """
        if self.steps is not None:
            return self.steps > 0
        classes = len(self.shape) == 2 and self.dtype == "int32"
        return (len(self.shape) > 2 or classes) and self.shape[1] == frame


def state_pairs(
    inputs: Sequence[TensorDetails], outputs: Sequence[TensorDetails]
) -> tuple[tuple[int, int], ...]:
    """Returns the positions of each state: input `x`, output `x_next`."""
    places = {details.name: details.index for details in outputs}
    return tuple(
        (details.index, places[details.name + NEXT])
        for details in inputs
        if details.name + NEXT in places
    )
