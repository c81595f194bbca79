# SPDX-License-Identifier: MIT
"""Reads a `.tflite` file, and amends the scales of its states in place."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np

from tf_diet import optional
from tf_diet.convert.tensor_spec import TensorDetails
from tf_diet.errors import ConversionError

_MULTIPLYING = frozenset(
    {
        "FULLY_CONNECTED",
        "BATCH_MATMUL",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV",
    }
)
# Ops that derive their integer multipliers from the scales when they are
# prepared, so that a changed scale of an input or output is taken up.
_RESCALING = frozenset({"ADD", "SUB", "MUL", "FULLY_CONNECTED", "QUANTIZE"})


@dataclass(frozen=True)
class Operation:
    """One operator of the flatbuffer and the tensors it reads and makes."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    label: str


@cache
def schema() -> Any:
    """Returns the classes that read and write the format."""
    return optional.require("ai_edge_litert.schema_py_generated", "convert")


@cache
def names(enumeration: str) -> dict[int, str]:
    """Returns the names of an enumeration of the format by number."""
    values = vars(getattr(schema(), enumeration))
    return {v: k for k, v in values.items() if not k.startswith("_")}


def root(data: bytes | bytearray) -> Any:
    """Returns the root of a `.tflite` file.

    Raises:
        ConversionError: the bytes are of no such file.
    """
    if bytes(data[4:8]) != b"TFL3":
        raise ConversionError(
            "These bytes are not a TFLite model: the mark 'TFL3' is missing. "
            f"Received: {len(data)} bytes that begin with "
            f"{bytes(data[:8])!r}. Pass the content of a .tflite file."
        )
    return schema().Model.GetRootAs(data, 0)


def _details(tensor: Any, index: int) -> TensorDetails:
    quantization = tensor.Quantization()
    scaled = quantization is not None and quantization.ScaleLength() > 0
    return TensorDetails(
        name=(tensor.Name() or b"").decode("utf-8"),
        index=index,
        shape=tuple(
            int(n)
            for n in (tensor.ShapeAsNumpy() if tensor.ShapeLength() else ())
        ),
        dtype=names("TensorType")[tensor.Type()].lower(),
        scale=float(quantization.Scale(0)) if scaled else 0.0,
        zero_point=(
            int(quantization.ZeroPoint(0))
            if scaled and quantization.ZeroPointLength()
            else 0
        ),
    )


def signature(
    data: bytes,
) -> tuple[tuple[TensorDetails, ...], tuple[TensorDetails, ...]]:
    """Returns the inputs and the outputs in index order."""
    graph = root(data).Subgraphs(0)
    inputs, outputs = (
        tuple(
            _details(graph.Tensors(int(key)), index)
            for index, key in enumerate(keys)
        )
        for keys in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
    )
    return inputs, outputs


def operations(data: bytes) -> tuple[Operation, ...]:
    """Returns every operator of every subgraph, in order of execution."""
    model = root(data)
    found = []
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        for place in range(graph.OperatorsLength()):
            operator = graph.Operators(place)
            code = model.OperatorCodes(operator.OpcodeIndex())
            kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            name = names("BuiltinOperator")[kind]
            if name == "CUSTOM":
                name = code.CustomCode().decode("utf-8")
            inputs, outputs = (
                tuple(int(key) for key in keys) if length else ()
                for keys, length in (
                    (operator.InputsAsNumpy(), operator.InputsLength()),
                    (operator.OutputsAsNumpy(), operator.OutputsLength()),
                )
            )
            # Other tools leave the names of inner tensors out.
            label = graph.Tensors(outputs[0]).Name() if outputs else None
            found.append(
                Operation(name, inputs, outputs, (label or b"").decode("utf-8"))
            )
    return tuple(found)


def constants(data: bytes) -> int:
    """Counts the weights, biases and other stored numbers of a model."""
    model = root(data)
    graph = model.Subgraphs(0)
    biases = {
        operation.inputs[2]
        for operation in operations(data)
        if operation.name in _MULTIPLYING and len(operation.inputs) > 2
    }
    total = 0
    for key in range(graph.TensorsLength()):
        tensor = graph.Tensors(key)
        kind = names("TensorType")[tensor.Type()]
        # Other integers are shapes, axes and slices.
        number = kind in ("FLOAT32", "INT8", "INT16") or key in biases
        if number and model.Buffers(tensor.Buffer()).DataLength():
            filled = tensor.ShapeLength() > 0
            total += prod(tensor.ShapeAsNumpy().tolist() if filled else [])
    return total


