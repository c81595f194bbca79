# SPDX-License-Identifier: MIT
"""Forms of layers that TFLite's converter and runtimes get right.

Each computes what its layer computes, from operators that TensorFlow Lite
Micro has and that keep their ranges apart where numbers are integers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import keras
from keras import ops

from tf_diet.errors import ConversionError
from tf_diet.graph.calls import Call
from tf_diet.graph.operation import Args, Kwargs
from tf_diet.graph.rule_table import TFLiteForm, register_tflite_form

# Longer recurrent layers of fixed length stay loops, which only floats in
# LiteRT have.
MOST_UNROLLED = 512


def gelu(x: Any) -> Any:
    """Gaussian error linear unit by tanh, 5e-4 from the one by erf.

    Hendrycks and Gimpel (2016), section 2.
    """
    return 0.5 * x * (1.0 + ops.tanh(0.79788456 * (x + 0.044715 * x * x * x)))


def hard_silu(x: Any) -> Any:
    """X (relu(x + 3) - relu(x - 3)) / 6, which is x relu6(x + 3) / 6.

    The converter makes HARD_SWISH of the latter, which has no 16-bit form.
    """
    return x * ((ops.relu(x + 3.0) - ops.relu(x - 3.0)) * (1.0 / 6.0))


def softplus(x: Any) -> Any:
    """relu(x) + log(1 + exp(-|x|)), whose exponential has a narrow range."""
    positive, negative = ops.relu(x), ops.relu(x * -1.0)
    return positive + ops.log(1.0 + ops.exp((positive + negative) * -1.0))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """relu(x) + alpha (exp(-relu(-x)) - 1); ELU has no 16-bit form."""
    return ops.relu(x) + alpha * (ops.exp(ops.relu(x * -1.0) * -1.0) - 1.0)


# Of models that compute with integers.
_ACTIVATIONS: dict[Any, Callable[[Any], Any]] = {
    keras.activations.elu: elu,
    keras.activations.gelu: gelu,
    keras.activations.hard_silu: hard_silu,
    keras.activations.softplus: softplus,
}


@contextmanager
def prepared(operation: Any, args: Args, *, integer: bool) -> Iterator[None]:
    """Unrolls loops over time and exchanges activations while a call runs.

    Args:
        operation: whatever is called, with all layers in it.
        args: its arguments; their shapes say how long a loop is.
        integer: the model will compute with integers.

    Raises:
        ConversionError: a loop is too long for a model of integers, or a
            layer keeps its state between calls.
    """
    layers = (
        list(operation._flatten_layers())
        if isinstance(operation, keras.Layer)
        else []
    )
    changed: list[tuple[Any, str, Any]] = []
    try:
        for layer in layers:
            if isinstance(layer, keras.layers.RNN):
                _check_loop(layer, args, integer=integer)
                if _steps(args) <= MOST_UNROLLED:
                    changed.append((layer, "unroll", layer.unroll))
                    layer.unroll = True
            known = getattr(layer, "activation", None)
            if integer and callable(known) and known in _ACTIVATIONS:
                changed.append((layer, "activation", known))
                layer.activation = _ACTIVATIONS[known]
        yield
    finally:
        for layer, name, value in reversed(changed):
            setattr(layer, name, value)


def _steps(args: Args) -> int:
    """Returns the longest axis that a loop over time may run along."""
    shapes = [x.shape for x in keras.tree.flatten(args) if hasattr(x, "shape")]
    sizes = [size for shape in shapes for size in tuple(shape)[1:-1]]
    return max((int(size or 0) for size in sizes), default=0)


def _check_loop(layer: Any, args: Args, *, integer: bool) -> None:
    if layer.stateful:
        raise ConversionError(
            f"The layer {layer.name!r} keeps its state between calls. "
            "Received: stateful=True. Build it without, and convert it as a "
            "step with its states as inputs: to_streaming(model), or "
            "'tf-diet convert --stream'."
        )
    if integer and _steps(args) > MOST_UNROLLED:
        raise ConversionError(
            f"The layer {layer.name!r} is a loop over {_steps(args)} steps. "
            f"Received: {type(layer).__name__}, for integers, which take at "
            f"most {MOST_UNROLLED} steps in one call. Convert it as a step "
            "with its states as inputs: to_streaming(model), or 'tf-diet "
            "convert --stream'."
        )


@register_tflite_form(keras.layers.LayerNormalization)
def layer_normalization(
    call: Call, args: Args, kwargs: Kwargs, integer: bool
) -> Any:
    """(x - mean) rsqrt(mean((x - mean)^2) + epsilon), without a negation."""
    layer = call.operation
    if getattr(layer, "rms_scaling", False):
        return None
    (x,) = args
    axis = layer.axis
    centred = x - ops.mean(x, axis=axis, keepdims=True)
    power = ops.mean(centred * centred, axis=axis, keepdims=True)
    y = centred * ops.rsqrt(power + layer.epsilon)
    shape = [1] * len(x.shape)
    for place in [axis] if isinstance(axis, int) else axis:
        shape[place] = x.shape[place]
    for weight, combine in ((layer.gamma, ops.multiply), (layer.beta, ops.add)):
        if weight is not None:
            y = combine(y, ops.reshape(ops.convert_to_tensor(weight), shape))
    return y


@register_tflite_form(keras.layers.PReLU)
def prelu(call: Call, args: Args, kwargs: Kwargs, integer: bool) -> Any:
    """relu(x) + alpha (x - relu(x)); the operator has no 16-bit form."""
    (x,) = args
    positive = ops.relu(x)
    slopes = ops.convert_to_tensor(call.operation.alpha)
    return positive + slopes * (x - positive)


@register_tflite_form("ops.Elu", keras.layers.ELU)
def elu_operation(call: Call, args: Args, kwargs: Kwargs, integer: bool) -> Any:
    """By an exponential of what is below zero, for integers."""
    return elu(args[0], float(call.operation.alpha)) if integer else None


def _of_integers(function: Callable[[Any], Any]) -> TFLiteForm:
    """Returns the form of an operation that is a function of one tensor."""

    def form(call: Call, args: Args, kwargs: Kwargs, integer: bool) -> Any:
        return function(args[0]) if integer else None

    return form


register_tflite_form("ops.Gelu")(_of_integers(gelu))
register_tflite_form("ops.HardSilu")(_of_integers(hard_silu))
register_tflite_form("ops.Softplus")(_of_integers(softplus))
# SQUARE and NEG have no 16-bit form.
register_tflite_form("ops.Square")(_of_integers(lambda x: x * x))
register_tflite_form("ops.Negative")(_of_integers(lambda x: x * -1.0))


@register_tflite_form("ops.Add", keras.layers.Add)
def added(call: Call, args: Args, kwargs: Kwargs, integer: bool) -> Any:
    """The sum of sequences of one channel, by the backend's own operator.

    Keras 3.15 (`backend.tensorflow.numpy.add`) takes numbers of the shape
    (1, n, 1) for a bias of n channels on axis 1, which the converter refuses.
    """
    operands = keras.tree.flatten(args)
    shapes = [tuple(getattr(x, "shape", ())) for x in operands]
    kinds = {str(getattr(x, "dtype", "")) for x in operands}
    alike = len(kinds) == 1 and all(len(shape) == 3 for shape in shapes)
    if not alike or 1 not in [shape[2] for shape in shapes]:
        return None
    return sum(operands[1:], start=operands[0])


@register_tflite_form("ops.Maximum", keras.layers.Maximum)
def maximum(call: Call, args: Args, kwargs: Kwargs, integer: bool) -> Any:
    """B + relu(a - b): the operator takes the range of its first operand."""
    return _pairwise(args, lambda a, b: b + ops.relu(a - b), integer)


@register_tflite_form("ops.Minimum", keras.layers.Minimum)
def minimum(call: Call, args: Args, kwargs: Kwargs, integer: bool) -> Any:
    """A - relu(a - b), for the same reason."""
    return _pairwise(args, lambda a, b: a - ops.relu(a - b), integer)


def _is_float(x: Any) -> bool:
    """Says whether a tensor, or a plain number beside one, is of floats."""
    kind = getattr(x, "dtype", "float32")
    return keras.backend.standardize_dtype(kind).startswith("float")


def _pairwise(
    args: Args, combine: Callable[[Any, Any], Any], integer: bool
) -> Any:
    operands = keras.tree.flatten(args)
    if not integer or not all(map(_is_float, operands)) or len(operands) < 2:
        return None
    result, *others = operands
    for other in others:
        result = combine(result, other)
    return result


@register_tflite_form("ops.Sum")
def total(call: Call, args: Args, kwargs: Kwargs, integer: bool) -> Any:
    """The mean times the number of values: SUM overflows in 16 bits."""
    (x,) = args
    operation = call.operation
    if not integer or not _is_float(x):
        return None
    axis = operation.axis
    places = range(len(x.shape)) if axis is None else axis
    count = prod(int(x.shape[place] or 1) for place in places)
    mean = ops.mean(x, axis=axis, keepdims=operation.keepdims)
    return mean * float(count)
