# SPDX-License-Identifier: MIT
"""Recurrent layers: a cell over time; and Masking, which skips time steps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, Slot, TensorSpec
from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.linear_form import LinearForm
from tf_diet.graph.operation import Args, Kwargs, Operation, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, check_apart, refused
from tf_diet.rules.contraction import bind, bound, operand
from tf_diet.rules.copies import copied
from tf_diet.rules.nested import (
    Composed,
    ComposedRule,
    Part,
    compose,
    enter,
    match,
)
from tf_diet.rules.outcomes import freeze
from tf_diet.rules.recurrent_cells import ConvLSTMCellRule, nest, step_call
from tf_diet.rules.recurrent_forms import InputForm, StateForm


class _Recurrent(ComposedRule):
    """Runs one cell over time; each step gets the states of the one before."""

    def joined(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Composed:
        """Takes the signature of the cell and ties states before and after."""
        given = bound(call)
        x = operand(call, inputs, given["sequences"])
        inner = self.step_of(call, TensorSpec(_timeless(x.shape), "float32"))
        before = [
            _state_labels(spec, self.state_axis(call), fresh)
            for spec in inner.input_specs[1:]
        ]
        frame = Labels(_timeless(x.labels.axes))
        part = self.enter(inner, [frame, *before], fresh)
        y, *after = part.signature.outputs
        along = (x.labels.axes[1], *_masks(call, inputs, given))
        frozen = freeze(call, along, "runs along this axis")
        ties: list[tuple[Vector, Vector]] = []
        reason = f"{call.path!r} starts from a state that is fixed"
        for one, other in [
            *zip(before, after, strict=True),
            *zip(before, _initial(call, inputs, given), strict=False),
        ]:
            more_ties, more_frozen = match(one, other, reason)
            ties += more_ties
            frozen += more_frozen
        layer = call.operation
        if layer.return_sequences:
            y = Labels((y.axes[0], None, *y.axes[1:]))
        return compose(
            [y, *after] if layer.return_state else [y],
            [part],
            ties=ties,
            frozen=frozen,
            sizes=part.signature.sizes,
        )

    def step_of(self, call: Call, frame: TensorSpec) -> Call:
        """Returns the call of the cell at one time step."""
        return step_call(call, call.operation.cell, frame)

    def enter(
        self, inner: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Part:
        """Returns what the rule of the cell says."""
        return enter("", inner, inputs, fresh)

    def state_axis(self, call: Call) -> int:
        """Returns the axis of a state that has units."""
        return -1

    def inner(self, operation: Operation) -> dict[str, Operation]:
        """Returns the cell, whose weights keep their names."""
        return {"": operation.cell}

    def times(self, call: Call) -> int:
        """Returns the number of time steps."""
        x = bound(call)["sequences"]
        return int(call.input_specs[call.inputs.index(x.key)].shape[1] or 1)

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Each output step is made of its input step and the state.

        The states that it returns, and its output where it returns no
        sequence, are those of the last step so far.
        """
        _check_causal(call)
        rank = len(call.input_specs[0].shape)
        over = [place for place in range(rank) if place != 1]
        check_apart(call, axes, over)
        layer = call.operation
        first = 1 if layer.return_sequences else None
        others = (None,) * (len(call.outputs) - 1)
        return StepForm(outputs=(first, *others), carries=True)

    def state_spec(self, call: Call, batch: int) -> dict[str, tuple[int, ...]]:
        """Returns a vector for each state: "state", or "state_0", "state_1".

        "begun" says whether there has been a step, where the first state is
        given by the model.
        """
        sizes = self.state_shapes(call)
        begun: dict[str, tuple[int, ...]] = {}
        if bound(call).get("initial_state") is not None:
            begun = {"begun": (batch, 1)}
        if len(sizes) == 1:
            return {"state": (batch, *sizes[0]), **begun}
        return {
            f"state_{n}": (batch, *size) for n, size in enumerate(sizes)
        } | begun

    def state_shapes(self, call: Call) -> list[tuple[int, ...]]:
        """Returns the shape of each state, without the batch."""
        sizes = keras.tree.flatten(call.operation.cell.state_size)
        return [(int(size),) for size in sizes]

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Runs the layer's cell, without its time loop, on each frame."""
        layer = call.operation
        given = bind(layer, args, kwargs)
        sequences = given["sequences"]
        cell = self.cell_of(call)
        batch, frame, *seen = sequences.shape
        # A reshape costs a microcontroller less than to unstack one frame.
        inputs = (
            [keras.ops.reshape(sequences, (batch, *seen))]
            if frame == 1
            else keras.ops.unstack(sequences, axis=1)
        )
        kept = dict(state)
        begun: Any = kept.pop("begun", None)
        outputs, states = [], list(kept.values())
        if begun is not None:
            first = keras.tree.flatten(given["initial_state"])
            states = [
                old * begun + new * (1.0 - begun)
                for old, new in zip(states, first, strict=True)
            ]
        for x in inputs:
            y, after = cell(x, self.nested(cell, states))
            states = keras.tree.flatten(after)
            outputs.append(y)
        after = dict(zip(kept, states, strict=True))
        if begun is not None:
            after["begun"] = keras.ops.ones_like(begun)
        results = [self._joined(call, outputs)]
        if layer.return_state:
            results += states
        return results, after

    def nested(self, cell: Any, states: Sequence[Any]) -> Any:
        """Returns states as the cell takes them."""
        return nest(cell.state_size, states)

    @staticmethod
    def _joined(call: Call, outputs: Sequence[Any]) -> Any:
        """Returns the outputs of all steps, or of the last one alone."""
        if not call.operation.return_sequences:
            return outputs[-1]
        wide = [
            keras.ops.reshape(y, (y.shape[0], 1, *y.shape[1:])) for y in outputs
        ]
        return keras.ops.concatenate(wide, axis=1) if wide[1:] else wide[0]

    def cell_of(self, call: Call) -> Any:
        """Returns a copy of the cell."""
        return copied(call.operation.cell, f"{call.step_name}_cell")