class _Amender:
    """Changes the scales of int16 tensors inside a flatbuffer."""

    def __init__(self, data: bytes) -> None:
        self.buffer = bytearray(data)
        self.model = root(self.buffer)
        self.graph = self.model.Subgraphs(0)
        self.operations = operations(data)
        self.users: dict[int, list[Operation]] = {}
        for operation in self.operations:
            for key in {*operation.inputs, *operation.outputs}:
                self.users.setdefault(key, []).append(operation)

    def scale(self, key: int) -> Any:
        return self.graph.Tensors(key).Quantization().ScaleAsNumpy()

    def is_unset(self, key: int) -> bool:
        """Says whether small integers have one scale, and it is none."""
        tensor = self.graph.Tensors(key)
        quantization = tensor.Quantization()
        small = names("TensorType")[tensor.Type()] in ("INT8", "INT16")
        if not small or quantization is None:
            return False
        scaled = quantization.ScaleLength() == 1
        tiny = np.finfo(np.float32).tiny
        return scaled and not quantization.Scale(0) >= tiny

    def buffers_shared(self, key: int) -> bool:
        buffer = self.graph.Tensors(key).Buffer()
        others = [
            self.graph.Tensors(other).Buffer()
            for other in range(self.graph.TensorsLength())
            if other != key
        ]
        return buffer in others

    def can_rescale(self, key: int) -> bool:
        for operation in self.users.get(key, []):
            if operation.name not in _RESCALING:
                return False
            bias = self.bias(operation)
            if bias is not None and (
                len(self.users[bias]) > 1 or self.buffers_shared(bias)
            ):
                return False
        return True

    @staticmethod
    def bias(operation: Operation) -> int | None:
        if operation.name != "FULLY_CONNECTED" or len(operation.inputs) < 3:
            return None
        return operation.inputs[2] if operation.inputs[2] >= 0 else None

    def rescale(self, key: int, scale: np.float32) -> None:
        ratio = float(self.scale(key)[0]) / float(scale)
        self.scale(key)[0] = scale
        for operation in self.users.get(key, []):
            bias = self.bias(operation)
            if bias is None or operation.inputs[0] != key:
                continue
            # The bias is counted in steps of input scale x weight scale.
            tensor = self.graph.Tensors(bias)
            kind = np.int64 if tensor.Type() == 4 else np.int32
            values = (
                self.model.Buffers(tensor.Buffer()).DataAsNumpy().view(kind)
            )
            values[:] = np.round(values * ratio).astype(kind)
            self.scale(bias)[:] = self.scale(bias) / np.float32(ratio)


def unify_scales(data: bytes, pairs: Sequence[tuple[int, int]]) -> bytes:
    """Gives the two ends of each int16 state one scale, the larger one.

    A state may then be copied as raw integers. Pairs whose neighbours cannot
    take a new scale are left as they are: whoever feeds them back must
    requantise.

    Args:
        data: the model.
        pairs: positions of the state among the inputs and the outputs.
    """
    amender = _Amender(data)
    inputs = amender.graph.InputsAsNumpy()
    outputs = amender.graph.OutputsAsNumpy()
    for first, last in pairs:
        source, target = int(inputs[first]), int(outputs[last])
        if any(
            amender.graph.Tensors(key).Type() != 7 for key in (source, target)
        ):
            continue
        scale = max(amender.scale(source)[0], amender.scale(target)[0])
        changed = [k for k in (source, target) if amender.scale(k)[0] != scale]
        if all(amender.can_rescale(key) for key in changed):
            for key in changed:
                amender.rescale(key, scale)
    return bytes(amender.buffer)


def with_scales(data: bytes) -> bytes:
    """Gives a scale to the integers that have none, since all were zero.

    TensorFlow 2.21 leaves it unset (0, or whatever the memory held), and
    LiteRT ends the process at a sum of such numbers. Any scale fits zeros:
    they get the largest of the tensors beside them.

    Args:
        data: the model.
    """
    amender = _Amender(data)
    _, known = tensor_names(data)
    tiny = float(np.finfo(np.float32).tiny)
    for key in range(amender.graph.TensorsLength()):
        users = amender.users.get(key, [])
        if not amender.is_unset(key) or any(map(amender.bias, users)):
            continue
        beside = {k for o in users for k in (*o.inputs, *o.outputs)}
        scales = [known[k] for k in beside if known.get(k, 0.0) >= tiny]
        amender.scale(key)[0] = max(scales, default=2.0**-15)
    return bytes(amender.buffer)


def tensor_names(data: bytes) -> tuple[dict[int, str], dict[int, float]]:
    """Returns the names of the first graph's tensors, and their scales.

    By the number of the tensor; a scale of 0 is left out.
    """
    graph = root(data).Subgraphs(0)
    names, scales = {}, {}
    for key in range(graph.TensorsLength()):
        details = _details(graph.Tensors(key), key)
        names[key] = details.name
        if details.scale:
            scales[key] = details.scale
    return names, scales
