# SPDX-License-Identifier: MIT
"""Moving, turning, adding and dropping whole axes."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels, Mask
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.rules.outcomes import gone, pinned, places


class _OrderRule(Rule):
    """An operation that puts whole axes into another order."""

    def order(self, call: Call, rank: int) -> Sequence[int]:
        """Returns, for each axis after it, which one it was before."""
        raise NotImplementedError

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Moves the labels like the axes."""
        (x,) = inputs
        order = self.order(call, x.rank)
        return Signature(outputs=[Labels(tuple(x.axes[p] for p in order))])


@register_rule(keras.layers.Permute)
class PermuteRule(_OrderRule):
    """Permutes all axes but the batch."""

    def order(self, call: Call, rank: int) -> Sequence[int]:
        """Returns the batch and then the dims."""
        return [0, *call.operation.dims]


@register_rule("ops.Transpose")
class TransposeRule(_OrderRule):
    """Permutes all axes."""

    def order(self, call: Call, rank: int) -> Sequence[int]:
        """Returns the axes; backwards when not given."""
        given = call.operation.axes
        if given is None:
            return range(rank)[::-1]
        return places(given, rank)


@register_rule("ops.Moveaxis")
class MoveaxisRule(_OrderRule):
    """Puts some axes elsewhere."""

    def order(self, call: Call, rank: int) -> Sequence[int]:
        """Fills the other axes in between."""
        source = places(call.operation.source, rank)
        target = places(call.operation.destination, rank)
        moved = dict(zip(target, source, strict=True))
        rest = (place for place in range(rank) if place not in source)
        return [moved[p] if p in moved else next(rest) for p in range(rank)]


@register_rule("ops.Swapaxes")
class SwapaxesRule(_OrderRule):
    """Swaps two axes."""

    def order(self, call: Call, rank: int) -> Sequence[int]:
        """Swaps them."""
        order = list(range(rank))
        one, other = call.operation.axis1 % rank, call.operation.axis2 % rank
        order[one], order[other] = order[other], order[one]
        return order


@register_rule("ops.Rot90")
class Rot90Rule(Rule):
    """Turns a plane of two axes."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Turns the labels of these two axes, a quarter at a time."""
        (x,) = inputs
        axes = list(x.axes)
        one, other = places(call.operation.axes, x.rank)
        for _ in range(call.operation.k % 4):
            turned = axes[other]
            axes[other] = axes[one]
            axes[one] = None if turned is None else turned[::-1]
        return Signature(outputs=[Labels(tuple(axes))])


@register_rule("ops.ExpandDims")
class ExpandDimsRule(Rule):
    """Adds axes of size 1."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Leaves a gap at each new axis."""
        (x,) = inputs
        given = call.operation.axis
        count = len(given) if isinstance(given, list | tuple) else 1
        new = places(given, x.rank + count)
        old = iter(x.axes)
        axes = [
            None if place in new else next(old)
            for place in range(x.rank + count)
        ]
        return Signature(outputs=[Labels(tuple(axes))])


@register_rule("ops.OneHot")
class OneHotRule(Rule):
    """Adds an axis of classes."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Leaves a gap at the new axis."""
        (x,) = inputs
        axes = list(x.axes)
        axes.insert(call.operation.axis % (x.rank + 1), None)
        return Signature(outputs=[Labels(tuple(axes))])


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
        dropped = places(given, x.rank)
        kept = [a for p, a in enumerate(x.axes) if p not in dropped]
        return Signature(
            outputs=[Labels(tuple(kept))],
            frozen=gone(call, [x.axes[p] for p in dropped], "removes its axis"),
        )

    def config(
        self, call: Call, signature: Signature, alive: Mask
    ) -> dict[str, Any]:
        """Names the axes, so that one more of size 1 is left alone."""
        config = dict(call.operation.get_config())
        if config.get("axis") is None:
            shape = call.input_specs[0].shape
            config["axis"] = [p for p, size in enumerate(shape) if size == 1]
        return config


@register_rule("ops.Flip", "ops.Fliplr", "ops.Flipud")
class FlipRule(Rule):
    """Turns axes round."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Turns the labels round."""
        (x,) = inputs
        fixed = {"Fliplr": 1, "Flipud": 0}
        axis = fixed.get(type(call.operation).__name__)
        if axis is None:
            axis = call.operation.axis
        for place in places(axis, x.rank):
            vector = x.axes[place]
            x = x.at(place, None if vector is None else vector[::-1])
        return Signature(outputs=[x])


@register_rule("ops.Roll")
class RollRule(Rule):
    """Shifts axes round; the shifts are in the config."""

    def shifts(self, call: Call, rank: int) -> dict[int, int]:
        """Returns by how much each axis is shifted."""
        operation = call.operation
        axes = places(operation.axis, rank)
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

    def config(
        self, call: Call, signature: Signature, alive: Mask
    ) -> dict[str, Any]:
        """Counts how many of those that come round the end live."""
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


@register_rule("ops.Unstack")
class UnstackRule(Rule):
    """One tensor for each position of an axis."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Drops the axis; units on it stay, each is a tensor."""
        (x,) = inputs
        place = call.operation.axis % x.rank
        rest = Labels((*x.axes[:place], *x.axes[place + 1 :]))
        return Signature(
            outputs=[rest] * len(call.outputs),
            frozen=gone(call, [x.axes[place]], "makes a tensor of each"),
        )
