# SPDX-License-Identifier: MIT
"""Repeating, spreading and padding along axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Ints
from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.labels import Axis, Labels, Mask, Vector, shrunk
from tf_diet.graph.operation import Args, Config, Kwargs, Operation, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import (
    Axes,
    StepForm,
    axis_of_time,
    check_apart,
    refused,
)
from tf_diet.rules.contraction import bind, bound
from tf_diet.rules.outcomes import axis_numbers, freeze, pinned


def _spreads(x: Labels, place: int, size: int | None) -> bool:
    """Says whether one value is repeated as channels, which can be fewer.

    Only the last axis is taken for channels: elsewhere it may be positions.
    """
    return size == 1 and 0 < place == x.rank - 1


@register_rule(keras.layers.RepeatVector)
def repeat_vector(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Puts an axis without labels between batch and channels."""
    (x,) = inputs
    return Signature(outputs=[Labels((x.axes[0], None, x.axes[1]))])


@register_rule("ops.Repeat")
class RepeatRule(Rule):
    """Repeats along one axis."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns how often a time step is repeated."""
        rank = len(call.input_specs[0].shape)
        over = axis_numbers(call.operation.axis, rank)
        axis, repeats = axis_of_time(call, axes), call.operation.repeats
        if over == [axis] and np.size(repeats) == 1:
            factor = int(np.ravel(repeats)[0])
            return StepForm(outputs=(axis,), factor=factor, copies=True)
        return StepForm(outputs=(check_apart(call, axes, over),))

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Repeats the labels; one value can be repeated less often."""
        (x,) = inputs
        axis, repeats = call.operation.axis, call.operation.repeats
        if axis is None:
            return pinned(call, inputs, "flattens it")
        vector = x.axes[axis]
        if vector is not None:
            vector = np.repeat(vector, repeats)
        elif _spreads(x, axis % x.rank, call.input_specs[0].shape[axis]):
            vector = fresh.free(call.output_specs[0].shape[axis] or 0)
        return Signature(outputs=[x.at(axis, vector)])

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Operation:
        """Keeps the repeats of the positions that are left."""
        operation = call.operation
        axis, repeats = operation.axis, operation.repeats
        if axis is not None:
            before = inputs[0].axes[axis]
            after = signature.outputs[0].axes[axis]
            if before is None and after is not None:
                repeats = int(alive[after].sum())
            elif before is not None and np.size(repeats) > 1:
                kept = np.asarray(repeats)[alive[before]]
                # JAX takes no list, and an array has no config.
                plain = isinstance(repeats, list | tuple)
                repeats = kept.tolist() if plain else kept
        return type(operation)(repeats, axis=axis, name=operation.name)


@register_rule("ops.Tile")
class TileRule(Rule):
    """Repeats whole axes."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is, unless it starts again at its end."""
        wide = len(call.output_specs[0].shape)
        given = call.operation.repeats
        repeats = [given] if isinstance(given, int) else list(given)
        repeats = [1] * (wide - len(repeats)) + repeats
        over = [place for place, times in enumerate(repeats) if times != 1]
        moved = wide - len(call.input_specs[0].shape)
        later = [None if axis is None else axis + moved for axis in axes]
        return StepForm(outputs=(check_apart(call, later, over),))

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Tiles the labels; one value can be repeated less often."""
        (x,) = inputs
        given = call.operation.repeats
        repeats = [given] if isinstance(given, int) else list(given)
        rank = max(len(repeats), x.rank)
        repeats = [1] * (rank - len(repeats)) + repeats
        axes: list[Axis] = [*(None,) * (rank - x.rank), *x.axes]
        shape = [*(1,) * (rank - x.rank), *call.input_specs[0].shape]
        for place, times in enumerate(repeats):
            axis = axes[place]
            if axis is not None:
                axes[place] = np.tile(axis, times)
            elif times > 1 and _spreads(
                Labels(tuple(axes)), place, shape[place]
            ):
                axes[place] = fresh.free(times)
        return Signature(outputs=[Labels(tuple(axes))])

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Operation:
        """Recounts how often one value is repeated."""
        operation = call.operation
        given = operation.repeats
        repeats = [given] if isinstance(given, int) else list(given)
        (x,) = inputs
        after = signature.outputs[0].axes
        for place in range(1, min(len(repeats), len(after)) + 1):
            old = x.axes[-place] if place <= x.rank else None
            new = after[-place]
            if old is None and new is not None:
                repeats[-place] = int(alive[new].sum())
        return type(operation)(tuple(repeats), name=operation.name)


@register_rule("ops.BroadcastTo")
class BroadcastToRule(Rule):
    """Spreads axes of size 1; the sizes are in the config."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; one value can be spread over fewer."""
        (x,) = inputs
        before, after = call.input_specs[0].shape, call.output_specs[0].shape
        new = len(after) - x.rank
        axes: list[Axis] = []
        frozen: list[tuple[Vector, str]] = []
        for place, size in enumerate(after):
            axis = x.axes[place - new] if place >= new else None
            old = before[place - new] if place >= new else 1
            if old == 1 and size is not None and size > 1:
                frozen += freeze(call, [axis], "spreads one channel over many")
                free = _spreads(Labels.none(len(after)), place, old)
                axis = fresh.free(size) if free else None
            axes.append(axis)
        return Signature(outputs=[Labels(tuple(axes))], frozen=frozen)

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Recounts the axes that carry units."""
        config = dict(call.operation.get_config())
        axes = signature.outputs[0].axes
        config["shape"] = shrunk(axes, config["shape"], alive)
        return config


def _widths(call: Call) -> Ints:
    rank = len(call.input_specs[0].shape)
    return np.broadcast_to(np.asarray(call.operation.pad_width), (rank, 2))


@register_rule("ops.Pad")
class PadRule(Rule):
    """Puts positions around those there are."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Puts labels that stay around units; mirrored units are pinned."""
        return _padded(call, inputs, fresh)

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns how many steps stand before the first."""
        axis = axis_of_time(call, axes)
        left = int(_widths(call)[axis, 0])
        value: Any = bound(call).get("constant_values", 0.0)
        if left and call.operation.mode != "constant":
            raise refused(
                call,
                f"and mode={call.operation.mode!r} looks ahead at the start",
                "Use mode='constant'.",
            )
        if isinstance(value, Slot) or np.ndim(value):
            raise refused(
                call, "which pads with a tensor", "Pad with one number."
            )
        return StepForm(outputs=(axis,), left=left, fill=float(value or 0.0))

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Pads the other axes."""
        widths = [(int(a), int(b)) for a, b in _widths(call)]
        widths[call.time or 0] = (0, 0)
        if not any(map(any, widths)):
            return args[0], {}
        value = bind(call.operation, args, kwargs).get("constant_values")
        y = keras.ops.pad(args[0], widths, call.operation.mode, value)
        return y, {}


def _padded(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    x = inputs[0]
    operation = call.operation
    widths = _widths(call)
    axes: list[Axis] = []
    frozen: list[tuple[Vector, str]] = []
    for axis, (left, right) in zip(x.axes, widths.tolist(), strict=True):
        if axis is not None and (left or right):
            if operation.mode != "constant":
                frozen += freeze(call, [axis], "mirrors its ends")
            data = f"{call.path!r} adds it"
            parts = fresh.fixed(left, data), axis, fresh.fixed(right, data)
            axis = np.concatenate(parts)
        axes.append(axis)
    return Signature(outputs=[Labels(tuple(axes))], frozen=frozen)
