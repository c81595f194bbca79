# SPDX-License-Identifier: MIT
"""Pooling, padding, cropping and up-sampling over positions."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels
from tf_diet.graph.operation import Args, Kwargs, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, axis_of_time, refused
from tf_diet.rules.convolution import channels, other_axes, spatial
from tf_diet.rules.copies import copied
from tf_diet.rules.in_time import repeated
from tf_diet.rules.outcomes import pinned
from tf_diet.rules.sliding import (
    channels_first,
    place_of_time,
    slide,
    sliding_form,
)


@register_rule(
    "ops.AdaptiveAveragePool",
    "ops.AdaptiveMaxPool",
    keras.layers.AdaptiveAveragePooling1D,
    keras.layers.AdaptiveAveragePooling2D,
    keras.layers.AdaptiveAveragePooling3D,
    keras.layers.AdaptiveMaxPooling1D,
    keras.layers.AdaptiveMaxPooling2D,
    keras.layers.AdaptiveMaxPooling3D,
    keras.layers.CenterCrop,
    keras.layers.Resizing,
)
def positions(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Channels pass: only the number of positions changes."""
    (x,) = inputs
    layer = call.operation
    rank = len(call.output_specs[0].shape)
    if rank != x.rank:
        # Keras computes a wrong output shape for some adaptive pooling.
        return pinned(call, inputs, f"has {x.rank} axes and claims {rank}")
    return Signature(
        outputs=[spatial(layer, x, channels(layer, x))],
        frozen=other_axes(layer, call, x),
    )


class _PoolingRule(Rule):
    """A window without weights."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes the channels through."""
        return positions(call, inputs, fresh)

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Pools just the steps that the outputs are made of."""
        return slide(call, args[0]), {}


@register_rule(
    "ops.MaxPool",
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling3D,
)
class MaxPoolingRule(_PoolingRule):
    """The largest value of a window; its padding never is."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns the window along the axis of time."""
        return sliding_form(call, axes, fill=float(np.finfo("float32").min))


@register_rule(
    "ops.AveragePool",
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
)
class AveragePoolingRule(_PoolingRule):
    """The mean of a window; padding does not count."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns the window along the axis of time."""
        form = sliding_form(call, axes)
        if form.left:
            raise refused(
                call,
                f"and padding={call.operation.padding!r} looks ahead, and "
                "takes the mean of fewer steps at the start",
                "Put zeros before it (ZeroPadding1D) and use padding='valid'.",
            )
        return form


class _PlacingRule(_PoolingRule):
    """Adds or drops positions at the ends of axes, or repeats them."""

    def around(self, call: Call, place: int) -> int:
        """Returns how many positions it adds in front along an axis."""
        return 0

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns how many steps come before the first."""
        place = place_of_time(call, axes)
        return StepForm(
            outputs=(axis_of_time(call, axes),),
            left=self.around(call, place),
            why="it drops frames at the start",
            remedy="Pad as many at the left before.",
        )

    def without(self, call: Call) -> dict[str, Any]:
        """Returns the config without what it does along time."""
        return {}

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Works along the other axes."""
        changes = self.without(call)
        if not changes:
            return args[0], {}
        return copied(call.operation, call.step_name, **changes)(args[0]), {}


class _Ends(_PlacingRule):
    """What pads and crops share: pairs of numbers, one for each axis."""

    entry = "padding"
    sign = 1

    def pairs(self, call: Call) -> list[tuple[int, int]]:
        """Returns before and after, for each axis."""
        given = getattr(call.operation, self.entry)
        one = isinstance(given[0], int)
        return [tuple(given)] if one else [tuple(pair) for pair in given]

    def around(self, call: Call, place: int) -> int:
        """Returns the number in front."""
        return self.sign * int(self.pairs(call)[place][0])

    def without(self, call: Call) -> dict[str, Any]:
        """Returns the pairs with none along time."""
        pairs = self.pairs(call)
        first = channels_first(call.operation)
        pairs[(call.time or 1) - (2 if first else 1)] = (0, 0)
        return {self.entry: tuple(pairs)} if any(map(any, pairs)) else {}


@register_rule(
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
class ZeroPaddingRule(_Ends):
    """Zeros before and after; those after the end are never met."""


@register_rule(
    keras.layers.Cropping1D, keras.layers.Cropping2D, keras.layers.Cropping3D
)
class CroppingRule(_Ends):
    """Drops positions; those at the end are never met."""

    entry = "cropping"
    sign = -1


@register_rule(
    keras.layers.UpSampling1D,
    keras.layers.UpSampling2D,
    keras.layers.UpSampling3D,
)
class UpSamplingRule(_PlacingRule):
    """Repeats positions."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns how often a time step is repeated."""
        place = place_of_time(call, axes)
        size = call.operation.size
        factor = int(size if isinstance(size, int) else size[place])
        kind = getattr(call.operation, "interpolation", "nearest")
        if factor > 1 and kind != "nearest":
            raise refused(
                call,
                f"with interpolation={kind!r}, which looks ahead",
                "Use interpolation='nearest'.",
            )
        return StepForm(
            outputs=(axis_of_time(call, axes),), factor=factor, copies=True
        )

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Repeats the steps of one call."""
        size = call.operation.size
        if isinstance(size, int):
            return repeated(args[0], 1, size), {}
        return call.operation(args[0]), {}


def pooled_over_time(call: Call, axes: Axes) -> StepForm:
    """Raises StreamingError: all positions count, and time is one axis.

    Raises:
        StreamingError: always.
    """
    axis_of_time(call, axes)
    raise refused(
        call,
        "which mixes time steps: it pools over all of them and is known at "
        "the end alone, so it is not causal",
        "Pool over windows instead (AveragePooling1D), or convert the part of "
        "the model before it.",
    )


@register_rule(
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
    in_time=pooled_over_time,
)
def global_pooling(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Channels pass, and positions go: one value is left for each channel."""
    x = inputs[0]
    layer = call.operation
    seen = channels(layer, x)
    outputs = (
        spatial(layer, x, seen) if layer.keepdims else Labels((None, seen))
    )
    return Signature(outputs=[outputs], frozen=other_axes(layer, call, x))
