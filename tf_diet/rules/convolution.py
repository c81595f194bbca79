# SPDX-License-Identifier: MIT
"""Convolutions: plain, depthwise, separable, transposed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, TensorSpec
from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.linear_form import LinearForm
from tf_diet.graph.operation import Args, Kwargs, Operation, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm
from tf_diet.rules.activation import pin
from tf_diet.rules.outcomes import freeze
from tf_diet.rules.overlapping import Overlapping
from tf_diet.rules.sliding import slide, sliding_form
from tf_diet.rules.windows import ConvolutionForm, DepthwiseForm


def channel_axis(layer: Operation) -> int:
    """Returns the channel axis of a layer with a `data_format`."""
    first = getattr(layer, "data_format", "") == "channels_first"
    return 1 if first else -1


def spatial(layer: Operation, x: Labels, units: Axis) -> Labels:
    """Returns labels of a feature map: only its channel axis has units."""
    return Labels.none(x.rank).at(channel_axis(layer), units)


def channels(layer: Operation, x: Labels) -> Axis:
    """Returns the labels of the channel axis."""
    return x.axes[channel_axis(layer)]


def other_axes(
    layer: Operation, call: Call, x: Labels
) -> list[tuple[Vector, str]]:
    """Pins labels on axes that a sliding window mixes."""
    place = channel_axis(layer) % x.rank
    others = (axis for number, axis in enumerate(x.axes) if number != place)
    return freeze(call, others, "slides over this axis")


def count_positions(spec: TensorSpec, place: int) -> int:
    """Returns how many positions a feature map has; unknown sizes count one.

    Args:
        spec: of the feature map.
        place: its channel axis.
    """
    shape = list(spec.shape)
    del shape[place], shape[0]
    return int(np.prod([1 if size is None else size for size in shape]))


class Spatial(Rule):
    """What convolutions share: weights are applied at every position."""

    def positions(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns the number of output positions."""
        return count_positions(
            call.output_specs[0], channel_axis(call.operation)
        )

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns the window along the axis of time."""
        return sliding_form(call, axes)

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Slides over just the steps that the outputs are made of."""
        return slide(call, args[0]), {}


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which channels of a convolution are removed together.

    Args:
        units: the labels of its filters.
        kernel: the labels of the kernel's input axis.
        groups: labels that stand for the groups, where whole groups can go.
        ties: pairs that live or die together.
        frozen: what stays, with the reason.
    """

    units: Vector
    kernel: Axis
    groups: Axis = None
    ties: Sequence[tuple[Vector, Vector]] = ()
    frozen: list[tuple[Vector, str]] = field(default_factory=list)


def grouped(call: Call, seen: Axis, fresh: Fresh) -> Grouping:
    """Returns what a convolution removes: filters, columns or groups.

    Groups must stay equally wide. Either the same column goes from all of
    them, or whole groups go with their inputs; the finer of the two is taken.
    """
    layer = call.operation
    if layer.groups == 1:
        return Grouping(fresh(layer.filters), seen)
    wide = layer.filters // layer.groups
    narrow = 0 if seen is None else len(seen) // layer.groups
    # A single column cannot go: nothing would be left.
    columns = sum(count for count in (wide, narrow) if count > 1)
    if seen is not None and layer.groups >= columns:
        rows = seen.reshape(layer.groups, narrow)
        return Grouping(
            units=np.repeat(rows[:, 0], wide),
            kernel=None,
            groups=rows[:, 0],
            ties=[(rows[:, 0], rows[:, n]) for n in range(1, narrow)],
        )
    units = np.tile(fresh(wide), layer.groups)
    reason = f"{call.path!r} has one channel in each of its groups"
    alone = [(units, reason)] if wide == 1 else []
    if seen is None:
        return Grouping(units, None, frozen=alone)
    if narrow == 1:
        return Grouping(units, None, frozen=[*alone, (seen, reason)])
    rows = seen.reshape(layer.groups, narrow)
    ties = [(rows[0], row) for row in rows[1:]]
    return Grouping(units, rows[0], ties=ties, frozen=alone)


@register_rule(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
class ConvolutionRule(Spatial):
    """A convolution; filters are the units."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `filters` units, or joins them to the groups they are in."""
        (x,) = inputs
        layer = call.operation
        seen = channels(layer, x)
        part = grouped(call, seen, fresh)
        window = (None,) * layer.rank
        return Signature(
            outputs=[spatial(layer, x, part.units)],
            weights={
                "kernel": (*window, part.kernel, part.units),
                "bias": (part.units,),
            },
            sizes={"filters": part.units, "groups": part.groups},
            ties=part.ties,
            frozen=part.frozen
            + pin(call.path, layer.activation, part.units)
            + other_axes(layer, call, x),
        )

    def linear_forms(self, call: Call) -> Sequence[LinearForm]:
        """Returns one form: the kernel multiplies patches."""
        return (ConvolutionForm(),)

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Convolves; one step at a time is a matrix product."""
        layer, window = call.operation, args[0]
        one = layer.rank == 1 and call.output_specs[0].shape[1] == 1
        if one and layer.groups == 1 and call.time == 1:
            return _taps(call, window), {}
        return super().step(call, args, kwargs, state)


def _taps(call: Call, window: Tensor) -> Tensor:
    """Returns one output frame, as a matrix product over the frames it sees."""
    layer = call.operation
    apart = layer.dilation_rate[0] if layer.kernel_size[0] > 1 else 1
    taps = window[:, ::apart] if apart > 1 else window
    seen = layer.kernel_size[0] * window.shape[-1]
    dense = keras.layers.Dense(
        layer.filters,
        activation=layer.activation,
        use_bias=layer.use_bias,
        dtype=layer.dtype_policy,
        name=call.step_name,
    )
    dense.build((window.shape[0], 1, seen))
    kernel, *bias = layer.get_weights()
    dense.set_weights([kernel.reshape(seen, layer.filters), *bias])
    return dense(keras.ops.reshape(taps, (window.shape[0], 1, seen)))


@register_rule(
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
class TransposedConvolutionRule(Overlapping, Spatial):
    """A transposed convolution; its kernel holds outputs before inputs."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `filters` units."""
        (x,) = inputs
        layer = call.operation
        units = fresh(layer.filters)
        window = (None,) * layer.rank
        return Signature(
            outputs=[spatial(layer, x, units)],
            weights={
                "kernel": (*window, units, channels(layer, x)),
                "bias": (units,),
            },
            sizes={"filters": units},
            frozen=pin(call.path, layer.activation, units)
            + other_axes(layer, call, x),
        )

    def positions(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns the number of input positions: each is multiplied."""
        return count_positions(
            call.input_specs[0], channel_axis(call.operation)
        )


@dataclass(frozen=True, eq=False)
class Multiplied:
    """Which channels of a depthwise convolution are removed together.

    Args:
        outputs: the labels of its outputs, `depth_multiplier` a channel.
        kernel: the labels of the kernel's last two axes.
        depth: labels that stand for the depth multiplier, if it can shrink.
        frozen: what stays, with the reason.
    """

    outputs: Axis
    kernel: tuple[Axis, Axis]
    depth: Axis = None
    frozen: list[tuple[Vector, str]] = field(default_factory=list)


def multiplied(
    call: Call, seen: Axis, width: int, fresh: Fresh, part: str = ""
) -> Multiplied:
    """Returns what a depthwise convolution removes: channels or multiples.

    Each channel has filters of its own, as many as all others. Either a
    channel goes with all of its filters, or the same filter goes from all
    channels; the finer of the two is taken.
    """
    depth = call.operation.depth_multiplier
    if seen is not None and len(seen) >= depth:
        return Multiplied(np.repeat(seen, depth), (seen, None))
    if depth == 1:
        return Multiplied(None, (None, None))
    units = fresh(depth, part)
    reason = f"{call.path!r} drops filters of all channels instead"
    frozen = [] if seen is None else [(seen, reason)]
    return Multiplied(np.tile(units, width), (None, units), units, frozen)


def _width(call: Call) -> int:
    size = call.input_specs[0].shape[channel_axis(call.operation)]
    return int(size or 1)


@register_rule(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
class DepthwiseRule(Spatial):
    """Each channel has filters of its own."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Repeats each label, or makes units of the multiples."""
        (x,) = inputs
        layer = call.operation
        part = multiplied(call, channels(layer, x), _width(call), fresh)
        mixed = (
            []
            if part.outputs is None
            else pin(call.path, layer.activation, part.outputs)
        )
        window = (None,) * layer.rank
        return Signature(
            outputs=[spatial(layer, x, part.outputs)],
            weights={
                "kernel": (*window, *part.kernel),
                "bias": (part.outputs,),
            },
            sizes={"depth_multiplier": part.depth},
            frozen=part.frozen + mixed + other_axes(layer, call, x),
        )

    def linear_forms(self, call: Call) -> Sequence[LinearForm]:
        """Returns one form: the kernel multiplies patches of each channel."""
        return (DepthwiseForm(),)


@register_rule(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
class SeparableRule(Spatial):
    """A depthwise and a pointwise convolution in one layer."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `filters` units; the middle is as in a depthwise one."""
        (x,) = inputs
        layer = call.operation
        units = fresh(layer.filters)
        middle = multiplied(
            call, channels(layer, x), _width(call), fresh, "depth_multiplier"
        )
        window = (None,) * layer.rank
        return Signature(
            outputs=[spatial(layer, x, units)],
            weights={
                "depthwise_kernel": (*window, *middle.kernel),
                "pointwise_kernel": (*window, middle.outputs, units),
                "bias": (units,),
            },
            sizes={"filters": units, "depth_multiplier": middle.depth},
            frozen=middle.frozen
            + pin(call.path, layer.activation, units)
            + other_axes(layer, call, x),
        )
