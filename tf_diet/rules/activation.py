# SPDX-License-Identifier: MIT
"""Activations: which functions treat every channel alone, and PReLU."""

from collections.abc import Sequence

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector
from tf_diet.graph.operation import Operation
from tf_diet.graph.rule import Fresh, Signature
from tf_diet.graph.rule_table import register_rule

_NAMES = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
)
# The functions themselves: a user's own function may bear any name.
_POINTWISE = [
    getattr(room, name)
    for room in (keras.activations, keras.ops)
    for name in _NAMES
    if hasattr(room, name)
]
_LAYERS = (
    keras.layers.ELU,
    keras.layers.Identity,
    keras.layers.LeakyReLU,
    keras.layers.ReLU,
)


def is_linear(layer: Operation) -> bool:
    """Says whether a layer has no activation after its weighted sums.

    Only a layer of Keras itself can be known to have none.
    """
    ours = type(layer).__module__.startswith("keras.")
    return ours and layer.activation in (None, keras.activations.linear)


def mixing(activation: object) -> str | None:
    """Returns why an activation may mix channels, or None if it does not."""
    if isinstance(activation, keras.layers.Activation):
        activation = activation.activation
    if activation is None or type(activation) in _LAYERS:
        return None
    if any(activation is function for function in _POINTWISE):
        return None
    name = getattr(activation, "__name__", type(activation).__name__)
    return f"the activation {name!r} may mix its channels"


def pin(
    call_path: str, activation: object, units: Vector
) -> list[tuple[Vector, str]]:
    """Returns `frozen` entries for units that an activation may mix."""
    reason = mixing(activation)
    return [(units, f"{call_path!r}: {reason}")] if reason else []


@register_rule(keras.layers.PReLU, pointwise_in_time=True)
def prelu(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Labels pass; slopes follow the axes that do not share theirs."""
    (x,) = inputs
    axes: list[Axis] = list(x.axes[1:])
    for place in call.operation.shared_axes or ():
        axes[place - 1] = None
    return Signature(outputs=[x], weights={"alpha": tuple(axes)})