def _timeless(axes: Sequence[Any]) -> tuple[Any, ...]:
    return (axes[0], *axes[2:])


def _state_labels(spec: TensorSpec, place: int, fresh: Fresh) -> Labels:
    size = spec.shape[place]
    assert size is not None
    return Labels.none(len(spec.shape)).at(place, fresh.free(size))


def _initial(
    call: Call, inputs: Sequence[Labels], given: Kwargs
) -> list[Labels]:
    """Returns the labels of the states that a layer is told to start from."""
    return [
        operand(call, inputs, state).labels
        for state in keras.tree.flatten(given.get("initial_state"))
        if state is not None
    ]


def _masks(call: Call, inputs: Sequence[Labels], given: Kwargs) -> list[Axis]:
    mask = given.get("mask")
    return [] if mask is None else list(operand(call, inputs, mask).labels.axes)


def _check_causal(call: Call) -> None:
    layer = call.operation
    reason, remedy = (
        (
            "it runs from the end to the start",
            "Build it with go_backwards=False.",
        )
        if layer.go_backwards
        else (
            "a mask makes it skip frames",
            "Leave the mask out, and give it whole sequences.",
        )
        if bound(call).get("mask") is not None
        else ("", "")
    )
    if reason:
        raise refused(call, f"and {reason}", remedy)


class _OneLayer(_Recurrent):
    """A cell and its loop in one layer, which has the cell's config."""

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Operation:
        """Returns a new layer from the config with the units recounted."""
        return Rule.rebuild(self, call, inputs, signature, alive)


@register_rule(keras.layers.SimpleRNN, keras.layers.GRU, keras.layers.LSTM)
class RecurrentRule(_OneLayer):
    """Elman's recurrent layer, gated recurrent units, long short-term memory.

    They differ in their cells, which have rules of their own.
    """

    loops_over_time = True

    def linear_forms(self, call: Call) -> Sequence[LinearForm]:
        """Returns two forms: one kernel for the inputs, one for the states."""
        return (InputForm(), StateForm())


@register_rule(keras.layers.RNN)
class RNNRule(_Recurrent):
    """Any cell, or a stack of cells, over time."""

    def entries(self, made: Mapping[str, Operation]) -> Kwargs:
        """Returns the new cell."""
        return {"cell": made[""]}


@register_rule(
    keras.layers.ConvLSTM1D, keras.layers.ConvLSTM2D, keras.layers.ConvLSTM3D
)
class ConvLSTMRule(_OneLayer):
    """An LSTM over feature maps; filters are the units."""

    cell = ConvLSTMCellRule()

    def step_of(self, call: Call, frame: TensorSpec) -> Call:
        """Returns the call of the cell, whose states are feature maps."""
        spec = call.output_specs[0]
        if call.operation.return_sequences:
            spec = replace(spec, shape=_timeless(spec.shape))
        inner = step_call(call, call.operation.cell, frame, [spec, spec])
        return replace(inner, args=(inner.args[0], list(map(Slot, (1, 2)))))

    def enter(
        self, inner: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Part:
        """Returns what the rule of the cell says."""
        signature = self.cell.signature(inner, inputs, fresh)
        return Part("", inner, self.cell, inputs, signature)

    def missing(self, operation: Operation) -> str:
        """Returns "": the cell is always of the same kind."""
        return ""

    def state_axis(self, call: Call) -> int:
        """Returns the channel axis of a feature map."""
        return self.cell.place(replace(call, operation=call.operation.cell))

    def state_shapes(self, call: Call) -> list[tuple[int, ...]]:
        """Returns twice the shape of a feature map."""
        layer = call.operation
        shape = call.output_specs[0].shape
        inner = shape[2:] if layer.return_sequences else shape[1:]
        return [tuple(int(size or 1) for size in inner)] * 2

    def nested(self, cell: Any, states: Sequence[Any]) -> Any:
        """Returns both feature maps, of which the cell states one size."""
        return list(states)

    def cell_of(self, call: Call) -> Any:
        """Returns the cell of the copy: its class is not public."""
        return call.operation.cell


def masking_in_time(call: Call, axes: Axes) -> StepForm:
    """Raises StreamingError: what comes after it would skip steps.

    Raises:
        StreamingError: always.
    """
    raise refused(
        call,
        "which tells the layers after it to skip steps, and a step model "
        "answers at every step",
        "Leave it out: give the step model the steps that count alone.",
    )


@register_rule(keras.layers.Masking, in_time=masking_in_time)
def masking(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Labels pass; where the value to skip is not zero, channels stay.

    A time step is skipped if all its channels have that value, and a dead
    channel is zero: it never speaks against a step of zeros.
    """
    (x,) = inputs
    value = call.operation.mask_value
    exact = np.ndim(value) == 0 and value == 0
    reason = "skips steps of a value other than zero"
    frozen = [] if exact else freeze(call, [x.channels], reason)
    return Signature(outputs=[x], frozen=frozen)
