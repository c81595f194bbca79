# SPDX-License-Identifier: MIT
"""Step forms that several kinds of layers share."""

from collections.abc import Hashable, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.operation import Tensor
from tf_diet.graph.timing import Axes, StepForm, axis_of_time, refused


def broadcast_axes(call: Call, axes: Axes) -> StepForm:
    """Time stays where it is, counted from the last axis.

    Raises:
        StreamingError: time meets another axis, or a constant that has a
            value for each time step.
    """
    rank = len(call.output_specs[0].shape)
    from_end = [
        None if axis is None else axis - len(spec.shape)
        for axis, spec in zip(axes, call.input_specs, strict=True)
    ]
    place = axis_of_time(call, from_end)
    for leaf in keras.tree.flatten((call.args, dict(call.kwargs))):
        if not isinstance(leaf, Slot) and hasattr(leaf, "shape"):
            check_size(call, leaf.shape, place)
    for axis, spec in zip(axes, call.input_specs, strict=True):
        if axis is None:
            check_size(call, spec.shape, place)
    return StepForm(outputs=(place + rank,) * len(call.outputs))


def check_size(call: Call, shape: Sequence[int | None], place: int) -> None:
    """Checks that what meets a sequence is the same at all time steps.

    Args:
        call: the application.
        shape: of the operand without time.
        place: the axis that meets time, counted from the last.

    Raises:
        StreamingError: it has a value for each time step.
    """
    if len(shape) >= -place and shape[place] not in (1, None):
        raise refused(
            call,
            f"which joins a value of its own to each of {shape[place]} time "
            "steps, and a stream has no end",
            "Give these values as an input that has time.",
        )


def merged_axes(call: Call, axes: Axes) -> StepForm:
    """Time stays where it is, as Keras puts axes of size 1 behind the batch."""
    rank = len(call.output_specs[0].shape)
    moved = [
        None if axis is None else axis + rank - len(spec.shape)
        for axis, spec in zip(axes, call.input_specs, strict=True)
    ]
    axis = axis_of_time(call, moved)
    for known, spec in zip(axes, call.input_specs, strict=True):
        if known is None:
            wide = (None, *(1,) * (rank - len(spec.shape)), *spec.shape[1:])
            check_size(call, wide, axis - rank)
    return StepForm(outputs=(axis,) * len(call.outputs))


def moved(call: Call, axes: Axes, order: Sequence[int]) -> StepForm:
    """Time goes where its axis goes.

    Args:
        call: the application.
        axes: the axis of time of each input.
        order: for each axis of the outputs, which one it was before; -1 for
            a new one.

    Raises:
        StreamingError: the axis of time is dropped.
    """
    axis = axis_of_time(call, axes)
    if axis not in order:
        raise refused(call, f"which drops axis {axis}, time", "Keep it.")
    place = list(order).index(axis)
    return StepForm(outputs=(place,) * len(call.outputs))


def reshaped_form(
    call: Call,
    axis: int,
    before: Sequence[int | None],
    after: Sequence[int | None],
) -> StepForm:
    """Returns what a row-major reshape does to time.

    Steps may be put side by side on the next axis, or the values of a step
    one after the other in time: both change the rate.

    Args:
        call: the application.
        axis: of time.
        before: the shape before it; the size of time does not matter.
        after: the shape after it.
    """
    reason = "which mixes time with other axes"
    advice = "Keep time on an axis of its own."
    lead = before[1:axis]
    if list(after[1:axis]) != list(lead) or len(after) <= axis:
        raise refused(call, reason, advice)
    inner, outer = before[axis + 1 :], after[axis + 1 :]
    if None in inner or None in outer or None in lead:
        raise refused(call, reason, advice)
    given = int(np.prod([n or 1 for n in inner]))
    asked = int(np.prod([n or 1 for n in outer]))
    fixed = before[axis] is not None and after[axis] is not None
    if fixed and before[axis] * given != after[axis] * asked:  # type: ignore[operator]
        raise refused(call, reason, advice)
    if given % asked == 0:
        return StepForm(outputs=(axis,), factor=given // asked)
    if asked % given == 0:
        together = asked // given
        return StepForm(outputs=(axis,), span=together, stride=together)
    raise refused(call, reason, advice)


def carried(
    call: Call,
    indices: Sequence[Sequence[Hashable]],
    shapes: Sequence[Sequence[int | None]],
    times: Axes,
    out: Sequence[Hashable],
) -> StepForm:
    """Returns where time goes in a sum of products.

    Args:
        call: the application.
        indices: of the axes of each operand; those of one name run together.
        shapes: of each operand.
        times: the axis of time of each.
        out: the indices of the result.

    Raises:
        StreamingError: time is summed over, or paired with itself.
    """
    given = list(zip(indices, shapes, times, strict=True))
    found = {names[axis] for names, _, axis in given if axis is not None}
    index = found.pop()
    meets = any(
        index in names and shape[list(names).index(index)] != 1
        for names, shape, axis in given
        if axis is None
    )
    if found or meets or index not in out:
        raise refused(
            call,
            "which sums over time or pairs time steps, and so needs the whole "
            "sequence",
            "Let it work along the channels only.",
        )
    return StepForm(outputs=(list(out).index(index),))


def repeated(x: Tensor, axis: int, times: int) -> Any:
    """Repeats each step, by what a microcontroller has operators for."""
    shape = [int(size) for size in x.shape]
    apart = keras.ops.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    joined = keras.ops.concatenate([apart] * times, axis=axis + 1)
    shape[axis] *= times
    return keras.ops.reshape(joined, shape)
