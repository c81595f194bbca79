# SPDX-License-Identifier: MIT
"""Merging several tensors: value by value, or side by side."""

from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector
from tf_diet.graph.rule import Fresh, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, axis_of_time, check_apart
from tf_diet.rules.elementwise import combine, operands
from tf_diet.rules.in_time import check_size, merged_axes
from tf_diet.rules.outcomes import pinned

Shape = Sequence[int | None]


@register_rule(
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
    keras.layers.Subtract,
    in_time=merged_axes,
)
def merge(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Ties equal axes: the channels that meet value by value are one unit.

    Keras puts axes of size 1 behind the batch of what has fewer axes.
    """
    given = operands(call, inputs)
    rank = max(labels.rank for labels, _ in given)
    return combine(
        call,
        [
            (
                Labels((axes[0], *(None,) * (rank - len(axes)), *axes[1:])),
                (shape[0], *(1,) * (rank - len(axes)), *shape[1:]),
            )
            for axes, shape in ((x.axes, shape) for x, shape in given)
        ],
    )


def concatenate_in_time(call: Call, axes: Axes) -> StepForm:
    """Time stays where it is, unless sequences are laid end to end."""
    rank = len(call.output_specs[0].shape)
    joined = _joined_axis(call, rank)
    axis = check_apart(call, axes, range(rank) if joined is None else [joined])
    for known, spec in zip(axes, call.input_specs, strict=True):
        if known is None and spec.shape[axis] != 1:
            check_size(call, spec.shape, axis - rank)
    return StepForm(outputs=(axis,))


@register_rule(
    keras.layers.Concatenate,
    "ops.Append",
    "ops.Concatenate",
    "ops.Dstack",
    "ops.Hstack",
    "ops.Vstack",
    in_time=concatenate_in_time,
)
def concatenate(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Joins the labels along one axis and ties them on the others."""
    given = operands(call, inputs)
    rank = len(call.output_specs[0].shape)
    joined = _joined_axis(call, rank)
    if joined is None or any(x.rank != rank for x, _ in given):
        return pinned(call, inputs, "changes how many axes there are")
    if any(
        shape[joined] is None and x.axes[joined] is not None
        for x, _ in given
        for _, shape in given
    ):
        return pinned(call, inputs, "joins it to data of unknown size")
    return _side_by_side(call, given, joined, fresh)


def stack_in_time(call: Call, axes: Axes) -> StepForm:
    """Time moves up by one axis where the new one comes before it."""
    axis = axis_of_time(call, axes)
    new = call.operation.axis % len(call.output_specs[0].shape)
    return StepForm(outputs=(axis + (new <= axis),))


@register_rule("ops.Stack", in_time=stack_in_time)
def stack(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Ties all axes; the new one has no labels."""
    found = _side_by_side(call, operands(call, inputs), None, fresh)
    axes = list(found.outputs[0].axes)
    axes.insert(call.operation.axis % (len(axes) + 1), None)
    return replace(found, outputs=[Labels(tuple(axes))])


def _side_by_side(
    call: Call,
    given: Sequence[tuple[Labels, Shape]],
    joined: int | None,
    fresh: Fresh,
) -> Signature:
    """Ties the axes of what is joined; units beside data stay.

    Args:
        call: the application.
        given: labels and shape of each operand, all of one rank.
        joined: the axis that they are laid along, if it is an old one.
        fresh: makes the labels of data.
    """
    ties: list[tuple[Vector, Vector]] = []
    frozen: list[tuple[Vector, str]] = []
    axes: list[Axis] = []
    for place in range(given[0][0].rank):
        found = [labels.axes[place] for labels, _ in given]
        known = [axis for axis in found if axis is not None]
        sizes = [shape[place] for _, shape in given]
        if not known:
            axes.append(None)
        elif place == joined:
            axes.append(_join(call, found, sizes, fresh))
        else:
            axes.append(known[0])
            ties += [(known[0], other) for other in known[1:]]
            if len(known) < len(found):
                reason = f"{call.path!r} lays it beside data"
                frozen.append((known[0], reason))
    return Signature(outputs=[Labels(tuple(axes))], ties=ties, frozen=frozen)


def _join(
    call: Call, found: Sequence[Axis], sizes: Shape, fresh: Fresh
) -> Vector:
    """Returns one vector; data among units gets labels that stay."""
    reason = f"data joined by {call.path!r}"
    return np.concatenate(
        [
            fresh.fixed(size or 0, reason) if axis is None else axis
            for axis, size in zip(found, sizes, strict=True)
        ]
    )


def _joined_axis(call: Call, rank: int) -> int | None:
    """Returns the axis that is joined; None where all are flattened."""
    kind = type(call.operation).__name__
    fixed = {"Dstack": 2, "Hstack": min(1, rank - 1), "Vstack": 0}
    if kind in fixed:
        return fixed[kind] % rank
    axis = call.operation.axis
    return None if axis is None else int(axis) % rank
