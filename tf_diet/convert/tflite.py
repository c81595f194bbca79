# SPDX-License-Identifier: MIT
"""From a Keras model to TFLite bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert import (
    comparison,
    converter,
    fidelity,
    flatbuffer,
    quantization,
)
from tf_diet.convert.calibration import Calibration, calls_of
from tf_diet.convert.flatbuffer_writing import finished
from tf_diet.convert.form import Form, in_form
from tf_diet.convert.lowering import Lowered, lower
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tensor_comparison import (
    TensorError,
    blamed,
    compare_tensors,
)
from tf_diet.convert.tensor_spec import NEXT, state_pairs
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import InputError


def to_tflite(
    model: StreamingModel | Form | keras.Model,
    quantize: Any = None,
    calibration: Any = None,
    *,
    form: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> TFLiteModel:
    """Converts a model to TFLite, and proves it against Keras.

    Inputs and outputs keep the names and the order that they have in Keras.
    The result is run in LiteRT beside the model, on the calibration data
    where there is some; its error is in `fidelity`.

    Args:
        model: any functional or Sequential model, or a step model. One of
            fixed shapes is converted as it is, with a batch of 1; one of
            sequences of unknown length becomes a step, see `to_streaming`.
        quantize: "float32" (default), "float16", "dynamic", "int8",
            "int16x8", "wi8", "wi4", any other registered name, a
            `Quantization`, or a function that sets up a converter.
        calibration: real input, from which a quantization takes its ranges:
            arrays, `(x, y)`, a dict by input name, a `tf.data.Dataset`, a
            `PyDataset`, an iterable of batches or examples, or a function
            that returns one. About 1,000 examples are taken, spread evenly
            over all. For a step model examples are sequences, (time,
            features) or (sequences, time, features); the model is run over
            them and its states are taken from that run.
        form: "whole" or "stream", where the model alone should not decide.
        shapes: for inputs of unknown sizes, by name: the shape without the
            batch. The model is then converted whole.

    Returns:
        The model as bytes, with its inputs, outputs and states.

    Warns:
        QuantizationWarning: the error on real data is above 5 %.

    Raises:
        InputError: the quantization is unknown, or the calibration data is
            missing, empty, not finite or of the wrong shape.
        ConversionError: TFLite cannot represent the model, or what comes out
            is not what Keras gives.
        StreamingError: a model of sequences cannot run step by step.
    """
    if not isinstance(model, Form):
        model = in_form(model, form, shapes=shapes)
    real = None
    if calibration is not None:
        real = calls_of(model.model, calibration)
    how = quantization.resolve(quantize)
    lite, lowered = _converted(model, how, real)
    found = comparison.measure(model.model, lowered, lite, real)
    blame = ""
    if real is not None and found.rms_error > fidelity.NOTABLE:
        blame = blamed(_errors(model, lite, real))
    fidelity.judge(found, lowered.name, how, blame)
    return lite.told({"fidelity": asdict(found)})


def tensor_errors(
    model: StreamingModel | Form | keras.Model, quantize: Any, data: Any
) -> list[TensorError]:
    """Tells where the error of a quantized model comes from.

    Also of a model that `to_tflite` refuses because the error is too large.

    Args:
        model: see `to_tflite`.
        quantize: likewise.
        data: real input, as for calibration; about 30 calls of it are run,
            states as in a run over the data.

    Returns:
        The error of each tensor that the float32 model has too, in order of
        execution.

    Raises:
        InputError: the quantization is unknown, or the data is missing,
            empty, not finite or of the wrong shape.
        ConversionError: the model cannot be converted.
    """
    if not isinstance(model, Form):
        model = in_form(model)
    real = calls_of(model.model, data)
    lite, _ = _converted(model, quantization.resolve(quantize), real)
    return _errors(model, lite, real)


def _errors(
    model: Form, lite: TFLiteModel, real: Calibration
) -> list[TensorError]:
    plain, _ = _converted(model, quantization.resolve("float32"), real)
    return compare_tensors(plain, lite, real.steps)


def _converted(
    form: Form,
    named: tuple[str, quantization.Quantization],
    real: Calibration | None,
) -> tuple[TFLiteModel, Lowered]:
    """Converts without a look at how good the result is."""
    name, how = named
    lowered = lower(form.model, integer=how.integer, shapes=form.shapes)
    samples = None if real is None else _samples(real)
    if how.needs_data:
        quantization.needed(samples, name)
        _check_moving(real, lowered)
    data = converter.convert(lowered, how, samples, name)
    return _named(data, lowered, form.model, named), lowered


def _check_moving(calibration: Calibration | None, lowered: Lowered) -> None:
    """Refuses data that tells nothing of an input's range."""
    states = {
        name.removesuffix(NEXT)
        for name in lowered.output_names
        if name.endswith(NEXT)
    }
    columns = zip(*(calibration.steps if calibration else ()), strict=True)
    for argument, column in zip(lowered.arguments, columns, strict=True):
        if argument.name in states or argument.dtype != "float32":
            continue
        lowest = min(float(np.min(x)) for x in column)
        highest = max(float(np.max(x)) for x in column)
        if lowest == highest:
            raise InputError(
                f"Calibration data for input {argument.name!r} never moves, "
                "so it has no range that integers could be scaled to. "
                f"Received: {lowest:g} everywhere. Pass input of the kind "
                "that the model will meet, or leave this input out of the "
                "model if it never changes."
            )


def _samples(calibration: Calibration) -> quantization.Samples:
    def samples() -> Iterator[list[Array]]:
        yield from calibration.steps

    return samples


def _named(
    data: bytes,
    lowered: Lowered,
    model: StreamingModel | keras.Model,
    how: tuple[str, quantization.Quantization],
) -> TFLiteModel:
    """Returns the model with names, one scale for each state, and facts."""
    names = [a.name for a in lowered.arguments]
    facts: dict[str, Any] = {
        "quantize": {"class_name": how[0], "config": how[1].settings}
    }
    if isinstance(model, StreamingModel):
        for fact in ("frame", "sample_rate", "hop", "latency", "steps"):
            facts[fact] = getattr(model, fact)
    data = finished(data, names, lowered.output_names, facts)
    inputs, outputs = flatbuffer.signature(data)
    data = flatbuffer.with_scales(data)
    data = flatbuffer.unify_scales(data, state_pairs(inputs, outputs))
    return TFLiteModel.from_bytes(data)
