# SPDX-License-Identifier: MIT
"""The step form of convolutions and pooling: a window over time."""

from collections.abc import Sequence
from typing import Any

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.operation import Operation, Tensor
from tf_diet.graph.timing import Axes, StepForm, axis_of_time, refused
from tf_diet.rules.copies import copied
from tf_diet.rules.windows import padding, reach, strides


def channels_first(layer: Operation) -> bool:
    """Says whether the channels stand before the positions."""
    return getattr(layer, "data_format", "") == "channels_first"


def place_of_time(call: Call, axes: Axes) -> int:
    """Returns which of the axes that a window slides over is time.

    Raises:
        StreamingError: none of them is; time is where channels are.
    """
    axis = axis_of_time(call, axes)
    first = channels_first(call.operation)
    place = axis - (2 if first else 1)
    rank = len(call.input_specs[0].shape)
    if place < 0 or (axis == rank - 1 and not first):
        raise refused(
            call,
            "which has time where it expects channels and so mixes all steps",
            "Put time on the axis that it slides over.",
        )
    return place


def sliding_form(call: Call, axes: Axes, fill: float = 0.0) -> StepForm:
    """Returns the window of a layer along the axis of time.

    Args:
        call: of a layer with `padding`, `strides` and a size.
        axes: the axis of time of each input.
        fill: what its padding holds.
    """
    layer = call.operation
    place = place_of_time(call, axes)
    axis = axis_of_time(call, axes)
    span, stride = reach(layer)[place], strides(layer)[place]
    left = {
        "valid": 0,
        "causal": span - 1,
        # For whole frames: as many positions come out as strides go in.
        "same": max(span - stride, 0) // 2,
    }[layer.padding]
    return StepForm(
        outputs=(axis,),
        span=span,
        stride=stride,
        left=left,
        fill=fill,
        why=f"padding={layer.padding!r} looks ahead or drops frames",
        remedy=_remedy(layer, span - stride, place),
    )


def _remedy(layer: Operation, past: int, place: int) -> str:
    kind = type(layer).__name__
    if kind == "Conv1D" and not channels_first(layer):
        return (
            "Use padding='causal', or zeros before it (ZeroPadding1D(("
            f"{past}, 0))) and padding='valid'."
        )
    rank = getattr(layer, "rank", 1)
    pairs = ", ".join(
        f"({past}, 0)" if n == place else "(0, 0)" for n in range(rank)
    )
    pads = f"({pairs})" if rank > 1 else pairs
    return (
        f"Put zeros before it (ZeroPadding{rank}D({pads}), causal) and use "
        "padding='valid'."
    )


def slide(call: Call, window: Tensor) -> Any:
    """Applies a convolution or pooling to whole windows along time.

    Args:
        call: in a step model.
        window: the steps that the outputs are made of, padding included.
    """
    layer = call.operation
    first = channels_first(layer)
    place = (call.time or 1) - (2 if first else 1)
    alone = reach(layer)[place] == 1 and strides(layer)[place] == 1
    if alone or layer.padding == "valid":
        return layer(window)
    if layer.padding == "same":
        spatial = window.shape[2:] if first else window.shape[1:-1]
        window = _padded(
            window, padding(layer, tuple(spatial)), place, 2 if first else 1
        )
    if not isinstance(layer, keras.Layer):
        raise refused(call, f"with padding={layer.padding!r}", "Use a layer.")
    return copied(layer, call.step_name, padding="valid")(window)


def _padded(
    window: Tensor,
    around: Sequence[tuple[int, int]],
    place: int,
    start: int,
) -> Any:
    """Pads all positions but those in time as padding='same' does."""
    width = [(0, 0)] * len(window.shape)
    for number, pair in enumerate(around):
        if number != place:
            width[start + number] = pair
    if not any(map(any, width)):
        return window
    return keras.ops.pad(window, width)
