# SPDX-License-Identifier: MIT
"""Runs a model up to some tensors, by their keys."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, Walk
from tf_diet.graph.forward import (
    forward,
    last_read,
    needed,
    spent,
    unchanged,
)
from tf_diet.graph.linear_form import Array


def run(
    walked: Walk, inputs: Sequence[Array], keys: set[int], examples: int
) -> dict[int, Array]:
    """Runs what some tensors need.

    Args:
        walked: the model.
        inputs: a batch.
        keys: of the tensors.
        examples: how many of the batch are wanted.

    Returns:
        The tensors by key.
    """
    batch = len(inputs[0])
    found: dict[int, Array] = {}

    def keep(key: int, value: Any) -> None:
        if key in keys:
            array = keras.ops.convert_to_numpy(value)
            each = len(array) // batch
            found[key] = array[: each * examples]

    _forward(walked, inputs, needed(walked, keys), keep)
    return found


def peak(walked: Walk, inputs: Sequence[Array]) -> int:
    """Returns the most bytes that are alive at a time while a model runs."""
    sizes: dict[int, int] = {}

    def measure(key: int, value: Any) -> None:
        sizes[key] = 4 * int(np.prod(value.shape))

    calls = {call.index for call in walked.calls}
    _forward(walked, inputs, calls, measure)
    last = last_read(walked, calls)
    alive = most = sum(sizes[key] for key in walked.inputs)
    for call in walked.calls:
        alive += sum(sizes[key] for key in call.outputs)
        most = max(most, alive)
        alive -= sum(sizes[key] for key in spent(call, last))
    return most


def _forward(
    walked: Walk,
    inputs: Sequence[Array],
    calls: set[int],
    see: Callable[[int, Any], None],
) -> None:
    """Shows all tensors, those of the inputs first."""
    given = [
        keras.ops.convert_to_tensor(array, walked.tensors[key].dtype)
        for key, array in zip(walked.inputs, inputs, strict=True)
    ]
    for key, value in zip(walked.inputs, given, strict=True):
        see(key, value)

    def look(
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        values: list[Any],
    ) -> None:
        for key, value in zip(call.outputs, values, strict=True):
            see(key, value)

    with unchanged(walked):
        forward(walked, given, calls, look)
