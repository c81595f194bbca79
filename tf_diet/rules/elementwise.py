# SPDX-License-Identifier: MIT
"""Layers and operations that treat every value alone, and broadcasting."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.labels import (
    Axis,
    Labels,
    Mask,
    Partition,
    Vector,
    take_factors,
)
from tf_diet.graph.operation import Args, Kwargs, Operation
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, check_apart
from tf_diet.rules.activation import pin
from tf_diet.rules.in_time import broadcast_axes
from tf_diet.rules.outcomes import axis_numbers, freeze, pinned

_UNARY = """
    Abs Absolute Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Array
    BitwiseInvert BitwiseNot Cast Cbrt Ceil Celu Conj Conjugate
    ConvertToTensor Copy Cos Cosh Deg2rad Elu Erf Erfc Erfinv Exp
    Exp2 Expm1 Fabs Floor FullLike Gelu HardShrink HardSigmoid HardSilu
    HardTanh I0 Imag Isfinite Isinf Isnan Isneginf Isposinf Isreal LeakyRelu
    Log Log10 Log1p Log2 LogSigmoid LogicalNot Mish NanToNum Negative
    OnesLike Rad2deg ReLU Real Reciprocal Relu Relu6 Round Rsqrt
    SaturateCast Selu Sigmoid Sign Signbit Silu Sin Sinc Sinh SoftShrink
    Softplus Softsign SparsePlus SparseSigmoid Sqrt Square Squareplus
    StopGradient Tan Tanh TanhShrink Threshold Trunc ZerosLike
"""
_SEVERAL = """
    Add Arctan2 BitwiseAnd BitwiseLeftShift BitwiseOr BitwiseRightShift
    BitwiseXor Divide DivideNoNan Equal FloorDivide Fmax Fmin Fmod Gcd
    Greater GreaterEqual Heaviside Hypot Isclose Lcm Ldexp LeftShift Less
    LessEqual Logaddexp Logaddexp2 LogicalAnd LogicalOr LogicalXor Maximum
    Minimum Mod Multiply Nextafter NotEqual Polar Power RightShift Select
    Subtract TrueDivide
"""


def constant(value: object) -> Array | None:
    """Returns an array that is no tensor of the graph, as numpy; else None."""
    if isinstance(value, keras.KerasTensor | keras.Variable | Slot):
        return None
    if hasattr(value, "shape"):
        return keras.ops.convert_to_numpy(value)
    return None


def operands(
    call: Call, inputs: Sequence[Labels], constants: bool = True
) -> list[tuple[Labels, tuple[int | None, ...]]]:
    """Returns labels and shape of every operand.

    Args:
        call: the application.
        inputs: the labels of each input.
        constants: whether arrays that can be cut count.
    """
    known = iter(zip(inputs, call.input_specs, strict=True))
    found = []
    for leaf in keras.tree.flatten((call.args, dict(call.kwargs))):
        if isinstance(leaf, Slot):
            labels, spec = next(known)
            found.append((labels, spec.shape))
        elif isinstance(leaf, keras.Variable) or (
            constants and hasattr(leaf, "shape")
        ):
            shape = tuple(leaf.shape)
            found.append((Labels.none(len(shape)), shape))
    return found


def broadcast(call: Call, inputs: Sequence[Labels]) -> Signature:
    """Combines operands that broadcast as in numpy.

    Equal axes are tied; where an axis of size 1 meets a longer one, the unit
    of size 1 stays; what meets data stays.
    """
    return combine(call, operands(call, inputs))


def combine(
    call: Call,
    given: Sequence[tuple[Labels, tuple[int | None, ...]]],
) -> Signature:
    """Broadcasts operands of these labels and shapes as in numpy.

    Args:
        call: the application.
        given: labels and shape of each operand.
    """
    shape = call.output_specs[0].shape
    ties: list[tuple[Vector, Vector]] = []
    frozen: list[tuple[Vector, str]] = []
    axes: list[Axis] = []
    for place in range(-len(shape), 0):
        size = shape[place]
        full: list[Vector] = []
        fixed = False
        for labels, dims in given:
            if labels.rank < -place:
                continue
            axis = labels.axes[place]
            if axis is not None and dims[place] == size:
                full.append(axis)
            elif axis is not None:
                reason = f"{call.path!r} spreads one channel over many"
                frozen.append((axis, reason))
            elif dims[place] == size and size != 1:
                fixed = True
        axes.append(full[0] if full else None)
        ties += [(full[0], other) for other in full[1:]]
        if fixed and full:
            frozen.append((full[0], f"{call.path!r} combines it with data"))
    return Signature(outputs=[Labels(tuple(axes))], ties=ties, frozen=frozen)


@register_rule(*(f"ops.{name}" for name in (_UNARY + _SEVERAL).split()))
class BroadcastRule(Rule):
    """Works value by value, on operands and constants that broadcast."""

    pointwise_in_time = True

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is, as in numpy."""
        return broadcast_axes(call, axes)

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties equal axes."""
        if not self.fits(call):
            return pinned(call, inputs, "has a result of another shape")
        return combine(call, operands(call, inputs, constants=False))

    def fits(self, call: Call) -> bool:
        """Says whether the result has the shape of the operands."""
        ranks = [len(spec.shape) for spec in call.input_specs]
        leaves = keras.tree.flatten((call.args, dict(call.kwargs)))
        ranks += [len(leaf.shape) for leaf in leaves if hasattr(leaf, "shape")]
        return len(call.output_specs[0].shape) == max(ranks)

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Slices constants along the axes of the result that have units."""
        axes = self.signature(call, inputs, Fresh(Partition())).outputs[0].axes

        def cut(value: Any) -> Any:
            array = constant(value)
            if array is None:
                return value
            return take_factors(array, axes[len(axes) - array.ndim :], alive)

        args, kwargs = keras.tree.map_structure(cut, (args, kwargs))
        return args, kwargs


