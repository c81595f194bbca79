# SPDX-License-Identifier: MIT
"""The step form of transposed convolutions: overlap and add."""

from collections.abc import Mapping
from typing import Any

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.operation import Args, Kwargs, Operation, Tensor
from tf_diet.graph.rule import Rule
from tf_diet.graph.timing import Axes, StepForm, axis_of_time, refused
from tf_diet.rules.copies import copied
from tf_diet.rules.sliding import place_of_time
from tf_diet.rules.windows import reach, strides


def _cropped(layer: Operation, place: int) -> int:
    """Returns how many positions padding='same' takes off the start."""
    over = max(reach(layer)[place] - strides(layer)[place], 0)
    return over // 2 if layer.padding == "same" else 0


class Overlapping(Rule):
    """Each step adds to several output steps, some of later calls."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns the form: a stride is a factor here."""
        layer = call.operation
        axis, place = axis_of_time(call, axes), place_of_time(call, axes)
        if layer.data_format != "channels_last":
            raise refused(call, "whose channels come first", "Put them last.")
        if layer.output_padding is not None:
            raise refused(
                call, "with an output_padding of its own", "Leave it out."
            )
        overlap = max(reach(layer)[place] - strides(layer)[place], 0)
        return StepForm(
            outputs=(axis,),
            factor=strides(layer)[place],
            skip=_cropped(layer, place),
            carries=True,
            why="padding='same' looks ahead",
            remedy=(
                "Use padding='valid' and drop the last steps "
                f"(x[:, :-{overlap}]), which is causal."
            ),
        )

    def state_spec(self, call: Call, batch: int) -> dict[str, tuple[int, ...]]:
        """Names what the calls before add to the steps to come."""
        layer = call.operation
        place = (call.time or 1) - 1
        over = reach(layer)[place] - strides(layer)[place]
        if over <= 0:
            return {}
        sizes = [
            (int(size or 1) - 1) * stride + max(window, stride)
            for size, stride, window in zip(
                call.input_specs[0].shape[1:-1],
                strides(layer),
                reach(layer),
                strict=True,
            )
        ]
        sizes[place] = over
        return {"overlap": (batch, *sizes, layer.filters)}

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Adds what is left of the calls before, and keeps what is over."""
        layer, axis = call.operation, call.time or 1
        inner = copied(
            layer,
            call.step_name,
            padding="valid",
            activation=None,
            use_bias=False,
        )
        y = inner(args[0])
        steps = args[0].shape[axis] * strides(layer)[axis - 1]
        after = {}
        if state:
            before = state["overlap"]
            over = before.shape[axis]
            begin, rest = _split(y, axis, min(over, y.shape[axis]))
            parts = [begin + before]
            if rest.shape[axis]:
                parts.append(rest)
            y = keras.ops.concatenate(parts, axis=axis)
            y, after["overlap"] = _split(y, axis, steps)
        for place in range(layer.rank):
            if place != axis - 1:
                y = self._crop(call, y, place)
        if layer.use_bias:
            y = y + keras.ops.convert_to_numpy(layer.bias.value)
        return layer.activation(y), after

    @staticmethod
    def _crop(call: Call, y: Any, place: int) -> Any:
        """Takes off what padding='same' does along another axis."""
        start = _cropped(call.operation, place)
        size = call.output_specs[0].shape[place + 1]
        key = (
            *(slice(None),) * (place + 1),
            slice(start, start + int(size or 1)),
        )
        return y if y.shape[place + 1] == size else y[key]


def _split(x: Any, axis: int, at: int) -> tuple[Any, Any]:
    lead = (*(slice(None),) * axis,)
    if at == x.shape[axis]:
        return x, x[(*lead, slice(0, 0))]
    return x[(*lead, slice(0, at))], x[(*lead, slice(at, None))]
