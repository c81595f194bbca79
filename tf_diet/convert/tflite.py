# SPDX-License-Identifier: MIT
"""From a Keras model of fixed shapes to TFLite bytes."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet import files, optional
from tf_diet.convert import calibration as calibrating
from tf_diet.convert import flatbuffer, quantization
from tf_diet.convert.captured_output import captured
from tf_diet.convert.lookup import with_lookups
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tensor_spec import TensorDetails, state_pairs
from tf_diet.errors import ConversionError, DietError


@dataclass(frozen=True)
class TFLiteModel:
    """A converted model and all that is needed to run it.

    Everything but the bytes can be read out of the bytes: `from_bytes` makes
    an equal object from a file.

    Args:
        data: the content of a `.tflite` file.
        quantize: the name of its quantization.
        inputs: its inputs in index order, states included.
        outputs: its outputs in index order, states included.
        states: for each state its positions among inputs and outputs: what
            comes out must be fed back in.
    """

    data: bytes = field(repr=False)
    quantize: str
    inputs: tuple[TensorDetails, ...]
    outputs: tuple[TensorDetails, ...]
    states: tuple[tuple[int, int], ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> "TFLiteModel":
        """Reads inputs, outputs and states out of TFLite bytes.

        An output `x_next` is the next value of the input `x`.

        Raises:
            ConversionError: the bytes are no TFLite model.
        """
        inputs, outputs = flatbuffer.signature(data)
        kinds = {spec.dtype for spec in inputs}
        name = {"int8": "int8", "int16": "int16x8"}
        quantize = next((name[k] for k in name if k in kinds), "float32")
        return cls(
            data, quantize, inputs, outputs, state_pairs(inputs, outputs)
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TFLiteModel":
        """Reads a `.tflite` file."""
        return cls.from_bytes(Path(path).read_bytes())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the bytes to `path` in one move."""
        return files.write_bytes(path, self.data)

    @property
    def ops(self) -> tuple[str, ...]:
        """The kinds of operators in the model, sorted."""
        return tuple(
            sorted({op.name for op in flatbuffer.operations(self.data)})
        )

    def __bytes__(self) -> bytes:
        return self.data

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        def listed(specs: Sequence[TensorDetails], states: set[int]) -> str:
            return ", ".join(
                f"{spec.name}{list(spec.shape)}"
                for spec in specs
                if spec.index not in states
            )

        states = ", ".join(self.inputs[i].name for i, _ in self.states)
        return (
            f"<TFLiteModel {self.quantize}, {len(self.data):,} bytes: "
            f"{listed(self.inputs, {i for i, _ in self.states})} -> "
            f"{listed(self.outputs, {o for _, o in self.states})}"
            f"{', states ' + states if states else ''}>"
        )


def to_tflite(
    model: StreamingModel | keras.Model,
    quantize: str | quantization.Quantizer | None = None,
    calibration: Any = None,
) -> TFLiteModel:
    """Converts a model to TFLite.

    Inputs and outputs keep the names and the order that they have in Keras.

    Args:
        model: a streaming step model, or a functional or Sequential model
            whose shapes are fixed but for the batch, which becomes 1.
        quantize: "float32" (default), "int8", "int16x8", any other
            registered name, or a function that sets up a converter.
        calibration: real input, from which a quantization takes its ranges:
            arrays, `(x, y)`, a dict by input name, a `tf.data.Dataset`, a
            `PyDataset`, an iterable of batches or examples, or a function
            that returns one. About 1,000 examples are taken, spread evenly
            over all. For a `StreamingModel` examples are sequences, (time,
            features) or (sequences, time, features); the model is run over
            them and its states are taken from that run.

    Returns:
        The model as bytes, with its inputs, outputs and states.

    Raises:
        InputError: the quantization is unknown, or the calibration data is
            missing, empty, not finite or of the wrong shape.
        ConversionError: TFLite cannot represent the model.
    """
    name, quantizer = quantization.get(quantize)
    tf = _tensorflow()
    flat, specs = _flatten(model)
    samples = None
    # Running the model over the data takes time that floats do not need.
    if calibration is not None and quantizer is not quantization.float32:
        steps = calibrating.steps(model, calibration)

        def samples() -> Iterator[list[np.ndarray]]:
            yield from steps

    with captured():
        try:
            converter = _converter(tf, flat, specs)
            quantizer(converter, samples)
            data = bytes(converter.convert())
        except DietError:
            raise
        except Exception as error:
            raise _refused(flat.name, name, error) from error
    _check_order(data, specs, flat)
    names = _output_names(model, flat)
    data = flatbuffer.rename(data, [spec.name for spec in specs], names)
    inputs, outputs = flatbuffer.signature(data)
    states = state_pairs(inputs, outputs)
    data = flatbuffer.unify_scales(data, states)
    inputs, outputs = flatbuffer.signature(data)
    return TFLiteModel(data, name, inputs, outputs, states)


