"""Which activation functions treat every channel alone."""

from typing import Any

import keras

from tf_diet.graph.labels import Vector

_POINTWISE = frozenset(
    {
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_shrink",
        "hard_sigmoid",
        "hard_silu",
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
        "squareplus",
        "swish",
        "tanh",
        "tanh_shrink",
        "threshold",
    }
)


def mixing(activation: Any) -> str | None:
    """Returns why an activation ties channels together, or None."""
    if activation is None:
        return None
    name = getattr(activation, "__name__", type(activation).__name__)
    if name in _POINTWISE:
        shipped = getattr(keras.activations, name, None)
        if shipped is activation or name in {"relu6", "swish"}:
            return None
    if isinstance(activation, keras.layers.ReLU | keras.layers.LeakyReLU):
        return None
    return f"the activation {name!r} may mix its channels"


def pin(call_path: str, activation: Any, units: Vector) -> list[Any]:
    """Returns the `frozen` entry that an activation asks for, if any."""
    reason = mixing(activation)
    return [(units, f"{call_path!r}: {reason}")] if reason else []
