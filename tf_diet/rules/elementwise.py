"""Whatever treats every value alone, and broadcasting."""

from collections.abc import Sequence

import keras

from tf_diet.graph.labels import Axis, Labels, Vector
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call, Slot
from tf_diet.rules.activation import mixing

_UNARY = [
    "Abs",
    "Absolute",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Copy",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
    "Exp2",
    "Expm1",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSilu",
    "HardTanh",
    "Identity",
    "IsFinite",
    "IsInf",
    "IsNan",
    "LeakyRelu",
    "Log",
    "Log10",
    "Log1p",
    "Log2",
    "LogSigmoid",
    "LogicalNot",
    "Mish",
    "NanToNum",
    "Negative",
    "Reciprocal",
    "Relu",
    "Relu6",
    "Round",
    "Rsqrt",
    "Selu",
    "Sigmoid",
    "Sign",
    "Silu",
    "Sin",
    "Sinh",
    "SoftShrink",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Square",
    "Squareplus",
    "StopGradient",
    "Tan",
    "Tanh",
    "TanhShrink",
    "Threshold",
    "Trunc",
]
_BINARY = [
    "Add",
    "Arctan2",
    "Divide",
    "DivideNoNan",
    "Equal",
    "FloorDivide",
    "Greater",
    "GreaterEqual",
    "Less",
    "LessEqual",
    "LogicalAnd",
    "LogicalOr",
    "LogicalXor",
    "Maximum",
    "Minimum",
    "Mod",
    "Multiply",
    "NotEqual",
    "Power",
    "Subtract",
    "TrueDivide",
    "Where",
]


def operands(
    call: Call, inputs: Sequence[Labels]
) -> list[tuple[Labels, tuple[int | None, ...]]]:
    """Returns labels and shape of every operand, constants included."""
    known = iter(zip(inputs, call.input_specs, strict=True))
    found = []
    for leaf in keras.tree.flatten((call.args, dict(call.kwargs))):
        if isinstance(leaf, Slot):
            labels, spec = next(known)
            found.append((labels, spec.shape))
        elif hasattr(leaf, "shape"):
            shape = tuple(leaf.shape)
            found.append((Labels.none(len(shape)), shape))
    return found


def broadcast(call: Call, inputs: Sequence[Labels]) -> Signature:
    """Combines operands that broadcast as in numpy.

    Equal axes are tied; where an axis of size 1 meets a longer one, the unit
    of size 1 stays; what meets constant data stays.
    """
    shape = call.output_specs[0].shape
    rank = len(shape)
    ties: list[tuple[Vector, Vector]] = []
    frozen: list[tuple[Vector, str]] = []
    axes: list[Axis] = []
    given = operands(call, inputs)
    for place in range(-rank, 0):
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


@register_rule(*(f"ops.{name}" for name in _UNARY))
class UnaryRule(Rule):
    """One value in, one value out."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; array arguments are broadcast."""
        return broadcast(call, inputs)


@register_rule(*(f"ops.{name}" for name in _BINARY))
class BinaryRule(Rule):
    """Several operands, broadcast against each other."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties equal axes."""
        return broadcast(call, inputs)


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
)
class PointwiseRule(Rule):
    """A layer without weights that treats every value alone."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through."""
        return Signature(outputs=[inputs[0]])


@register_rule(keras.layers.Activation)
class ActivationRule(Rule):
    """An activation as a layer."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; pins what softmax and the like mix."""
        (x,) = inputs
        reason = mixing(call.operation.activation)
        frozen = [(v, f"{call.path!r}: {reason}") for v in x.known()]
        return Signature(outputs=[x], frozen=frozen if reason else [])


@register_rule(keras.layers.Softmax, "ops.Softmax", "ops.LogSoftmax")
class SoftmaxRule(Rule):
    """Normalises over an axis, so every unit of it matters to all others."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Pins the axis that is normalised over."""
        x = inputs[0]
        axes = call.operation.axis
        places = (
            [axes] if isinstance(axes, int) else list(axes or range(x.rank))
        )
        frozen = [
            (vector, f"{call.path!r} normalises over this axis")
            for vector in (x.axes[place] for place in places)
            if vector is not None
        ]
        return Signature(outputs=[x], frozen=frozen)
