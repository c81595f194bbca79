# SPDX-License-Identifier: MIT
"""Runs a model call by call, and leaves no trace in it.

A tensor is let go as soon as the last call that takes it has run.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.graph.loops import Loops

# Bound of the tensors that one batch keeps alive.
BATCH_BYTES = 2**27

See = Callable[[Call, tuple[Any, ...], dict[str, Any], list[Any]], None]


class _Held:
    """A tensor that can be let go while a replay still knows its place."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


def forward(
    walked: Walk,
    inputs: Sequence[Any],
    needed: set[int],
    see: See,
    loops: Loops | None = None,
) -> None:
    """Runs some calls of a model as in inference.

    Args:
        walked: the model.
        inputs: tensors, one for each model input.
        needed: which calls to run, and all that they depend on.
        see: gets each call, its arguments with tensors in place of slots, and
            what it gave, flattened.
        loops: of earlier batches of the same model.
    """
    loops = loops or Loops()
    held: dict[int, _Held] = {}
    last = last_read(walked, needed)

    def apply(call: Call, args: Any, kwargs: Any) -> Any:
        if call.index not in needed:
            return [_Held()] * len(call.outputs)
        args, kwargs = keras.tree.map_structure(
            lambda x: x.value if isinstance(x, _Held) else x, (args, kwargs)
        )
        result = loops.run(call, args, call.told(kwargs))
        values = keras.tree.flatten(result)
        see(call, args, kwargs, values)
        made = [_Held(value) for value in values]
        held.update(zip(call.outputs, made, strict=True))
        for key in spent(call, last):
            if key in held:
                held[key].value = None
        return made

    given = [_Held(value) for value in inputs]
    held.update(zip(walked.inputs, given, strict=True))
    replay(walked, given, apply)


def batch_size(bytes_each: int, most: int) -> int:
    """Returns how many examples fit into the bound of a batch.

    Args:
        bytes_each: what one example keeps alive.
        most: examples that a batch may have.
    """
    return int(np.clip(BATCH_BYTES // max(bytes_each, 1), 1, most))


def needed(walked: Walk, keys: Iterable[int]) -> set[int]:
    """Returns the indices of the calls that some tensors depend on."""
    read = set(keys)
    found = set()
    for call in reversed(walked.calls):
        if not read.isdisjoint(call.outputs):
            read.update(call.inputs)
            found.add(call.index)
    return found


def last_read(walked: Walk, needed: set[int]) -> dict[int, int]:
    """Returns, for each tensor, the last of some calls that reads it."""
    return {
        key: call.index
        for call in walked.calls
        if call.index in needed
        for key in call.inputs
    }


def spent(call: Call, last: dict[int, int]) -> set[int]:
    """Returns the tensors around a call that no later one reads."""
    keys = {*call.inputs, *call.outputs}
    return {key for key in keys if last.get(key, -1) <= call.index}


@contextmanager
def unchanged(walked: Walk) -> Iterator[None]:
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
