# SPDX-License-Identifier: MIT
"""Convolutions of `keras.ops`, whose kernels are arguments."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.labels import (
    Axis,
    Labels,
    Mask,
    Vector,
    count_elements,
    take_factors,
)
from tf_diet.graph.operation import Args, Kwargs
from tf_diet.graph.rule import Fresh, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, refused
from tf_diet.rules.contraction import bind, bound
from tf_diet.rules.convolution import Spatial, channels, other_axes, spatial
from tf_diet.rules.elementwise import constant

Layout = Mapping[str, tuple[Axis, ...]]


class _Convolution(Spatial):
    """Kernels that are constants are cut, those that are tensors are tied."""

    made_along = -1
    multiples = ""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Raises StreamingError: the layers have step forms, not these.

        Raises:
            StreamingError: always.
        """
        raise refused(
            call,
            "whose kernel is an argument: it has no step form",
            "Use the layer of keras.layers that does the same.",
        )

    @abstractmethod
    def layout(self, call: Call, seen: Axis) -> Layout:
        """Returns, for each kernel, the input channels that its axes meet."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties the channels to the kernels that they meet."""
        x = inputs[0]
        seen = channels(call.operation, x)
        frozen = other_axes(call.operation, call, x)
        ties: list[tuple[Vector, Vector]] = []
        kernels: dict[str, tuple[Axis, ...]] = {}
        made: Axis = None
        for name, wanted in self.layout(call, seen).items():
            value = bound(call)[name]
            theirs = Labels.none(len(wanted))
            if isinstance(value, Slot):
                theirs = inputs[call.inputs.index(value.key)]
            if constant(value) is None:
                tied, stays = self.meet(call, wanted, theirs)
                ties += tied
                frozen += stays
            last = theirs.axes[-1]
            if name == self.multiples and last is not None:
                reason = f"{call.path!r} has as many filters for each channel"
                frozen.append((last, reason))
            made = theirs.axes[self.made_along]
            kernels[name] = tuple(
                mine if other is None else other
                for mine, other in zip(wanted, theirs.axes, strict=True)
            )
        units = self.outputs(call, seen, made)
        return Signature(
            outputs=[spatial(call.operation, x, units)],
            weights=kernels,
            ties=ties,
            frozen=frozen,
        )

    def meet(
        self, call: Call, wanted: Sequence[Axis], theirs: Labels
    ) -> tuple[list[tuple[Vector, Vector]], list[tuple[Vector, str]]]:
        """Returns what is tied and what stays where channels meet a kernel."""
        ties: list[tuple[Vector, Vector]] = []
        frozen: list[tuple[Vector, str]] = []
        for place, (one, other) in enumerate(
            zip(wanted, theirs.axes, strict=True), start=-theirs.rank
        ):
            if one is not None and other is not None:
                ties.append((one, other))
            elif one is not None:
                reason = f"{call.path!r} has a kernel that cannot be cut"
                frozen.append((one, reason))
            elif other is not None and place != self.made_along:
                reason = f"{call.path!r} meets data, or slides, along this axis"
                frozen.append((other, reason))
        return ties, frozen

    def outputs(self, call: Call, seen: Axis, made: Axis) -> Axis:
        """Returns the output channels, given those that the kernel makes."""
        return made

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Slices the kernels that are constants."""
        given = bind(call.operation, args, kwargs)
        seen = channels(call.operation, inputs[0])
        for name, axes in self.layout(call, seen).items():
            value = constant(given[name])
            if value is not None:
                given[name] = take_factors(value, axes, alive)
        return (given.pop("inputs"),), given

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Counts a multiply and an add for each element of the kernels."""
        elements = 0
        for name, axes in signature.weights.items():
            elements += count_elements(axes, shape_of(call, name), alive)
        return 2 * elements * self.positions(call, signature, alive)


def shape_of(call: Call, name: str) -> tuple[int | None, ...]:
    """Returns the shape of an argument, be it a tensor or a constant."""
    value = bound(call)[name]
    if isinstance(value, Slot):
        return call.input_specs[call.inputs.index(value.key)].shape
    return tuple(value.shape)


def _window(call: Call, name: str) -> tuple[None, ...]:
    return (None,) * (len(shape_of(call, name)) - 2)


@register_rule("ops.Conv")
class ConvRule(_Convolution):
    """Any number of axes; the operation knows no groups."""

    def layout(self, call: Call, seen: Axis) -> Layout:
        """Returns the kernel, whose last axis but one meets the channels."""
        return {"kernel": (*_window(call, "kernel"), seen, None)}


@register_rule("ops.ConvTranspose")
class ConvTransposeRule(_Convolution):
    """Its kernel holds outputs before inputs."""

    made_along = -2

    def layout(self, call: Call, seen: Axis) -> Layout:
        """Returns the kernel, whose last axis meets the channels."""
        return {"kernel": (*_window(call, "kernel"), None, seen)}


@register_rule("ops.DepthwiseConv")
class DepthwiseConvRule(_Convolution):
    """Each channel has filters of its own, and goes with them."""

    multiples = "kernel"

    def layout(self, call: Call, seen: Axis) -> Layout:
        """Returns the kernel, whose last axis but one meets the channels."""
        return {"kernel": (*_window(call, "kernel"), seen, None)}

    def outputs(self, call: Call, seen: Axis, made: Axis) -> Axis:
        """Returns each label once for each of its filters."""
        depth = shape_of(call, "kernel")[-1]
        return None if seen is None else np.repeat(seen, depth or 1)


@register_rule("ops.SeparableConv")
class SeparableConvRule(_Convolution):
    """A depthwise convolution and one of one position after it."""

    multiples = "depthwise_kernel"

    def layout(self, call: Call, seen: Axis) -> Layout:
        """Returns both; the middle repeats each channel for its filters."""
        depth = shape_of(call, "depthwise_kernel")[-1] or 1
        middle = None if seen is None else np.repeat(seen, depth)
        window = _window(call, "depthwise_kernel")
        return {
            "depthwise_kernel": (*window, seen, None),
            "pointwise_kernel": (*window, middle, None),
        }
