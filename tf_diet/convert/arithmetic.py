# SPDX-License-Identifier: MIT
"""Which arithmetic a TFLite file does, and how much of it.

It is read from the tensors of each operator, never from the name of a
quantization: a file may have float inputs and 8-bit integers inside.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from tf_diet.convert.tflite_graph import Graph, Operator, integers, read

# Arithmetic by the type of the activations.
_ACTIVATIONS = {"int8": "int8", "uint8": "int8", "int16": "int16x8"}
_SMALL_WEIGHTS = ("int8", "uint8", "int4")
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "CONV_3D")
_SEQUENCES = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN")


@dataclass(frozen=True)
class Products:
    """Multiply-accumulates of one kind in one call.

    Args:
        arithmetic: "float32"; "int8": 8-bit activations, or weights of 8 bits
            on float activations, which LiteRT rounds to 8 bits on the way; or
            "int16x8": activations of 16 bits.
        kind: "dense" for matrix products, "convolution".
        count: how many.
    """

    arithmetic: str
    kind: str
    count: int


def products(data: bytes) -> tuple[Products, ...]:
    """Counts the multiply-accumulates of one call by kind, most first.

    Loops count as often as they turn, where that is a number in the file.

    Args:
        data: the content of a `.tflite` file.

    Raises:
        ConversionError: the bytes are no TFLite model.
    """
    graphs = read(data)
    counts = _count(graphs, graphs[0], 1)
    return tuple(
        Products(*kind, count) for kind, count in counts.most_common() if count
    )


def stored_as(data: bytes) -> str:
    """Returns how the file computes, in words: "int8", "int8 + float32"."""
    counts: Counter[str] = Counter()
    for found in products(data):
        counts[found.arithmetic] += found.count
    return " + ".join(name for name, _ in counts.most_common()) or "float32"


def _count(
    graphs: tuple[Graph, ...], graph: Graph, times: int
) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for operator in graph.operators:
        if operator.subgraphs:
            turns = times
            if operator.name == "WHILE":
                turns *= _turns(graphs[operator.subgraphs[0]], operator)
            for number in operator.subgraphs:
                counts.update(_count(graphs, graphs[number], turns))
            continue
        kind = "convolution" if operator.name in _CONVOLUTIONS else "dense"
        counts[_arithmetic(operator), kind] += times * _products(operator)
    return counts


def _arithmetic(operator: Operator) -> str:
    source = operator.inputs[0] if operator.inputs else None
    if operator.name == "TRANSPOSE_CONV":
        source = operator.inputs[2]
    if source is None:
        return "float32"
    weights = operator.inputs[1] if len(operator.inputs) > 1 else None
    if source.dtype == "float32" and weights is not None:
        # LiteRT's "dynamic range" kernels.
        hybrid = weights.is_constant and weights.dtype in _SMALL_WEIGHTS
        return "int8" if hybrid else "float32"
    return _ACTIVATIONS.get(source.dtype, "float32")


def _products(operator: Operator) -> int:
    shapes = [() if t is None else t.shape for t in operator.inputs]
    made = operator.outputs[0].size if operator.outputs else 0
    match operator.name:
        case "FULLY_CONNECTED":
            return prod(shapes[0]) * shapes[1][0]
        case "BATCH_MATMUL":
            # Either factor may be transposed: the other sides are the result.
            sides = operator.outputs[0].shape[-2:]
            inner = prod(shapes[0][-2:]) // max(1, sides[0])
            return made * inner
        case "CONV_2D":
            return made * prod(shapes[1][1:])
        case "CONV_3D":
            return made * prod(shapes[1][:-1])
        case "DEPTHWISE_CONV_2D":
            return made * prod(shapes[1][1:3])
        case "TRANSPOSE_CONV":
            # Every input meets the whole kernel.
            return prod(shapes[2]) * prod(shapes[1][:3])
        case "SVDF":
            return prod(shapes[1]) + prod(shapes[2])
        case name if name in _SEQUENCES:
            steps = prod(shapes[0][:-1])
            return steps * sum(
                t.size
                for t in operator.inputs[1:9]
                if t is not None and len(t.shape) == 2 and t.is_constant
            )
        case _:
            return 0


def _turns(condition: Graph, loop: Operator) -> int:
    """Returns how often a loop turns: once where the file does not say.

    Keras' time loops count up to a constant, which stands in the condition or
    among the first values of the loop.
    """
    limits = [1]
    for operator in condition.operators:
        if operator.name != "LESS":
            continue
        limit = operator.inputs[1]
        if limit in condition.inputs:
            limit = loop.inputs[condition.inputs.index(limit)]
        limits += [n for n in integers(limit) if n > 0]
    return min(limits[1:], default=1)


def by_arithmetic(found: tuple[Products, ...]) -> Mapping[str, int]:
    """Sums counts over the kinds of operators."""
    counts: Counter[str] = Counter()
    for item in found:
        counts[item.arithmetic] += item.count
    return dict(counts.most_common())
