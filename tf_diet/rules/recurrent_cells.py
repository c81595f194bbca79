# SPDX-License-Identifier: MIT
"""Recurrent cells: one time step with explicit states."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, Slot, TensorSpec
from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.operation import Kwargs, Operation
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.activation import pin
from tf_diet.rules.contraction import bound, operand
from tf_diet.rules.convolution import channel_axis, count_positions
from tf_diet.rules.nested import (
    Composed,
    ComposedRule,
    Inside,
    Part,
    compose,
    enter,
    match,
)
from tf_diet.rules.outcomes import freeze


def step_inputs(
    call: Call, inputs: Sequence[Labels]
) -> tuple[Labels, list[Labels]]:
    """Returns the labels of a cell's input and of its states, flattened."""
    x, states = list(bound(call).values())[:2]
    return (
        operand(call, inputs, x).labels,
        [
            operand(call, inputs, state).labels
            for state in keras.tree.flatten(states)
        ],
    )


class _CellRule(Rule):
    """What the cells share: a unit is removed with its gates and states.

    Where the masked model keeps a removed unit, its state may be other than
    zero, such as sigmoid(0), but all weights that read it are zero.
    """

    gates = 1

    def units(self, call: Call, fresh: Fresh) -> Vector:
        """Makes the units."""
        return fresh(call.operation.units)

    def place(self, call: Call) -> int:
        """Returns the channel axis."""
        return -1

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes units; the states are tied to them."""
        x, states = step_inputs(call, inputs)
        units, place = self.units(call, fresh), self.place(call)
        output = Labels.none(len(call.output_specs[0].shape)).at(place, units)
        ties: list[tuple[Vector, Vector]] = []
        others = (a for n, a in enumerate(x.axes) if n != place % x.rank)
        frozen = freeze(call, others, "mixes the positions of this axis")
        for name in ("activation", "recurrent_activation"):
            activation = getattr(call.operation, name, None)
            frozen += pin(call.path, activation, units)
        for state in states:
            reason = f"{call.path!r} starts from a state that is fixed"
            more_ties, more_frozen = match(output, state, reason)
            ties += more_ties
            frozen += more_frozen
        return Signature(
            outputs=[output] * (1 + len(states)),
            weights=self.kernels(call, x.axes[place], units),
            sizes=self.sizes(units),
            ties=ties,
            frozen=frozen,
        )

    def sizes(self, units: Vector) -> dict[str, Axis]:
        """Returns the entry of the config that counts the units."""
        return {"units": units}

    def kernels(
        self, call: Call, seen: Axis, units: Vector
    ) -> dict[str, tuple[Axis, ...]]:
        """Returns the labels of the weights."""
        columns = np.tile(units, self.gates)
        bias: tuple[Axis, ...] = (columns,)
        if getattr(call.operation, "reset_after", False):
            bias = (None, columns)
        return {
            "kernel": (seen, columns),
            "recurrent_kernel": (units, columns),
            "bias": bias,
        }


@register_rule(keras.layers.SimpleRNNCell)
class SimpleRNNCellRule(_CellRule):
    """One step of Elman's recurrent layer."""


@register_rule(keras.layers.GRUCell)
class GRUCellRule(_CellRule):
    """One step of a gated recurrent unit: update, reset, candidate."""

    gates = 3


@register_rule(keras.layers.LSTMCell)
class LSTMCellRule(_CellRule):
    """One step of a long short-term memory: input, forget, cell, output."""

    gates = 4


class ConvLSTMCellRule(_CellRule):
    """One step of an LSTM whose products are convolutions.

    Its class is not public, so that only the layers around it can ask for
    this rule.
    """

    gates = 4

    def units(self, call: Call, fresh: Fresh) -> Vector:
        """Makes the filters."""
        return fresh(call.operation.filters)

    def place(self, call: Call) -> int:
        """Returns the channel axis of the feature maps."""
        return channel_axis(call.operation)

    def sizes(self, units: Vector) -> dict[str, Axis]:
        """Returns the entry of the config that counts the filters."""
        return {"filters": units}

    def kernels(
        self, call: Call, seen: Axis, units: Vector
    ) -> dict[str, tuple[Axis, ...]]:
        """Puts the window in front of the labels of a cell's kernels."""
        window = (None,) * call.operation.rank
        columns = np.tile(units, self.gates)
        return {
            "kernel": (*window, seen, columns),
            "recurrent_kernel": (*window, units, columns),
            "bias": (columns,),
        }

    def positions(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns the number of positions of the feature map."""
        return count_positions(call.output_specs[0], self.place(call))


@register_rule(keras.layers.StackedRNNCells)
class StackedCellsRule(ComposedRule):
    """Cells on top of each other, each with states of its own."""

    def joined(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Composed:
        """Joins the cells: each takes what the one below it returns."""
        x, states = step_inputs(call, inputs)
        spec = call.input_specs[0]
        parts: list[Part] = []
        for name, cell in self.inner(call.operation).items():
            count = len(keras.tree.flatten(cell.state_size))
            mine, states = states[:count], states[count:]
            inner = step_call(call, cell, spec)
            part = enter(name, inner, [x, *mine], Inside(fresh, name))
            parts.append(part)
            x, spec = part.signature.outputs[0], inner.output_specs[0]
        after = [y for part in parts for y in part.signature.outputs[1:]]
        return compose([x, *after], parts)

    def inner(self, operation: Operation) -> dict[str, Operation]:
        """Returns the cells by number."""
        return {f"cell_{n}": cell for n, cell in enumerate(operation.cells)}

    def entries(self, made: Mapping[str, Operation]) -> Kwargs:
        """Returns the list of cells."""
        return {"cells": list(made.values())}


def nest(sizes: Any, states: Sequence[Any]) -> Any:
    """Returns states in the structure of their sizes, as plain lists.

    A single state is in a list, too. The lists that Keras tracks attributes
    in are not what JAX takes.
    """
    left = iter(states)

    def place(x: Any) -> Any:
        return [place(y) for y in x] if keras.tree.is_nested(x) else next(left)

    return place(sizes if keras.tree.is_nested(sizes) else [sizes])


def step_call(
    call: Call,
    cell: Operation,
    spec: TensorSpec,
    states: Sequence[TensorSpec] | None = None,
) -> Call:
    """Returns the call of a cell at one time step.

    Args:
        call: of the layer around it.
        cell: the cell.
        spec: of the input at that step.
        states: of its states; where left out, as the cell counts them.
    """
    sizes = cell.state_size
    if states is None:
        states = [
            TensorSpec((spec.shape[0], size), spec.dtype)
            for size in keras.tree.flatten(sizes)
        ]
    keys = range(1, 1 + len(states))
    slots = nest(sizes, [Slot(key) for key in keys])
    width = getattr(cell, "output_size", None)
    output = (
        states[0] if width is None else replace(states[0], shape=(None, width))
    )
    name = getattr(cell, "name", type(cell).__name__)
    return replace(
        call,
        path=f"{call.path}/{name}",
        operation=cell,
        args=(Slot(0), slots),
        kwargs={},
        inputs=(0, *keys),
        outputs=tuple(range(-1 - len(states), 0)),
        input_specs=(spec, *states),
        output_specs=(output, *states),
        closed="",
    )
