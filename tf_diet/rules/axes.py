# SPDX-License-Identifier: MIT
"""Moving, turning, adding and dropping whole axes."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels, Mask
from tf_diet.graph.operation import Args, Config, Kwargs, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, check_apart
from tf_diet.rules.in_time import moved
from tf_diet.rules.outcomes import axis_numbers, freeze, pinned


class _OrderRule(Rule):
    """What permutes, adds or drops axes has in common."""

    @abstractmethod
    def order(self, call: Call, rank: int) -> list[int]:
        """Returns which axis each one after it was before; -1 for a new one.

        Args:
            call: the application.
            rank: axes before it.
        """

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Carries the labels with their axes; a new one has none."""
        x = inputs[0]
        order = self.order(call, x.rank)
        axes = (None if place < 0 else x.axes[place] for place in order)
        return Signature(outputs=[Labels(tuple(axes))])

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Carries time with its axis."""
        rank = len(call.input_specs[0].shape)
        return moved(call, axes, self.order(call, rank))


@register_rule(keras.layers.Permute)
class PermuteRule(_OrderRule):
    """Permutes all axes but the batch."""

    def order(self, call: Call, rank: int) -> list[int]:
        """Returns the batch and the given order."""
        return [0, *call.operation.dims]


@register_rule("ops.Transpose")
class TransposeRule(_OrderRule):
    """Permutes all axes; backwards where none are given."""

    def order(self, call: Call, rank: int) -> list[int]:
        """Returns the given order."""
        axes = call.operation.axes
        every = list(range(rank))
        return every[::-1] if axes is None else axis_numbers(axes, rank)


@register_rule("ops.Moveaxis")
class MoveaxisRule(_OrderRule):
    """Puts some axes elsewhere; the others fill the places in between."""

    def order(self, call: Call, rank: int) -> list[int]:
        """Returns the moved axes in their places among the others."""
        source = axis_numbers(call.operation.source, rank)
        target = axis_numbers(call.operation.destination, rank)
        put = dict(zip(target, source, strict=True))
        rest = (place for place in range(rank) if place not in source)
        return [put[p] if p in put else next(rest) for p in range(rank)]


@register_rule("ops.Swapaxes")
class SwapaxesRule(_OrderRule):
    """Swaps two axes."""

    def order(self, call: Call, rank: int) -> list[int]:
        """Returns all axes with two of them swapped."""
        order = list(range(rank))
        one, other = call.operation.axis1 % rank, call.operation.axis2 % rank
        order[one], order[other] = order[other], order[one]
        return order


@register_rule("ops.ExpandDims")
class ExpandDimsRule(_OrderRule):
    """Adds axes of size 1."""

    def order(self, call: Call, rank: int) -> list[int]:
        """Returns the old axes around the new ones."""
        given = call.operation.axis
        count = len(given) if isinstance(given, list | tuple) else 1
        new = axis_numbers(given, rank + count)
        old = iter(range(rank))
        return [-1 if p in new else next(old) for p in range(rank + count)]


@register_rule("ops.OneHot")
class OneHotRule(_OrderRule):
    """Adds an axis of classes."""

    def order(self, call: Call, rank: int) -> list[int]:
        """Returns the old axes around the new one."""
        order = list(range(rank))
        order.insert(call.operation.axis % (rank + 1), -1)
        return order


@register_rule("ops.Rot90")
def rot90(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Turns the plane of two axes, a quarter at a time."""
    (x,) = inputs
    axes = list(x.axes)
    one, other = axis_numbers(call.operation.axes, x.rank)
    for _ in range(call.operation.k % 4):
        turned = axes[other]
        axes[other] = axes[one]
        axes[one] = None if turned is None else turned[::-1]
    return Signature(outputs=[Labels(tuple(axes))])


def _flipped(call: Call, rank: int) -> list[int]:
    fixed = {"Fliplr": 1, "Flipud": 0}
    axis = fixed.get(type(call.operation).__name__)
    if axis is None:
        axis = call.operation.axis
    return axis_numbers(axis, rank)


def flip_in_time(call: Call, axes: Axes) -> StepForm:
    """Time stays where it is, unless it is reversed."""
    rank = len(call.input_specs[0].shape)
    return StepForm(outputs=(check_apart(call, axes, _flipped(call, rank)),))


