# SPDX-License-Identifier: MIT
"""Runs the part of a model in which units can be seen, operation by operation.

Tensors are let go as they are read, so that a deep model needs the memory of
its widest place, not of all of them.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array, Ints
from tf_diet.criteria.calibration import Calibration
from tf_diet.errors import InputError
from tf_diet.graph.calls import Call, Slot, replay
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.forward import (
    ForwardPass,
    batch_size,
    needed,
    unchanged,
)
from tf_diet.progress import track

_MOST_IN_A_BATCH = 64

Place = tuple[int, int]
# In place of the number of an output: the first tensor that a call takes.
INPUT = -1

See = Callable[[Place, Array, slice], None]


class Runner:
    """Runs examples and shows what calls make of them.

    Args:
        graph: the channel graph.
        calibration: the examples.
    """

    def __init__(self, graph: ChannelGraph, calibration: Calibration) -> None:
        self.walk = graph.walk
        self.inputs = calibration.inputs
        self.places = {
            (site.call, site.output): site.axis
            for group in graph.groups
            for site in group.sites
        }
        self.batch = 2
        self.forward = ForwardPass(self.walk)
        # Two tell an axis of examples from an axis of size one.
        self.probed = self.forward.fixed or 2

    def shapes(self) -> dict[Place, tuple[int, ...]]:
        """Returns the positions of each tensor.

        It also sets the size of batches by what one example takes.
        """
        found = self._inferred()
        if any(None in shape for shape in found.values()):

            def see(place: Place, value: Array, _: slice) -> None:
                found[place] = value.shape

            self.run(np.zeros(2, np.int64), set(self.places), see)
        size = 4 * sum(int(np.prod(shape)) for shape in found.values())
        size //= self.probed
        self.batch = batch_size(size, _MOST_IN_A_BATCH)
        positions = {
            place: _positions(shape, self.places[place], self.probed)
            for place, shape in found.items()
        }
        return {p: shape for p, shape in positions.items() if shape is not None}

    def _inferred(self) -> dict[Place, tuple[Any, ...]]:
        """The tensors' shapes for a few examples, without running them."""
        found: dict[Place, tuple[Any, ...]] = {}
        made = {k for n, _ in self.places for k in self.walk.calls[n].outputs}
        calls = needed(self.walk, made)

        def apply(call: Call, args: Any, kwargs: Any) -> Any:
            if call.index not in calls:
                return [0] * len(call.outputs)
            if len(call.inputs) > 1:
                # Some merging layers state a shape without checking that
                # their inputs fit; a trace of the call itself does.
                infer = keras.Operation.compute_output_spec
                result = infer(call.operation, *args, **kwargs)
            else:
                result = call.operation.compute_output_spec(*args, **kwargs)
            for output, spec in _tensors(
                call, args, kwargs, keras.tree.flatten(result)
            ):
                if (call.index, output) in self.places:
                    found[call.index, output] = tuple(spec.shape)
            return result

        specs = [
            keras.KerasTensor(
                (self.probed, *array.shape[1:]),
                self.walk.tensors[key].dtype,
            )
            for key, array in zip(self.walk.inputs, self.inputs, strict=True)
        ]
        try:
            with unchanged(self.walk):
                replay(self.walk, specs, apply)
        except (TypeError, ValueError) as error:
            given = ", ".join(
                f"{name!r} {array.shape}"
                for name, array in zip(
                    self.walk.input_names, self.inputs, strict=True
                )
            )
            raise InputError(
                "The model cannot run calibration data of these sizes. "
                f"Received: {given}; {type(error).__name__}: {error}. Give "
                "inputs that fit each other, such as equally many frames."
            ) from error
        return found

    def run(self, examples: Ints, places: set[Place], see: See) -> None:
        """Shows what batches of examples give at some places.

        Args:
            examples: which examples to run.
            places: calls and which of their outputs.
            see: gets a place, its value for a batch, and which of `examples`
                the batch holds.
        """
        keys = {place: self._key(place) for place in places}
        size = self.forward.fixed or self.batch
        starts = range(0, len(examples), size)
        with self.forward.restoring():
            for start in track(starts, "observing units"):
                where = slice(start, min(start + size, len(examples)))
                batch = [array[examples[where]] for array in self.inputs]
                found = self.forward.run(batch, set(keys.values()))
                for place, key in keys.items():
                    see(place, found[key], where)

    def _key(self, place: Place) -> int:
        """Returns the tensor that is seen at a place."""
        index, output = place
        call = self.walk.calls[index]
        return call.inputs[0] if output == INPUT else call.outputs[output]


def _tensors(
    call: Call, args: Any, kwargs: Any, made: list[Any]
) -> Iterator[tuple[int, Any]]:
    """Yields what can be seen of a call: its outputs, and its input."""
    yield from enumerate(made)
    slots = keras.tree.flatten((call.args, dict(call.kwargs)))
    values = keras.tree.flatten((args, kwargs))
    for slot, value in zip(slots, values, strict=True):
        if isinstance(slot, Slot):
            yield INPUT, value
            return


def _positions(
    shape: tuple[int, ...], axis: int, examples: int
) -> tuple[int, ...] | None:
    """Positions along each axis of the tensor of one example.

    None where examples cannot be told apart.
    """
    others = shape[:axis] + shape[axis + 1 :]
    if axis == 0 or shape[0] % examples:
        return None
    if shape[0] == examples:
        return others[1:]
    # Examples and positions were merged into one axis.
    return (int(np.prod(others)) // examples,)
