# SPDX-License-Identifier: MIT
"""How a call runs on the few time steps of one call of a step model.

A step model is called again and again on the next steps of a stream. What a
rule says of a layer is a `StepForm`: which steps of its input one step of its
output is made of. Buffers, delays and rates follow from that alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tf_diet.errors import StreamingError
from tf_diet.graph.calls import Call

Axes = Sequence[int | None]

_REMEDY = "Use a causal layer, or convert the part of the model before it."


@dataclass(frozen=True)
class StepForm:
    """Which steps of a call's input the steps of its output are made of.

    Output step `j` is made of the input steps `j * stride - left` to
    `j * stride - left + span - 1`; what is before the first is `fill`. The
    rule's `step` gets just the steps that its outputs are made of.

    Args:
        outputs: the axis of time of each output. None: the output has none
            and is an answer for all steps so far.
        span: input steps that an output step is made of.
        stride: input steps from one output step to the next.
        left: steps that stand before the first one; negative drops some.
        fill: what those steps hold.
        factor: output steps for each input step, after the stride.
        skip: output steps dropped at the start.
        copies: the `factor` steps are copies of one another.
        carries: it keeps a state of its own from the first step on.
        exact: steps for which the result is that of the whole sequence, such
            as a bound of the past; 0 is all.
        why: what lags behind its input: reads on from "Received: Conv1D, and".
        remedy: what to do about it.
    """

    outputs: Axes
    span: int = 1
    stride: int = 1
    left: int = 0
    fill: float = 0.0
    factor: int = 1
    skip: int = 0
    copies: bool = False
    carries: bool = False
    exact: int = 0
    why: str = "it looks ahead"
    remedy: str = _REMEDY

    @property
    def plain(self) -> bool:
        """Says whether each step is made of the same step alone."""
        window = (self.span, self.stride, self.left, self.factor, self.skip)
        alone = window == (1, 1, 0, 1, 0) and None not in self.outputs
        return alone and not self.carries


def refused(call: Call, why: str, remedy: str = _REMEDY) -> StreamingError:
    """Returns the error of a layer that cannot run one frame at a time.

    Args:
        call: the application.
        why: reads on from the class of the layer.
        remedy: what to do, in sentences.
    """
    kind = type(call.operation).__name__
    return StreamingError(
        f"The layer {call.path!r} cannot run one frame at a time. Received: "
        f"{kind}, {why}. {remedy}"
    )


def axis_of_time(call: Call, axes: Axes) -> int:
    """Returns the axis on which all inputs that have time have it.

    Args:
        call: the application.
        axes: the axis of time of each input, None for those without.

    Raises:
        StreamingError: they have it on several.
    """
    found = {axis for axis in axes if axis is not None}
    if len(found) == 1:
        return found.pop()
    raise refused(
        call,
        "which pairs every time step with every other and so needs the whole "
        "sequence",
        "Combine tensors that have time on the same axis.",
    )


def check_apart(call: Call, axes: Axes, over: Iterable[int]) -> int:
    """Returns the axis of time, where a call does not work along it.

    Args:
        call: the application.
        axes: the axis of time of each input, None for those without.
        over: the axes that it works along, from 0.

    Raises:
        StreamingError: time is one of them.
    """
    axis = axis_of_time(call, axes)
    if axis in set(over):
        raise refused(
            call,
            f"which works along axis {axis}, which is time, and so mixes the "
            "steps of the whole sequence",
            "Let it work along the channels only, or convert the part of the "
            "model before it and use a causal layer in its place.",
        )
    return axis
