# SPDX-License-Identifier: MIT
"""A Keras model as a plain function, in forms that TFLite can represent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tf_diet.convert import row_lookup as row_lookup
from tf_diet.convert.streaming import StreamingModel
from tf_diet.errors import ConversionError, UnsupportedModelError
from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.graph.rule_table import tflite_form
from tf_diet.graph.walk import functional, walk
from tf_diet.rules.tflite_forms import prepared

_TYPES = ("float32", "int32", "int64", "uint8", "int8", "bool")


@dataclass(frozen=True)
class Argument:
    """An input of the function.

    Args:
        name: as the model calls it.
        shape: fixed, with a batch of 1.
        dtype: of its numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Lowered:
    """A model as a function of tensors.

    Args:
        model: the functional model itself, which is left as it is.
        arguments: its inputs in order.
        output_names: of its outputs in order; no two are alike.
        walked: its calls.
        integer: it will compute with integers.
    """

    model: keras.Model
    arguments: tuple[Argument, ...]
    output_names: tuple[str, ...]
    walked: Walk
    integer: bool

    @property
    def name(self) -> str:
        """The name of the model."""
        return str(self.model.name)

    def __call__(self, *tensors: Any) -> list[Any]:
        """Returns the outputs, in a list."""
        known = replay(self.walked, tensors, self._apply)
        return [known[key] for key in self.walked.outputs]

    def _apply(
        self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        kwargs = call.told(kwargs)
        operation = call.operation
        form = tflite_form(operation)
        tensors = keras.tree.flatten((args, kwargs))
        masked = any(
            getattr(x, "_keras_mask", None) is not None for x in tensors
        )
        if form is not None and not masked:
            result = form(call, args, kwargs, self.integer)
            if result is not None:
                return result
        if getattr(operation, "_call_has_training_arg", False):
            kwargs.setdefault("training", False)
        with prepared(operation, args, integer=self.integer):
            return operation(*args, **kwargs)

    def offline(self, tensors: Sequence[Any]) -> list[Any]:
        """Returns what the model itself makes, by Keras, in a list."""
        given = keras.tree.pack_sequence_as(
            self.model._inputs_struct, list(tensors)
        )
        return list(keras.tree.flatten(self.model(given, training=False)))


def place(index: int) -> str:
    """Returns what an input is called while it is converted: names in order."""
    return f"input_{index:03d}"


def lower(
    model: StreamingModel | keras.Model,
    *,
    integer: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Lowered:
    """Returns a model as a function of tensors of fixed shapes.

    Args:
        model: a step model, or a model of Keras.
        integer: it will compute with integers.
        shapes: for inputs of unknown sizes, by name: the shape without the
            batch.

    Raises:
        ConversionError: a shape is unknown, or the model has something that
            no TFLite model has.
    """
    if isinstance(model, StreamingModel):
        model = model.step_model
    try:
        graph = functional(model)
        walked = walk(model)
    except UnsupportedModelError as error:
        raise ConversionError(
            "Only functional and built Sequential models can be converted. "
            f"Received: {type(model).__name__}. {error}"
        ) from error
    arguments = tuple(
        _argument(model, tensor, dict(shapes or {})) for tensor in graph.inputs
    )
    unknown = set(shapes or {}) - {a.name for a in arguments}
    if unknown:
        raise ConversionError(
            f"The model {model.name!r} has no such input. Received a shape "
            f"for: {', '.join(sorted(unknown))}. Its inputs are: "
            f"{', '.join(a.name for a in arguments)}."
        )
    for call in walked.calls:
        _check_call(call)
    if integer:
        _check_used(walked, str(graph.name))
    return Lowered(graph, arguments, _output_names(graph), walked, integer)


def _check_used(walked: Walk, model: str) -> None:
    """Refuses an input without a range, which no converter can store."""
    read = {key for call in walked.calls for key in call.inputs}
    for key, name in zip(walked.inputs, walked.input_names, strict=True):
        if key not in read and key not in walked.outputs:
            raise ConversionError(
                f"The input {name!r} of {model!r} is not used. Received: a "
                "quantization to integers, whose converter has no range for "
                "it. Build the model without this input, or take "
                "quantize='float32' or 'wi8'."
            )


def _argument(
    model: keras.Model, tensor: Any, shapes: Mapping[str, Sequence[int]]
) -> Argument:
    shape = tuple(tensor.shape[1:])
    dtype = str(tensor.dtype)
    if dtype not in _TYPES:
        remedy = (
            "Look the words up before the model, for example with a "
            "StringLookup of its own, and feed numbers."
            if dtype == "string"
            else "Build the model with the dtype policy 'float32' (load its "
            "weights into it), and take quantize='float16' for small weights."
        )
        raise ConversionError(
            f"The input {tensor.name!r} of {model.name!r} has a type that is "
            f"not converted. Received: {dtype}. {remedy}"
        )
    if tensor.name in shapes:
        given = tuple(int(n) for n in shapes[tensor.name])
        fits = len(given) == len(shape) and all(
            size in (None, n) for size, n in zip(shape, given, strict=True)
        )
        if not fits or any(n < 1 for n in given):
            raise ConversionError(
                f"The input {tensor.name!r} of {model.name!r} cannot have "
                f"this shape. Received: {given} for {shape}. Give every size "
                "without the batch, whole numbers above 0."
            )
        shape = given
    if None in shape or tensor.shape[0] not in (None, 1):
        raise ConversionError(
            f"The input {tensor.name!r} of {model.name!r} has no fixed "
            f"shape with batch 1. Received: {tuple(tensor.shape)}. Convert "
            "to_streaming(model), give shapes={"
            f"{tensor.name!r}: ...}}, or build the model with fixed shapes."
        )
    return Argument(tensor.name, (1, *map(int, shape)), dtype)


def _check_call(call: Call) -> None:
    """Says what no converted model can do."""
    operation = call.operation
    kind = type(operation).__name__
    compute = str(getattr(operation, "compute_dtype", None) or "float32")
    if compute in ("float16", "bfloat16"):
        raise ConversionError(
            f"The layer {call.path!r} computes in half precision. Received: "
            f"{kind} with the dtype policy {operation.dtype_policy.name!r}, "
            "and TFLite's operators compute with 32-bit floats. Build the "
            "model with the policy 'float32', set its weights to those of "
            "this one, and take quantize='float16' where weights of 16 bits "
            "are wanted."
        )
    if getattr(operation, "quantization_mode", None) is not None:
        raise ConversionError(
            f"The layer {call.path!r} was quantized by Keras. Received: "
            f"{kind} with quantization_mode="
            f"{operation.quantization_mode!r}, which TFLite has no operator "
            "for. Convert the model as it was before model.quantize(), with "
            "quantize='int8', 'wi8' or 'wi4'."
        )
    training = call.told(call.kwargs).get("training")
    takes = getattr(operation, "_call_has_training_arg", False)
    if takes and training is True and _differs(operation):
        raise ConversionError(
            f"The layer {call.path!r} is called with training=True. Received: "
            f"{kind}, of which a converted model would give one fixed draw "
            "or the statistics of a batch of one. Build the model without "
            "training=True."
        )


def _differs(operation: Any) -> bool:
    """Says whether a layer does something else in training."""
    random = any("seed" in v.name for v in getattr(operation, "variables", ()))
    return random or bool(getattr(operation, "non_trainable_variables", ()))


def _output_names(model: Any) -> tuple[str, ...]:
    names: list[str] = []
    for name in model.output_names:
        taken = sum(other.split(":")[0] == name for other in names)
        names.append(f"{name}:{taken}" if taken else name)
    return tuple(names)
