# SPDX-License-Identifier: MIT
"""Moving, turning, adding and dropping whole axes."""

from collections.abc import Iterable, Sequence

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels, Mask
from tf_diet.graph.operation import Config
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.outcomes import axis_numbers, freeze, pinned


def _in_order(x: Labels, order: Iterable[int]) -> Signature:
    """Permutes the labels as the axes are permuted.

    Args:
        x: the labels before.
        order: for each axis after it, which one it was before.
    """
    return Signature(outputs=[Labels(tuple(x.axes[place] for place in order))])


@register_rule(keras.layers.Permute)
def permute(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Permutes all axes but the batch."""
    (x,) = inputs
    return _in_order(x, [0, *call.operation.dims])


@register_rule("ops.Transpose")
def transpose(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Permutes all axes; backwards where none are given."""
    (x,) = inputs
    axes = call.operation.axes
    every = range(x.rank)
    return _in_order(
        x, every[::-1] if axes is None else axis_numbers(axes, x.rank)
    )


@register_rule("ops.Moveaxis")
def moveaxis(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Puts some axes elsewhere; the others fill the places in between."""
    (x,) = inputs
    source = axis_numbers(call.operation.source, x.rank)
    target = axis_numbers(call.operation.destination, x.rank)
    moved = dict(zip(target, source, strict=True))
    rest = (place for place in range(x.rank) if place not in source)
    return _in_order(
        x, [moved[p] if p in moved else next(rest) for p in range(x.rank)]
    )


@register_rule("ops.Swapaxes")
def swapaxes(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Swaps two axes."""
    (x,) = inputs
    order = list(range(x.rank))
    one, other = call.operation.axis1 % x.rank, call.operation.axis2 % x.rank
    order[one], order[other] = order[other], order[one]
    return _in_order(x, order)


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


@register_rule("ops.ExpandDims")
def expand_dims(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Adds axes of size 1, which have no labels."""
    (x,) = inputs
    given = call.operation.axis
    count = len(given) if isinstance(given, list | tuple) else 1
    new = axis_numbers(given, x.rank + count)
    old = iter(x.axes)
    axes = [
        None if place in new else next(old) for place in range(x.rank + count)
    ]
    return Signature(outputs=[Labels(tuple(axes))])


@register_rule("ops.OneHot")
def one_hot(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Adds an axis of classes, which has no labels."""
    (x,) = inputs
    axes = list(x.axes)
    axes.insert(call.operation.axis % (x.rank + 1), None)
    return Signature(outputs=[Labels(tuple(axes))])


@register_rule("ops.Flip", "ops.Fliplr", "ops.Flipud")
def flip(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Reverses the labels of some axes."""
    (x,) = inputs
    fixed = {"Fliplr": 1, "Flipud": 0}
    axis = fixed.get(type(call.operation).__name__)
    if axis is None:
        axis = call.operation.axis
    for place in axis_numbers(axis, x.rank):
        vector = x.axes[place]
        x = x.at(place, None if vector is None else vector[::-1])
    return Signature(outputs=[x])


@register_rule("ops.Unstack")
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

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Drops the axes; a unit alone on one of them stays."""
        (x,) = inputs
        given = call.operation.axis
        if given is None:
            shape = call.input_specs[0].shape
            given = [p for p, size in enumerate(shape) if size == 1]
        dropped = axis_numbers(given, x.rank)
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
