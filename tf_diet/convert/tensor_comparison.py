# SPDX-License-Identifier: MIT
"""Where the error of a quantized model comes from, tensor by tensor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_diet import optional
from tf_diet.arrays import Array
from tf_diet.convert import flatbuffer
from tf_diet.convert.captured_output import captured
from tf_diet.convert.fidelity import differences
from tf_diet.convert.tflite_model import TFLiteModel

_CALLS = 32


@dataclass(frozen=True)
class TensorError:
    """How far one tensor of a quantized model is from the float32 one.

    Args:
        name: of the tensor; it begins with that of the layer.
        operator: that makes it.
        rms_error: root mean square of the difference, relative to that of
            the tensor.
        max_error: the largest difference, relative to the largest value.
        added: how much larger `rms_error` is than that of what the operator
            reads: the operator to blame has the largest.
        scale: the step between two integers; 0 for floats.
    """

    name: str
    operator: str
    rms_error: float
    max_error: float
    added: float
    scale: float


def compare_tensors(
    plain: TFLiteModel, lite: TFLiteModel, steps: Sequence[Sequence[Array]]
) -> list[TensorError]:
    """Compares a quantized model with its float32 form, tensor by tensor.

    Args:
        plain: the model in float32.
        lite: the same, quantized.
        steps: inputs of calls, states included; about 30 of them are run.

    Returns:
        The tensors that both have, in order of execution.
    """
    calls = steps[:: max(1, len(steps) // _CALLS)][:_CALLS]
    before, after = (_tensors(one, calls) for one in (plain, lite))
    errors: dict[str, tuple[float, float]] = {
        name: differences(before[name], values)
        for name, values in after.items()
        if name in before and before[name].shape == values.shape
    }
    names, scales = flatbuffer.tensor_names(lite.data)
    found = []
    for operation in flatbuffer.operations(lite.data):
        name = names.get(operation.outputs[0], "")
        if name not in errors:
            continue
        largest, rms = errors[name]
        read = [
            errors[names[key]][1]
            for key in operation.inputs
            if names.get(key) in errors
        ]
        found.append(
            TensorError(
                name,
                operation.name,
                rms,
                largest,
                rms - max(read, default=0.0),
                scales.get(operation.outputs[0], 0.0),
            )
        )
    return found


def blamed(errors: Sequence[TensorError]) -> str:
    """Says in a sentence where most of the error comes from; "" for none."""
    if not errors:
        return ""
    worst = max(errors, key=lambda error: error.added)
    return (
        f"Most of it comes from {worst.name!r} ({worst.operator}): "
        f"{worst.rms_error:.2g} rms, {worst.added:.2g} more than what it reads."
    )


def _tensors(
    lite: TFLiteModel, calls: Sequence[Sequence[Array]]
) -> Mapping[str, Array]:
    """Returns the real values of every tensor over some calls, by name."""
    interpreter = optional.require("ai_edge_litert.interpreter", "convert")
    made: dict[str, list[Array]] = {}
    with captured():
        run = interpreter.Interpreter(
            model_content=lite.data, experimental_preserve_all_tensors=True
        )
        run.allocate_tensors()
        sources = [d["index"] for d in run.get_input_details()]
        details = {
            d["index"]: d
            for d in run.get_tensor_details()
            if d["name"] and d["index"] not in sources
        }
        for call in calls:
            for at, tensor, x in zip(sources, lite.inputs, call, strict=True):
                run.set_tensor(at, tensor.encode(x))
            run.invoke()
            for index, known in details.items():
                values = _value(run, index, known)
                if values is not None:
                    made.setdefault(known["name"], []).append(values)
    return {
        name: np.stack(rows)
        for name, rows in made.items()
        if len(rows) == len(calls)
    }


def _value(run: Any, index: int, known: Mapping[str, Any]) -> Array | None:
    try:
        stored = run.get_tensor(index)
    except ValueError:
        # What another operator has merged with its own is never made.
        return None
    scale = known["quantization_parameters"]["scales"]
    if len(scale) == 1:
        zero = known["quantization_parameters"]["zero_points"][0]
        return (stored.astype(np.float64) - zero) * scale[0]
    return stored if stored.dtype.kind == "f" else None