@register_rule("ops.Where")
class WhereRule(BroadcastRule):
    """Chooses between two, or finds the places where a condition holds."""

    def fits(self, call: Call) -> bool:
        """Says whether there is something to choose between."""
        return len(call.args) + len(call.kwargs) > 1 and super().fits(call)


@register_rule("ops.Clip")
class ClipRule(Rule):
    """Limits every value; the limits are in the config."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; limits for each channel pin them."""
        operation = call.operation
        if np.ndim(operation.x_min) == np.ndim(operation.x_max) == 0:
            return Signature(outputs=[inputs[0]])
        return pinned(call, inputs, "has limits for each channel")

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Operation:
        """Calls the constructor: limits in arrays have no config."""
        operation = call.operation
        return type(operation)(
            operation.x_min, operation.x_max, name=operation.name
        )


@register_rule(
    "ops.Digitize", "ops.IsIn", "ops.SearchSorted", pointwise_in_time=True
)
def table(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Labels of the values pass; the table they are looked up in stays."""
    sought = type(call.operation).__name__ == "SearchSorted"
    value = call.args[1 if sought else 0]
    if not isinstance(value, Slot):
        return pinned(call, inputs, "looks constants up in it")
    place = call.inputs.index(value.key)
    others = [x for number, x in enumerate(inputs) if number != place]
    axes = (axis for labels in others for axis in labels.axes)
    frozen = freeze(call, axes, "looks values up in it")
    return Signature(outputs=[inputs[place]], frozen=frozen)


@register_rule(
    keras.layers.ActivityRegularization,
    keras.layers.ELU,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.LeakyReLU,
    keras.layers.ReLU,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    pointwise_in_time=True,
)
def pointwise(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Labels pass: every value is treated alone, without weights."""
    return Signature(outputs=[inputs[0]])


@register_rule(keras.layers.Activation, pointwise_in_time=True)
def activation(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Labels pass; softmax and others that mix channels pin them."""
    (x,) = inputs
    function = call.operation.activation
    frozen = [
        entry
        for vector in x.known()
        for entry in pin(call.path, function, vector)
    ]
    return Signature(outputs=[x], frozen=frozen)


def softmax_in_time(call: Call, axes: Axes) -> StepForm:
    """Time stays where it is, unless it is normalised over."""
    over = axis_numbers(call.operation.axis, len(call.input_specs[0].shape))
    return StepForm(outputs=(check_apart(call, axes, over),))


@register_rule(
    keras.layers.Softmax,
    "ops.LogSoftmax",
    "ops.Softmax",
    "ops.Sparsemax",
    in_time=softmax_in_time,
)
def softmax(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Labels pass; the axis that is normalised over is inexact."""
    x = inputs[0]
    over = axis_numbers(call.operation.axis, x.rank)
    axes = (x.axes[place] for place in over)
    inexact = freeze(call, axes, "normalises over this axis")
    return Signature(outputs=[x], inexact=inexact)
