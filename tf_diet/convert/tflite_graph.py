# SPDX-License-Identifier: MIT
"""The graphs of a TFLite file as plain data: operators and their tensors."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tf_diet.convert import flatbuffer

_BYTES = {
    "float64": 8,
    "int64": 8,
    "float32": 4,
    "int32": 4,
    "uint32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int16": 2,
    "uint16": 2,
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a graph.

    Args:
        key: its number in the graph.
        name: its name; "" in files whose names were taken out.
        shape: its shape, batch first.
        dtype: "float32", "int8" and so on.
        stored: the bytes of a constant, else b"".
        is_variable: whether it keeps its value between calls.
        scales: how many scales its numbers have: 0 for plain numbers, more
            than one where each channel has its own.
    """

    key: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: bytes = field(default=b"", repr=False)
    is_variable: bool = False
    scales: int = 0

    @property
    def is_constant(self) -> bool:
        """Whether its values stand in the file."""
        return bool(self.stored)

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Its size in memory."""
        if self.dtype in ("int4", "uint4"):
            return -(-self.size // 2)
        return self.size * _BYTES.get(self.dtype, 1)


@dataclass(frozen=True)
class Operator:
    """One operator: what it reads and makes.

    Args:
        name: "FULLY_CONNECTED" and so on, or the name of a custom operator.
        inputs: what it reads; None where an optional input is left out.
        outputs: what it makes.
        subgraphs: the graphs that it calls, such as the condition and the
            body of a loop.
    """

    name: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    subgraphs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    """One graph of a file: the first is the model."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read(data: bytes) -> tuple[Graph, ...]:
    """Returns the graphs of a TFLite file, the model's own first.

    Args:
        data: the content of a `.tflite` file.

    Raises:
        ConversionError: the bytes are no TFLite model.
    """
    model = flatbuffer.root(data)
    return tuple(
        _graph(model, model.Subgraphs(number))
        for number in range(model.SubgraphsLength())
    )


def _graph(model: Any, graph: Any) -> Graph:
    tensors = tuple(
        _tensor(model, graph.Tensors(key), key)
        for key in range(graph.TensorsLength())
    )

    def picked(keys: Any, length: int) -> tuple[Tensor, ...]:
        return tuple(tensors[int(key)] for key in (keys if length else ()))

    return Graph(
        tensors,
        tuple(_operators(model, graph, tensors)),
        picked(graph.InputsAsNumpy(), graph.InputsLength()),
        picked(graph.OutputsAsNumpy(), graph.OutputsLength()),
    )


def _tensor(model: Any, tensor: Any, key: int) -> Tensor:
    buffer = model.Buffers(tensor.Buffer())
    scales = tensor.Quantization()
    return Tensor(
        key,
        (tensor.Name() or b"").decode("utf-8", "replace"),
        tuple(
            int(n)
            for n in (tensor.ShapeAsNumpy() if tensor.ShapeLength() else ())
        ),
        flatbuffer.names("TensorType")[tensor.Type()].lower(),
        buffer.DataAsNumpy().tobytes() if buffer.DataLength() else b"",
        bool(tensor.IsVariable()),
        0 if scales is None else int(scales.ScaleLength()),
    )


def _operators(
    model: Any, graph: Any, tensors: tuple[Tensor, ...]
) -> Iterator[Operator]:
    for place in range(graph.OperatorsLength()):
        operator = graph.Operators(place)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = flatbuffer.names("BuiltinOperator")[kind]
        if name == "CUSTOM":
            name = (code.CustomCode() or b"CUSTOM").decode("utf-8", "replace")
        sources, targets = (
            [int(key) for key in keys] if length else []
            for keys, length in (
                (operator.InputsAsNumpy(), operator.InputsLength()),
                (operator.OutputsAsNumpy(), operator.OutputsLength()),
            )
        )
        yield Operator(
            name,
            tuple(tensors[key] if key >= 0 else None for key in sources),
            tuple(tensors[key] for key in targets),
            _called(name, operator),
        )


def _called(name: str, operator: Any) -> tuple[int, ...]:
    if name not in ("WHILE", "IF"):
        return ()
    kinds = {"WHILE": "WhileOptions", "IF": "IfOptions"}
    options = getattr(flatbuffer.schema(), kinds[name])()
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    if name == "WHILE":
        return options.CondSubgraphIndex(), options.BodySubgraphIndex()
    return options.ThenSubgraphIndex(), options.ElseSubgraphIndex()


def integers(tensor: Tensor | None) -> list[int]:
    """Returns the values of a constant of int32 or int64, else []."""
    if tensor is None or tensor.dtype not in ("int32", "int64"):
        return []
    return np.frombuffer(tensor.stored, f"<i{_BYTES[tensor.dtype]}").tolist()