@register_rule("ops.Flip", "ops.Fliplr", "ops.Flipud", in_time=flip_in_time)
def flip(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Reverses the labels of some axes."""
    (x,) = inputs
    for place in _flipped(call, x.rank):
        vector = x.axes[place]
        x = x.at(place, None if vector is None else vector[::-1])
    return Signature(outputs=[x])


def unstack_in_time(call: Call, axes: Axes) -> StepForm:
    """Time moves down by one axis where an earlier one is dropped."""
    place = call.operation.axis % len(call.input_specs[0].shape)
    axis = check_apart(call, axes, [place])
    return StepForm(outputs=(axis - (place < axis),) * len(call.outputs))


@register_rule("ops.Unstack", in_time=unstack_in_time)
def unstack(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Drops an axis; units on it stay, since each becomes a tensor."""
    (x,) = inputs
    place = call.operation.axis % x.rank
    rest = Labels((*x.axes[:place], *x.axes[place + 1 :]))
    return Signature(
        outputs=[rest] * len(call.outputs),
        frozen=freeze(call, [x.axes[place]], "makes a tensor of each"),
    )


@register_rule("ops.Squeeze")
class SqueezeRule(Rule):
    """Removes axes of size 1."""

    def dropped(self, call: Call) -> list[int]:
        """Returns the axes that are removed."""
        given, shape = call.operation.axis, call.input_specs[0].shape
        if given is None:
            return [p for p, size in enumerate(shape) if size == 1]
        return axis_numbers(given, len(shape))

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Carries time with its axis."""
        dropped = self.dropped(call)
        rank = len(call.input_specs[0].shape)
        return moved(call, axes, [p for p in range(rank) if p not in dropped])

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Removes the axes, and never that of time, which may have size 1."""
        shape = call.output_specs[0].shape
        return keras.ops.reshape(args[0], shape), {}

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Drops the axes; a unit alone on one of them stays."""
        (x,) = inputs
        dropped = self.dropped(call)
        kept = [a for p, a in enumerate(x.axes) if p not in dropped]
        return Signature(
            outputs=[Labels(tuple(kept))],
            frozen=freeze(
                call, [x.axes[p] for p in dropped], "removes its axis"
            ),
        )

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Names the axes, so that one more of size 1 is left alone."""
        config = dict(call.operation.get_config())
        if config.get("axis") is None:
            shape = call.input_specs[0].shape
            config["axis"] = [p for p, size in enumerate(shape) if size == 1]
        return config


@register_rule("ops.Roll")
class RollRule(Rule):
    """Shifts positions cyclically; the shifts are in the config."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is, unless its end comes to its start."""
        rank = len(call.input_specs[0].shape)
        over = axis_numbers(call.operation.axis, rank)
        return StepForm(outputs=(check_apart(call, axes, over),))

    def shifts(self, call: Call, rank: int) -> dict[int, int]:
        """Returns by how much each axis is shifted."""
        operation = call.operation
        axes = axis_numbers(operation.axis, rank)
        given = operation.shift
        shifts = list(given) if np.ndim(given) else [given] * len(axes)
        found: dict[int, int] = {}
        for place, shift in zip(axes, shifts, strict=True):
            found[place] = found.get(place, 0) + int(shift)
        return found

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Shifts the labels."""
        (x,) = inputs
        if call.operation.axis is None:
            return pinned(call, inputs, "shifts it over all axes")
        for place, shift in self.shifts(call, x.rank).items():
            vector = x.axes[place]
            x = x.at(place, None if vector is None else np.roll(vector, shift))
        return Signature(outputs=[x])

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Counts the units that are left among those that wrap around."""
        config = dict(call.operation.get_config())
        x = signature.outputs[0]
        if config["axis"] is None or not x.known():
            return config
        shifts = self.shifts(call, x.rank)
        for place, shift in shifts.items():
            vector = x.axes[place]
            if vector is not None:
                front = vector[: shift % len(vector)]
                shifts[place] = int(alive[front].sum())
        config["axis"] = tuple(shifts)
        config["shift"] = tuple(shifts.values())
        return config