def _tensorflow() -> Any:
    if keras.backend.backend() != "tensorflow":
        raise ConversionError(
            "Conversion to TFLite traces the model with TensorFlow. "
            f"Received: the Keras backend {keras.backend.backend()!r}. Save "
            "the model as .keras, and load and convert it in a process with "
            "KERAS_BACKEND=tensorflow."
        )
    return optional.require("tensorflow", extra="convert")


def _flatten(
    model: StreamingModel | keras.Model,
) -> tuple[keras.Model, list[Any]]:
    """Returns the model as list in, list out, and its input tensors."""
    if isinstance(model, StreamingModel):
        model = model.step_model
    if not getattr(model, "inputs", None):
        raise ConversionError(
            "Only functional and built Sequential models can be converted. "
            f"Received: {type(model).__name__} without fixed inputs. Build it "
            "as keras.Model(inputs, outputs)."
        )
    specs = list(model.inputs)
    for spec in specs:
        if None in spec.shape[1:] or spec.shape[0] not in (None, 1):
            raise ConversionError(
                f"The input {spec.name!r} of {model.name!r} has no fixed "
                f"shape with batch 1. Received: {tuple(spec.shape)}. Convert "
                "to_streaming(model), or build the model with fixed shapes."
            )
    flat = keras.Model(specs, list(model.outputs), name=model.name)
    return with_lookups(flat), specs


def _converter(tf: Any, flat: keras.Model, specs: Sequence[Any]) -> Any:
    def step(*inputs: Any) -> tuple[Any, ...]:
        outputs = keras.tree.flatten(flat(list(inputs), training=False))
        return tuple(tf.identity(output) for output in outputs)

    # Positional arguments of a plain function keep their order; a trackable
    # Keras model would have its signature sorted by name.
    function = tf.function(step).get_concrete_function(
        *(
            tf.TensorSpec((1, *spec.shape[1:]), spec.dtype, _place(index))
            for index, spec in enumerate(specs)
        )
    )
    return tf.lite.TFLiteConverter.from_concrete_functions([function])


def _place(index: int) -> str:
    return f"input_{index:03d}"


def _refused(model: str, quantize: str, error: Exception) -> ConversionError:
    words = " ".join(str(error).split()) or type(error).__name__
    # TensorFlow's own account is pages of its call stack: keep the names.
    names = dict.fromkeys(re.findall(r"'?tf\.(\w+)'? op", words))
    cause = f"the operation {', '.join(names)}" if names else words[:400]
    return ConversionError(
        f"TFLite cannot represent the model {model!r} as {quantize}. "
        f"Received: {cause}. Replace what is named, try another quantize=, "
        "or use to_streaming for a layer with a time loop."
    )


def _check_order(data: bytes, specs: Sequence[Any], flat: keras.Model) -> None:
    inputs, outputs = flatbuffer.signature(data)
    kept = [spec.name.split(":")[0] for spec in inputs] == [
        _place(index) for index in range(len(specs))
    ] and [spec.shape for spec in outputs] == [
        (1, *tensor.shape[1:]) for tensor in flat.outputs
    ]
    if not kept:
        raise ConversionError(
            f"The converter changed the inputs or outputs of {flat.name!r}. "
            f"Received: {[s.name for s in inputs]} -> "
            f"{[s.shape for s in outputs]}. An input that is not used, or "
            "one output given twice, can cause it: remove it."
        )


def _output_names(
    model: StreamingModel | keras.Model, flat: keras.Model
) -> list[str]:
    names: list[str] = []
    for name in flat.output_names:
        taken = sum(other.split(":")[0] == name for other in names)
        names.append(f"{name}:{taken}" if taken else name)
    return names
