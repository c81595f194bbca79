# SPDX-License-Identifier: MIT
"""A step model run over a sequence, many calls at a time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet import optional
from tf_diet.arrays import Array
from tf_diet.convert.streaming import StreamingModel

# Channels of all states whose reach is watched.
_CHANNELS = 256


class FedBack:
    """Runs a step model over a sequence, its states fed back.

    Args:
        model: the step model; its own states are left alone.
    """

    def __init__(self, model: StreamingModel) -> None:
        self.model = model
        self.tf = optional.require("tensorflow", extra="convert")
        self.advance = self.tf.function(
            self._advance, autograph=False, reduce_retracing=True
        )
        self.begin()

    def begin(self) -> None:
        """Sets every state to zero."""
        self.states = {
            source: np.zeros(
                self.model.inputs[source].shape, self.model.inputs[source].dtype
            )
            for source, _ in self.model.states
        }

    def over(
        self, calls: Mapping[str, Array], chosen: Array
    ) -> Iterator[list[Array]]:
        """Yields every input of some calls, states included.

        Args:
            calls: of the inputs that are no states, (calls, *shape) by name.
            chosen: which calls, in order.
        """
        done = 0
        for at in chosen:
            if self.states and at > done:
                self._go_on(calls, done, int(at))
            done = at
            yield [
                self.states[d.index]
                if d.index in self.states
                else d.encode(calls[d.name][at])
                for d in self.model.inputs
            ]

    def outputs(self, calls: Mapping[str, Array]) -> list[Array]:
        """Returns what comes out over all calls, in the order of outputs.

        Shapes:
            (calls, *shape of the output) each, states left out.
        """
        return self._go_on(calls, 0, min(map(len, calls.values())))

    def reaches(self, calls: Mapping[str, Array]) -> Array:
        """Returns how far the states reach in every call.

        Shapes:
            (calls, numbers): the largest value of each of some channels of
            every state, and the smallest with its sign turned.
        """
        self._go_on(calls, 0, min(map(len, calls.values())))
        return self._reached

    def _go_on(
        self, calls: Mapping[str, Array], start: int, stop: int
    ) -> list[Array]:
        between = [
            self.tf.constant(calls[d.name][start:stop].astype(d.dtype), d.dtype)
            for d in self.model.free_inputs
        ]
        made, states, reached = self.advance(
            between, list(self.states.values())
        )
        self._reached = reached.numpy()
        values = [state.numpy() for state in states]
        self.states = dict(zip(self.states, values, strict=True))
        return [array.numpy() for array in made]

    def _advance(self, calls: Sequence[Any], states: Sequence[Any]) -> Any:
        """Returns the outputs over some calls, and the states after them."""
        tf, model = self.tf, self.model
        free = [d.index for d in model.free_inputs]
        kept = [source for source, _ in model.states]
        shown = model.free_outputs

        def step(at: Any, *carried: Any) -> tuple[Any, ...]:
            reached, *rest = carried
            states, arrays = rest[: len(kept)], rest[len(kept) :]
            given = dict(zip(kept, states, strict=True))
            given |= {i: c[at] for i, c in zip(free, calls, strict=True)}
            stored = [given[d.index] for d in model.inputs]
            made = keras.tree.flatten(model.step_model(stored, training=False))
            after = [
                tf.cast(tf.reshape(made[target], state.shape), state.dtype)
                for (_, target), state in zip(model.states, states, strict=True)
            ]
            written = (
                array.write(at, made[d.index])
                for array, d in zip(arrays, shown, strict=True)
            )
            summary = reached.write(at, self._summary(after))
            return (at + 1, summary, *after, *written)

        count = tf.shape(calls[0])[0]
        arrays = [
            tf.TensorArray(d.dtype, size=count, element_shape=d.shape)
            for d in shown
        ]
        reached = tf.TensorArray("float32", size=count)
        _, reached, *after = tf.while_loop(
            lambda at, *_: at < count, step, (0, reached, *states, *arrays)
        )
        made = [array.stack() for array in after[len(kept) :]]
        return made, after[: len(kept)], reached.stack()

    def _summary(self, states: Sequence[Any]) -> Any:
        """Returns how far some channels of each state reach, in one vector."""
        tf = self.tf
        most = max(1, _CHANNELS // max(len(states), 1))
        found = [tf.zeros((0,), "float32")]
        for state in states:
            rows = tf.cast(tf.reshape(state, (-1, state.shape[-1])), "float32")
            rows = rows[:, :: -(-int(state.shape[-1]) // most)]
            found += [tf.reduce_max(rows, 0), -tf.reduce_min(rows, 0)]
        return tf.concat(found, 0)


def outputs_over(
    model: StreamingModel, calls: Mapping[str, Array], fed_back: FedBack | None
) -> list[Array]:
    """Returns what comes out of a step model over calls, from zero states.

    Args:
        model: the step model; its own states are left alone.
        calls: of the inputs that are no states, (calls, *shape) by name.
        fed_back: runs them at once; a call at a time where there is none.

    Shapes:
        (calls, *shape of the output) each, in the order of outputs.
    """
    if fed_back is not None:
        fed_back.begin()
        return fed_back.outputs(calls)
    other = StreamingModel(model.step_model, model.frame, steps=model.steps)
    rows = [
        other.step({name: x[at] for name, x in calls.items()})
        for at in range(min(map(len, calls.values())))
    ]
    return [
        np.stack([np.reshape(row[d.name], d.shape) for row in rows])
        for d in model.free_outputs
    ]


def runner_of(model: StreamingModel) -> FedBack | None:
    """Returns what runs many calls at once; on TensorFlow alone."""
    if keras.backend.backend() == "tensorflow":
        return FedBack(model)
    return None
