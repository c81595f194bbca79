# SPDX-License-Identifier: MIT
"""Runs a model call by call, and leaves no trace in it.

A tensor is let go as soon as the last call that takes it has run.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.graph.composite import sublayers
from tf_diet.graph.loops import Loops
from tf_diet.graph.operation import (
    Args,
    Kwargs,
    Operation,
    Tensor,
    Variable,
    variables_of,
)

# Bound of the tensors that one batch keeps alive.
BATCH_BYTES = 2**27

See = Callable[[int, Tensor], None]


class ForwardPass:
    """Runs a model as in inference, up to the tensors that are asked for.

    Args:
        walk: the model.

    Attributes:
        fixed: the batch size that the model was built for, None for any.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.fixed = walk.tensors[walk.inputs[0]].shape[0]
        self._loops = Loops()
        self._restoring = False

    def run(
        self,
        inputs: Sequence[Array],
        keys: Collection[int],
        *,
        size: int | None = None,
    ) -> dict[int, Array]:
        """Returns what some tensors are for a batch of examples.

        Args:
            inputs: arrays, one for each model input, (examples, ...).
            keys: of the tensors.
            size: how many examples to run: the batch is filled up by its own
                examples, so that all batches have one shape. As many as there
                are where left out, or as the model was built for.

        Returns:
            The tensors by key, with the rows of the examples given.
        """
        examples = len(inputs[0])
        size = self.fixed or size or examples
        order = np.resize(np.arange(examples), size)
        found: dict[int, Array] = {}

        def keep(key: int, value: Tensor) -> None:
            if key in keys:
                array = keras.ops.convert_to_numpy(value)
                # Examples and positions may have been merged into one axis.
                found[key] = array[: len(array) // size * examples]

        self._run(
            [array[order] for array in inputs], needed(self.walk, keys), keep
        )
        return found

    def peak_bytes(self, inputs: Sequence[Array]) -> int:
        """Returns the most bytes of tensors that are alive at a time.

        Args:
            inputs: a batch, likewise.
        """
        sizes: dict[int, int] = {}

        def measure(key: int, value: Tensor) -> None:
            sizes[key] = 4 * int(np.prod(value.shape))

        calls = {call.index for call in self.walk.calls}
        self._run(inputs, calls, measure)
        last = last_read(self.walk, calls)
        alive = most = sum(sizes[key] for key in self.walk.inputs)
        for call in self.walk.calls:
            alive += sum(sizes[key] for key in call.outputs)
            most = max(most, alive)
            alive -= sum(sizes[key] for key in spent(call, last))
        return most

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Puts states back once, after all passes that are run inside."""
        if self._restoring:
            yield
            return
        self._restoring = True
        try:
            with unchanged(self.walk):
                yield
        finally:
            self._restoring = False

    def _run(self, inputs: Sequence[Array], calls: set[int], see: See) -> None:
        """Shows all tensors, those of the inputs first."""
        given = [
            keras.ops.convert_to_tensor(
                array, dtype=self.walk.tensors[key].dtype
            )
            for key, array in zip(self.walk.inputs, inputs, strict=True)
        ]
        for key, value in zip(self.walk.inputs, given, strict=True):
            see(key, value)
        with self.restoring():
            forward(self.walk, given, calls, see, self._loops)


class _Held:
    """A tensor that can be let go while a replay still knows its place."""

    def __init__(self, value: Tensor | None = None) -> None:
        self.value = value


def forward(
    walked: Walk,
    inputs: Sequence[Tensor],
    needed: set[int],
    see: See,
    loops: Loops | None = None,
) -> None:
    """Runs some calls of a model as in inference.

    Args:
        walked: the model.
        inputs: tensors, one for each model input.
        needed: which calls to run, and all that they depend on.
        see: gets the key and the value of each tensor that a call gives.
        loops: of earlier batches of the same model.
    """
    loops = loops or Loops()
    held: dict[int, _Held] = {}
    last = last_read(walked, needed)

    def apply(call: Call, args: Args, kwargs: Kwargs) -> Sequence[_Held]:
        if call.index not in needed:
            return [_Held()] * len(call.outputs)
        args, kwargs = keras.tree.map_structure(
            lambda x: x.value if isinstance(x, _Held) else x, (args, kwargs)
        )
        result = loops.run(call, args, call.told(kwargs))
        values = keras.tree.flatten(result)
        for key, value in zip(call.outputs, values, strict=True):
            see(key, value)
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


def unlisted_states(operation: Operation) -> list[Variable]:
    """Returns the variables of a layer that it does not list as such.

    Keras 3.15 makes the states of stateful recurrent layers like that.
    """
    listed = {id(variable) for variable in variables_of(operation)}
    return [
        value
        for owner in sublayers(operation)
        for value in keras.tree.flatten(list(vars(owner).values()))
        if isinstance(value, keras.Variable) and id(value) not in listed
    ]


@contextmanager
def unchanged(walked: Walk) -> Iterator[None]:
    """Puts back what running a model changes, such as seeds of noise."""
    states = {
        id(variable): (
            variable,
            np.array(keras.ops.convert_to_numpy(variable.value)),
        )
        for call in walked.calls
        for variable in (
            *variables_of(call.operation),
            *unlisted_states(call.operation),
        )
        if not variable.trainable
    }
    try:
        yield
    finally:
        for variable, value in states.values():
            variable.assign(value)
