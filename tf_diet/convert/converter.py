# SPDX-License-Identifier: MIT
"""From a function of tensors to TFLite bytes, by the backend's converter.

On TensorFlow that is its own, on JAX LiteRT's.
"""

import re
from typing import Any

import keras

from tf_diet import optional
from tf_diet.convert import flatbuffer, stablehlo_converter
from tf_diet.convert.captured_output import captured
from tf_diet.convert.flatbuffer_writing import SIGNATURE
from tf_diet.convert.lowering import Lowered, place
from tf_diet.convert.quantization import Quantization, Samples
from tf_diet.errors import ConversionError, DietError
from tf_diet.extensions import quantizations


def convert(
    lowered: Lowered,
    quantization: Quantization,
    samples: Samples | None,
    name: str,
) -> bytes:
    """Returns the content of a `.tflite` file.

    Args:
        lowered: the model.
        quantization: how its numbers are stored.
        samples: calibration data, where the quantization needs it.
        name: of the quantization, for messages.

    Raises:
        ConversionError: TFLite cannot represent the model.
    """
    by_jax = keras.backend.backend() == "jax"
    if by_jax:
        _check_on_jax(quantization, name)
    tf = None if by_jax else _tensorflow()
    with captured():
        try:
            if tf is None:
                data = stablehlo_converter.convert(lowered)
            else:
                converter = _set_up(tf, lowered, quantization)
                quantization.set_up(converter, samples)
                data = bytes(converter.convert())
            data = quantization.finish(data, samples)
        except DietError:
            raise
        except Exception as error:
            raise _refused(lowered.name, name, error) from error
    _check_order(data, lowered)
    return data


def _check_on_jax(quantization: Quantization, name: str) -> None:
    if quantization.by_tensorflow:
        others = [
            other
            for other in quantizations.names()
            if not getattr(quantizations.get(other), "by_tensorflow", True)
        ]
        raise ConversionError(
            f"The quantization {name!r} is done by TensorFlow. Received: the "
            "Keras backend 'jax'. Save the model as .keras and convert it in "
            "a process with KERAS_BACKEND=tensorflow, or take one of: "
            f"{', '.join(others)}."
        )


def _tensorflow() -> Any:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ConversionError(
            "A model is converted on TensorFlow or on JAX. Received: the "
            f"Keras backend {backend!r}. Save the model as .keras, and load "
            "and convert it in a process with KERAS_BACKEND=tensorflow."
        )
    return optional.require("tensorflow", extra="convert")


def _set_up(tf: Any, lowered: Lowered, quantization: Quantization) -> Any:
    def step(*inputs: Any) -> tuple[Any, ...]:
        return tuple(tf.identity(output) for output in lowered(*inputs))

    # Positional arguments of a plain function keep their order; a trackable
    # Keras model would have its signature sorted by name.
    function = tf.function(step, autograph=False).get_concrete_function(
        *(
            tf.TensorSpec(argument.shape, argument.dtype, place(index))
            for index, argument in enumerate(lowered.arguments)
        )
    )
    if quantization.integer:
        _check_loops(lowered, function.graph)
    return tf.lite.TFLiteConverter.from_concrete_functions([function])


def _check_loops(lowered: Lowered, graph: Any) -> None:
    """Refuses loops, at which the quantizer's C++ ends the whole process."""
    for operation in graph.get_operations():
        if operation.type in ("While", "StatelessWhile"):
            raise ConversionError(
                f"The model {lowered.name!r} has a loop, which cannot compute "
                f"with integers. Received: {operation.name!r}. Write it "
                "without keras.ops.while_loop, fori_loop or scan, or take "
                "quantize='wi8', which computes with floats."
            )


def _refused(model: str, quantize: str, error: Exception) -> ConversionError:
    words = " ".join(str(error).split()) or type(error).__name__
    # TensorFlow's own account is pages of its call stack: keep the names.
    names = dict.fromkeys(re.findall(r"'?tfl?\.(\w+)'? op", words))
    cause = f"the operation {', '.join(names)}" if names else words[:400]
    return ConversionError(
        f"TFLite cannot represent the model {model!r} as {quantize}. "
        f"Received: {cause}. Replace what is named, or try another quantize=: "
        "'wi8' has small weights and computes with floats."
    )


def _check_order(data: bytes, lowered: Lowered) -> None:
    inputs, outputs = flatbuffer.signature(data)
    # Each converter adds something of its own.
    names = [
        spec.name.split(":")[0].removeprefix(f"{SIGNATURE}_") for spec in inputs
    ]
    wanted = [place(index) for index in range(len(lowered.arguments))]
    if names != wanted or len(outputs) != len(lowered.output_names):
        raise ConversionError(
            f"The converter changed the inputs or outputs of "
            f"{lowered.name!r}. Received: {names} -> "
            f"{[s.shape for s in outputs]}. An input that is not used can "
            "cause it: remove it."
        )
