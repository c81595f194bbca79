# SPDX-License-Identifier: MIT
"""Reshaping: how labels spread when axes are merged and split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.operation import Args, Config, Kwargs, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, axis_of_time
from tf_diet.rules.in_time import reshaped_form

Shape = Sequence[int | None]
Segment = tuple[range, range]


@dataclass
class Reshaped:
    """What a reshape does to labels.

    Args:
        axes: the labels of each axis after it.
        ties: pairs of vectors that live and die together, since an axis is
            cut into whole blocks.
        frozen: vectors that must live.
    """

    axes: list[Axis]
    ties: list[tuple[Vector, Vector]] = field(default_factory=list)
    frozen: list[Vector] = field(default_factory=list)

    def signature(self, call: Call) -> Signature:
        """Returns the signature of a call that does this."""
        reason = f"{call.path!r} mixes this axis with others"
        return Signature(
            outputs=[Labels(tuple(self.axes))],
            ties=self.ties,
            frozen=[(vector, reason) for vector in self.frozen],
        )


def segments(before: Shape, after: Shape) -> list[Segment]:
    """Cuts two shapes into the shortest runs of axes of equal product.

    The runs are found from the last axis on. What is before the first unknown
    size that faces another size is one run.
    """
    found: list[Segment] = []
    i, j = len(before), len(after)
    while i and j:
        first, second = i - 1, j - 1
        old, new = before[first], after[second]
        while old != new and old is not None and new is not None:
            if old < new and first:
                first -= 1
                size = before[first]
                old = None if size is None else old * size
            elif new < old and second:
                second -= 1
                size = after[second]
                new = None if size is None else new * size
            else:
                old = None
        if old is None or new is None:
            break
        found.append((range(first, i), range(second, j)))
        i, j = first, second
    if i or j:
        found.append((range(i), range(j)))
    return found[::-1]


def reshaped(x: Labels, before: Shape, after: Shape) -> Reshaped:
    """Returns what a row-major reshape does to labels.

    Args:
        x: the labels before it.
        before: the shape before it, unknown sizes None.
        after: the shape after it.
    """
    result = Reshaped([None] * len(after))
    for old, new in segments(before, after):
        if len(old) == len(new) == 1:
            result.axes[new[0]] = x.axes[old[0]]
            continue
        known = [p for p in old if x.axes[p] is not None]
        sizes = [before[p] for p in old], [after[p] for p in new]
        if None in sizes[0] or None in sizes[1]:
            result.frozen += [x.axes[p] for p in known]  # type: ignore[misc]
        elif known:
            _carry(x, before, after, (old, new), result)
    return result


def _carry(
    x: Labels, before: Shape, after: Shape, segment: Segment, result: Reshaped
) -> None:
    """Runs a reshape on integers: each element holds the label of its unit.

    An axis after it keeps labels that vary along it alone. Labels that vary
    along several are tied until they vary along the first: whole blocks.
    """
    old, new = segment
    vectors = {p: v for p in old if (v := x.axes[p]) is not None}
    # Only where all units of one axis stay can another keep its own.
    carrier, *others = sorted(vectors, key=lambda p: -len(vectors[p]))
    result.frozen += [vectors[p] for p in others]
    shape = [before[p] if p == carrier else 1 for p in old]
    grid = np.broadcast_to(
        vectors[carrier].reshape([int(size or 1) for size in shape]),
        [int(before[p] or 1) for p in old],
    ).reshape([int(after[p] or 1) for p in new])
    varies = [
        place
        for place in range(grid.ndim)
        if (grid != grid.take([0], axis=place)).any()
    ]
    if not varies:
        # One unit, whose axis of size 1 may be gone.
        result.frozen.append(vectors[carrier])
        return
    place = varies[0]
    blocks = np.moveaxis(grid, place, 0).reshape(grid.shape[place], -1)
    kept = blocks[:, 0].copy()
    for other in blocks.T[1:]:
        if (other != kept).any():
            result.ties.append((kept, other.copy()))
    result.axes[new[place]] = kept


@register_rule("ops.Ravel")
def ravel(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Carries the labels to one axis; what mixes two axes pins one."""
    before, after = call.input_specs[0].shape, call.output_specs[0].shape
    return reshaped(inputs[0], before, after).signature(call)


@register_rule(keras.layers.Flatten)
def flatten(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Carries positions and channels to one axis.

    Channels that come first go last.
    """
    (x,) = inputs
    before, after = call.input_specs[0].shape, call.output_specs[0].shape
    if call.operation.data_format == "channels_first" and x.rank > 1:
        order = [0, *range(2, x.rank), 1]
        x = Labels(tuple(x.axes[place] for place in order))
        before = tuple(before[place] for place in order)
    return reshaped(x, before, after).signature(call)


@register_rule(keras.layers.Reshape, "ops.Reshape")
class ReshapeRule(Rule):
    """Reshapes to sizes in its config, which follow the removed units."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Carries the labels over; what mixes two axes pins one."""
        before, after = call.input_specs[0].shape, call.output_specs[0].shape
        return reshaped(inputs[0], before, after).signature(call)

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is; a step may become several, or part of one."""
        axis = axis_of_time(call, axes)
        before, after = call.input_specs[0].shape, call.output_specs[0].shape
        return reshaped_form(call, axis, before, after)

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Reshapes to the sizes of one call."""
        return keras.ops.reshape(args[0], call.output_specs[0].shape), {}

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Recounts the axes that carry units; an open size stays open."""
        config = dict(call.operation.get_config())
        entry = "target_shape" if "target_shape" in config else "newshape"
        axes = signature.outputs[0].axes
        if isinstance(config[entry], int):
            return config
        shape = list(config[entry])
        for place in range(1, len(shape) + 1):
            axis = axes[-place]
            if axis is not None and shape[-place] != -1:
                shape[-place] = int(alive[axis].sum())
        config[entry] = tuple(shape)
        return config
