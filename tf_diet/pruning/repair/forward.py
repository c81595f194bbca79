"""Runs a model up to some tensors, by their keys, and leaves no trace in it.

A tensor is let go as soon as the last call that takes it has run.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.pruning.repair.linear import Array


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

    _forward(walked, inputs, _needed(walked, keys), keep)
    return found


def peak(walked: Walk, inputs: Sequence[Array]) -> int:
    """Returns the most bytes that are alive at a time while a model runs."""
    sizes: dict[int, int] = {}

    def measure(key: int, value: Any) -> None:
        sizes[key] = 4 * int(np.prod(value.shape))

    needed = {call.index for call in walked.calls}
    _forward(walked, inputs, needed, measure)
    last = _last_read(walked, needed)
    alive = most = sum(sizes[key] for key in walked.inputs)
    for call in walked.calls:
        alive += sum(sizes[key] for key in call.outputs)
        most = max(most, alive)
        alive -= sum(sizes[key] for key in _spent(call, last))
    return most


class _Held:
    """A tensor that can be let go while a replay still knows its place."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


def _forward(
    walked: Walk,
    inputs: Sequence[Array],
    needed: set[int],
    see: Callable[[int, Any], None],
) -> None:
    held: dict[int, _Held] = {}
    last = _last_read(walked, needed)

    def hold(key: int, value: Any) -> _Held:
        see(key, value)
        held[key] = _Held(value)
        return held[key]

    def apply(call: Call, args: Any, kwargs: Any) -> Any:
        if call.index not in needed:
            return [_Held()] * len(call.outputs)
        args, kwargs = keras.tree.map_structure(
            lambda x: x.value if isinstance(x, _Held) else x, (args, kwargs)
        )
        result = call.operation(*args, **call.told(kwargs))
        values = keras.tree.flatten(result)
        made = list(map(hold, call.outputs, values))
        for key in _spent(call, last):
            held[key].value = None
        return made

    given = [
        hold(key, keras.ops.convert_to_tensor(array, walked.tensors[key].dtype))
        for key, array in zip(walked.inputs, inputs, strict=True)
    ]
    if needed:
        with _unchanged(walked):
            replay(walked, given, apply)


def _last_read(walked: Walk, needed: set[int]) -> dict[int, int]:
    """Returns the last of some calls that reads each tensor."""
    return {
        key: call.index
        for call in walked.calls
        if call.index in needed
        for key in call.inputs
    }


def _spent(call: Call, last: dict[int, int]) -> set[int]:
    """Returns the tensors around a call that no later one reads."""
    keys = {*call.inputs, *call.outputs}
    return {key for key in keys if last.get(key, -1) <= call.index}


def _needed(walked: Walk, keys: set[int]) -> set[int]:
    """Returns the calls that some tensors depend on."""
    read = set(keys)
    needed = set()
    for call in reversed(walked.calls):
        if not read.isdisjoint(call.outputs):
            read.update(call.inputs)
            needed.add(call.index)
    return needed


@contextmanager
def _unchanged(walked: Walk) -> Iterator[None]:
    """Puts back what running a model changes, such as seeds of noise."""
    states = {
        id(variable): (
            variable,
            np.array(keras.ops.convert_to_numpy(variable.value)),
        )
        for call in walked.calls
        for variable in getattr(call.operation, "variables", ())
        if not variable.trainable
    }
    try:
        yield
    finally:
        for variable, value in states.values():
            variable.assign(value)
