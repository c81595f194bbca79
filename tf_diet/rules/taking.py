# SPDX-License-Identifier: MIT
"""Taking positions by numbers that are an argument."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_diet.arrays import Array
from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.operation import Args, Kwargs
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, check_apart
from tf_diet.rules.elementwise import constant
from tf_diet.rules.outcomes import axis_numbers, freeze, pinned
from tf_diet.rules.slicing import where_now


@register_rule("ops.Take")
class TakeRule(Rule):
    """Takes positions of an axis, which are an argument of the call."""

    def given(self, call: Call) -> Any:
        """Returns the indices."""
        return call.args[1] if len(call.args) > 1 else call.kwargs["indices"]

    def indices(self, call: Call) -> Array | None:
        """Returns the indices as an array; None where they are a tensor."""
        given = self.given(call)
        if isinstance(given, Slot):
            return None
        array = constant(given)
        return np.asarray(given if array is None else array)

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Takes the labels likewise; a tensor of indices freezes the axis."""
        x = inputs[0]
        axis = call.operation.axis
        indices = self.indices(call)
        known = call.args and isinstance(call.args[0], Slot)
        if axis is None or not known:
            return pinned(call, inputs, "takes from all axes at once")
        axis = axis % x.rank
        vector = x.axes[axis]
        before, after = x.axes[:axis], x.axes[axis + 1 :]
        count = len(call.output_specs[0].shape) - x.rank + 1
        middle: tuple[Axis, ...] = (None,) * count
        frozen: list[tuple[Vector, str]] = []
        if indices is None:
            # The indices may have units of their own: theirs pass.
            middle = inputs[1].axes
            frozen += freeze(call, [vector], "takes what a tensor says")
        elif vector is not None and count == 1:
            middle = (vector[indices],)
        elif vector is not None:
            used = vector[np.unique(indices)]
            frozen.append((used, f"{call.path!r} picks it by number"))
        return Signature(
            outputs=[Labels((*before, *middle, *after))], frozen=frozen
        )

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is, unless steps are taken by number."""
        rank = len(call.input_specs[0].shape)
        over = axis_numbers(call.operation.axis, rank)
        axis = check_apart(call, axes, over)
        wider = len(call.output_specs[0].shape) - rank
        return StepForm(outputs=(axis + (wider if axis > over[0] else 0),))

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Moves the indices to the new positions."""
        indices = self.indices(call)
        axis = call.operation.axis
        vector = None if axis is None else inputs[0].axes[axis]
        if vector is None or indices is None:
            return args, kwargs
        positions = np.arange(len(vector))[indices]
        moved = where_now(np.ravel(positions), alive[vector])
        if positions.ndim != 1:
            moved = moved.reshape(positions.shape)
        return (args[0], moved.astype(indices.dtype)), {}


@register_rule("ops.TakeAlongAxis")
def take_along_axis(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Ties the other axes; units that may be taken stay."""
    axis = call.operation.axis
    if axis is None or len(inputs) < 2:
        return pinned(call, inputs, "takes by number")
    x, indices = inputs
    place = axis % x.rank
    ties: list[tuple[Vector, Vector]] = []
    reason = f"{call.path!r} takes what a tensor says"
    frozen = [(v, reason) for v in [x.axes[place]] if v is not None]
    axes: list[Axis] = []
    for number, (one, other) in enumerate(
        zip(x.axes, indices.axes, strict=True)
    ):
        if number == place:
            axes.append(other)
            continue
        axes.append(one)
        if one is not None and other is not None and len(one) == len(other):
            ties.append((one, other))
        elif one is not None or other is not None:
            frozen += [(v, reason) for v in (one, other) if v is not None]
    return Signature(outputs=[Labels(tuple(axes))], ties=ties, frozen=frozen)
