# SPDX-License-Identifier: MIT
"""Running any step model: states fed back, numbers scaled, rows checked."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert.tensor_spec import TensorDetails, state_pairs
from tf_diet.errors import InputError


class StepRunner(ABC):
    """A model that is called once a frame and keeps its states between.

    Args:
        inputs: every input in index order, states included.
        outputs: every output in index order, states included.
        frame: time steps in one call.
    """

    runtime: str

    def __init__(
        self,
        inputs: Sequence[TensorDetails],
        outputs: Sequence[TensorDetails],
        frame: int = 1,
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.frame = frame
        self.states = state_pairs(self.inputs, self.outputs)
        fed = {source for source, _ in self.states}
        made = {target for _, target in self.states}
        self.free_inputs = tuple(d for d in self.inputs if d.index not in fed)
        self.free_outputs = tuple(
            d for d in self.outputs if d.index not in made
        )
        self._memory: dict[int, Array] = {}
        self.reset()

    @abstractmethod
    def invoke(self, stored: Sequence[Array]) -> list[Array]:
        """Calls the model once.

        Args:
            stored: every input in index order, states included, in the type
                in which the model stores it.

        Returns:
            Every output, likewise.
        """

    def reset(self) -> None:
        """Sets every state to zero."""
        self._memory = {
            source: self.inputs[source].encode(
                np.zeros(self.inputs[source].shape)
            )
            for source, _ in self.states
        }

    def stored_inputs(self, inputs: Mapping[str, Any]) -> list[Array]:
        """Returns every input of the next call as the model stores it.

        Raises:
            InputError: an input is missing, unknown or of the wrong size.
        """
        self._check_names(inputs)
        stored = []
        for details in self.inputs:
            if details.index in self._memory:
                stored.append(self._memory[details.index])
                continue
            values = np.asarray(inputs[details.name])
            if values.size != details.size:
                raise InputError(
                    f"One step of the input {details.name!r} holds "
                    f"{details.size} numbers, of shape {details.shape}. "
                    f"Received: shape {values.shape}. Pass one frame, or use "
                    "run() for a whole sequence."
                )
            stored.append(details.encode(values))
        return stored

    def step(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Runs one frame and keeps the states for the next.

        Args:
            inputs: one frame of each input by name, states left out.

        Returns:
            One frame of each output by name, states left out.

        Raises:
            InputError: an input is missing, unknown or of the wrong size.
        """
        results = self.invoke(self.stored_inputs(inputs))
        for source, target in self.states:
            self._memory[source] = _fed_back(
                results[target], self.outputs[target], self.inputs[source]
            )
        return {d.name: d.decode(results[d.index]) for d in self.free_outputs}

    def run(self, sequences: Mapping[str, Any]) -> Any:
        """Runs a whole sequence from zero states.

        Args:
            sequences: each input by name, one row a time step.

        Shapes:
            sequences: (time, features); time a multiple of `frame`, or of
                the steps in one call where an input has another rate.

        Returns:
            The output, one row a time step, or one a call where it has no
            time; a dict by name where the model has several outputs.

        Raises:
            InputError: a sequence is missing, unknown or of the wrong shape.
        """
        rows = self.rows(sequences)
        self.reset()
        made: dict[str, list[Array]] = {d.name: [] for d in self.free_outputs}
        for inputs in rows:
            for name, values in self.step(inputs).items():
                made[name].append(values)
        results = {d.name: self._joined(d, made) for d in self.free_outputs}
        return results if len(results) != 1 else next(iter(results.values()))

    def rows(self, sequences: Mapping[str, Any]) -> list[dict[str, Array]]:
        """Cuts sequences into the inputs of single calls.

        Raises:
            InputError: a sequence is missing, unknown or of the wrong shape.
        """
        cut = self.calls(sequences)
        count = min(map(len, cut.values()), default=0)
        return [
            {name: calls[i] for name, calls in cut.items()}
            for i in range(count)
        ]

    def calls(self, sequences: Mapping[str, Any]) -> dict[str, Array]:
        """Cuts sequences into the inputs of single calls, one array each.

        Shapes:
            Returns (calls, *shape of the input).

        Raises:
            InputError: a sequence is missing, unknown or of the wrong shape.
        """
        self._check_names(sequences)
        cut = {
            d.name: self._cut(d, np.asarray(sequences[d.name]))
            for d in self.free_inputs
        }
        lengths = {name: len(calls) for name, calls in cut.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(
                "The sequences are not equally long. Received: "
                f"{lengths} calls. Cut them to one length."
            )
        return cut

    def _cut(self, details: TensorDetails, sequence: Array) -> Array:
        row = details.row_shape(self.frame)
        step = details.shape[1] if details.has_time(self.frame) else 1
        if sequence.ndim == 1 and details.size == step:
            sequence = sequence.reshape(len(sequence), *row)
        if sequence.shape[1:] != row or len(sequence) % step:
            wanted = ", ".join(str(n) for n in ("time", *row))
            raise InputError(
                f"The sequence {details.name!r} must have shape ({wanted})"
                f"{f', time a multiple of {step}' if step > 1 else ''}. "
                f"Received: {sequence.shape}. Pass one sequence at a time, "
                "without a batch axis."
            )
        return sequence.reshape(len(sequence) // step, *details.shape)

    def _joined(
        self, details: TensorDetails, made: Mapping[str, list[Array]]
    ) -> Array:
        row = details.row_shape(self.frame)
        if not made[details.name]:
            return np.zeros((0, *row), np.float32)
        return np.concatenate(made[details.name]).reshape(-1, *row)

    def _check_names(self, given: Mapping[str, Any]) -> None:
        wanted = {details.name for details in self.free_inputs}
        if set(given) != wanted:
            raise InputError(
                f"The model takes the inputs {sorted(wanted)}. Received: "
                f"{sorted(given)}. Pass each by its name; states are kept "
                "by the model itself."
            )


def _fed_back(
    stored: Array, source: TensorDetails, target: TensorDetails
) -> Array:
    """Returns a state as the input stores it, requantised if it must be."""
    if (source.scale, source.zero_point) == (target.scale, target.zero_point):
        return stored.reshape(target.shape)
    return target.encode(source.decode(stored))
