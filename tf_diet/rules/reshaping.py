"""Reshaping, permuting, repeating and reducing axes."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call


def _frozen(call: Call, x: Labels, reason: str) -> list[tuple[Vector, str]]:
    return [(vector, f"{call.path!r} {reason}") for vector in x.known()]


def reshaped(
    x: Labels,
    before: Sequence[int | None],
    after: Sequence[int | None],
) -> Labels | None:
    """Returns the labels after a row-major reshape, None if they do not fit.

    The reshape is run on integers: each element of an array of the old shape
    holds its label, and an axis of the new shape keeps the labels when they
    vary along it alone.
    """
    known = [place for place, axis in enumerate(x.axes) if axis is not None]
    if not known:
        return Labels.none(len(after))
    if len(known) > 1:
        return None
    vector = x.axes[known[0]]
    assert vector is not None
    if None in before[1:] or None in after[1:]:
        kept = known[0] == len(before) - 1 and before[-1] == after[-1]
        return Labels.none(len(after)).at(-1, vector) if kept else None
    shape = [1] * (len(before) - 1)
    shape[known[0] - 1] = len(vector)
    sizes = [int(size or 1) for size in before[1:]]
    grid = np.broadcast_to(vector.reshape(shape), sizes)
    grid = grid.reshape([int(size or 1) for size in after[1:]])
    for place in range(grid.ndim):
        along = np.moveaxis(grid, place, -1)
        first = along.reshape(-1, grid.shape[place])[0]
        if (along == first).all():
            return Labels.none(len(after)).at(place + 1, first)
    return None


class _ReshapeRule(Rule):
    """What all reshapes share: labels are carried by running it on them."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Carries the labels over, or pins them."""
        x = inputs[0]
        before, after = call.input_specs[0].shape, call.output_specs[0].shape
        found = reshaped(x, before, after)
        if found is not None:
            return Signature(outputs=[found])
        return Signature(
            outputs=[Labels.none(len(after))],
            frozen=_frozen(call, x, "mixes this axis with others"),
        )


@register_rule(keras.layers.Flatten)
class FlattenRule(_ReshapeRule):
    """Positions and channels on one axis."""


@register_rule(keras.layers.Reshape, "ops.Reshape")
class ReshapeRule(_ReshapeRule):
    """Sizes are in the config and follow the living positions."""

    def config(
        self, call: Call, signature: Signature, alive: Mask
    ) -> dict[str, Any]:
        """Recounts the axis that carries units."""
        config = dict(call.operation.get_config())
        entry = "target_shape" if "target_shape" in config else "newshape"
        axes = signature.outputs[0].axes
        shape = list(config[entry])
        for place in range(1, len(shape) + 1):
            axis = axes[-place]
            if axis is not None and shape[-place] != -1:
                shape[-place] = int(alive[axis].sum())
        config[entry] = tuple(shape)
        return config


class _AxesRule(Rule):
    """An operation that moves whole axes about."""

    def axes(self, call: Call, x: Labels) -> tuple[Axis, ...]:
        raise NotImplementedError

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Moves the labels like the axes."""
        return Signature(outputs=[Labels(self.axes(call, inputs[0]))])


@register_rule(keras.layers.Permute)
class PermuteRule(_AxesRule):
    """Permutes all axes but the batch."""

    def axes(self, call: Call, x: Labels) -> tuple[Axis, ...]:
        """Returns the permuted labels."""
        return (x.axes[0], *(x.axes[place] for place in call.operation.dims))


@register_rule("ops.Transpose")
class TransposeRule(_AxesRule):
    """Permutes all axes."""

    def axes(self, call: Call, x: Labels) -> tuple[Axis, ...]:
        """Returns the permuted labels."""
        order = call.operation.axes or tuple(reversed(range(x.rank)))
        return tuple(x.axes[place] for place in order)


@register_rule("ops.ExpandDims")
class ExpandDimsRule(_AxesRule):
    """Adds axes of size 1."""

    pointwise_in_time = False

    def axes(self, call: Call, x: Labels) -> tuple[Axis, ...]:
        """Returns the labels with a gap at each new axis."""
        given = call.operation.axis
        places = [given] if isinstance(given, int) else list(given)
        rank = x.rank + len(places)
        new = {place % rank for place in places}
        old = iter(x.axes)
        return tuple(None if p in new else next(old) for p in range(rank))


@register_rule("ops.Squeeze")
class SqueezeRule(Rule):
    """Removes axes of size 1."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Drops the axes; a unit alone on one of them stays."""
        x = inputs[0]
        given = call.operation.axis
        if given is None:
            shape = call.input_specs[0].shape
            given = [p for p, size in enumerate(shape) if size == 1]
        places = [given] if isinstance(given, int) else list(given)
        gone = {place % x.rank for place in places}
        reason = f"{call.path!r} removes its axis"
        return Signature(
            outputs=[
                Labels(tuple(a for p, a in enumerate(x.axes) if p not in gone))
            ],
            frozen=[
                (axis, reason)
                for place, axis in enumerate(x.axes)
                if place in gone and axis is not None
            ],
        )


@register_rule(keras.layers.RepeatVector)
class RepeatVectorRule(Rule):
    """(batch, channels) -> (batch, n, channels)."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Puts an axis without labels between."""
        x = inputs[0]
        return Signature(outputs=[Labels((x.axes[0], None, x.axes[1]))])


@register_rule("ops.Repeat")
class RepeatRule(Rule):
    """Repeats along one axis."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Repeats the labels of that axis, where it has any."""
        x = inputs[0]
        axis = call.operation.axis
        times = call.operation.repeats
        if axis is None or not isinstance(times, int):
            return Signature(
                outputs=[Labels.none(len(call.output_specs[0].shape))],
                frozen=_frozen(call, x, "repeats unevenly"),
            )
        vector = x.axes[axis]
        if vector is not None:
            vector = np.repeat(vector, times)
        return Signature(outputs=[x.at(axis, vector)])


@register_rule("ops.Pad")
class PadRule(Rule):
    """Adds positions at the ends of axes."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; a padded channel axis is pinned."""
        x = inputs[0]
        before, after = call.input_specs[0].shape, call.output_specs[0].shape
        axes: list[Axis] = []
        frozen: list[tuple[Vector, str]] = []
        for axis, old, new in zip(x.axes, before, after, strict=True):
            if axis is not None and old != new:
                frozen.append((axis, f"{call.path!r} pads this axis"))
                axis = None
            axes.append(axis)
        return Signature(outputs=[Labels(tuple(axes))], frozen=frozen)


@register_rule("ops.Sum", "ops.Mean", "ops.Max", "ops.Min")
class ReduceRule(Rule):
    """Reduces over axes. Only a sum over units is exact without them."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Drops the axes; units that are averaged or compared stay."""
        x = inputs[0]
        operation = call.operation
        given = operation.axis
        places = (
            range(x.rank)
            if given is None
            else [given]
            if isinstance(given, int)
            else list(given)
        )
        gone = {place % x.rank for place in places}
        exact = type(operation).__name__ == "Sum"
        frozen = [
            (axis, f"{call.path!r} takes a statistic over this axis")
            for place, axis in enumerate(x.axes)
            if place in gone and axis is not None and not exact
        ]
        kept: list[Axis] = []
        for place, axis in enumerate(x.axes):
            if place not in gone:
                kept.append(axis)
            elif operation.keepdims:
                kept.append(None)
        return Signature(outputs=[Labels(tuple(kept))], frozen=frozen)
