# SPDX-License-Identifier: MIT
"""How much memory TFLite Micro needs for a model on a 32-bit board."""

from tf_diet.convert.arena import ALIGNMENT, smallest_arena
from tf_diet.convert.tflite_graph import Graph, Operator, read

# What a struct of TFLite Micro is smaller by where pointers have 32 bits: one
# TfLiteEvalTensor for each tensor (24 and 12 bytes), and one
# NodeAndRegistration for each operator (64 bytes, and 44 in the oldest library
# that boards use, 32 in newer ones).
_TENSOR_SAVES = 12
_OPERATOR_SAVES = 20
_SMALL = ("int8", "int16")


def board_arena(data: bytes, library: str = "") -> int:
    """Returns an arena that is enough on a board with 32-bit pointers.

    TFLite Micro keeps three kinds of things in the arena. (1) The tensors
    between operators, whose sizes and places do not depend on pointers. (2)
    Structs for tensors, operators and what kernels prepare, which never
    shrink where pointers grow. (3) Scratch memory of kernels. The smallest
    arena on this machine, found by trying, covers all three for the reference
    kernels with 64-bit pointers. From it is taken what (2) is known to be
    smaller by for each tensor and operator; added is the largest scratch
    buffer that CMSIS-NN asks for in any operator and the reference kernels do
    not, by its own formulas (4.0 and 5.0). For esp-tflite-micro also what
    ESP-NN asks for on an ESP32-S3 is added, an estimate from its sources that
    no run has confirmed.

    It is a bound: kernels' own structs, the interpreter's and its allocators'
    are counted as large as on this machine. `benchmarks/board_arena.py`
    compares it with the libraries themselves, built for 32 bits.

    Args:
        data: the content of a `.tflite` file.
        library: a key of `tf_diet.convert.operators.LIBRARIES`.

    Raises:
        ConversionError: TFLite Micro cannot prepare the model.
    """
    graphs = read(data)
    saved = sum(
        _TENSOR_SAVES * len(graph.tensors)
        + _OPERATOR_SAVES * len(graph.operators)
        for graph in graphs
    )
    size = smallest_arena(data) - saved + _scratch(graphs, library)
    return -(-size // ALIGNMENT) * ALIGNMENT


def _scratch(graphs: tuple[Graph, ...], library: str) -> int:
    """Returns the largest scratch buffer that the reference kernels lack."""
    esp = library == "esp-tflite-micro"
    found = [
        _espressif(operator) if esp else _cmsis(operator)
        for graph in graphs
        for operator in graph.operators
    ]
    return max(found, default=0)


def _cmsis(operator: Operator) -> int:
    source = operator.inputs[0] if operator.inputs else None
    if source is None or source.dtype not in _SMALL:
        return 0
    kernel = (
        operator.inputs[1].shape
        if len(operator.inputs) > 1 and operator.inputs[1]
        else ()
    )
    match operator.name:
        case "CONV_2D":
            # Two columns of the image as 16-bit numbers.
            return 4 * kernel[1] * kernel[2] * kernel[3]
        case "DEPTHWISE_CONV_2D":
            return 2 * kernel[1] * kernel[2] * kernel[3]
        case "AVERAGE_POOL_2D":
            return 4 * source.shape[-1]
        case _:
            return 0


def _espressif(operator: Operator) -> int:
    source = operator.inputs[0] if operator.inputs else None
    if (
        source is None
        or source.dtype != "int8"
        or operator.name not in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ):
        return 0
    weights = operator.inputs[1]
    assert weights is not None
    _, height, width, channels = source.shape
    _, rows, columns, deep = weights.shape
    # Input and kernel are copied with their borders, channels filled up to
    # 16, as 16-bit numbers in the depthwise case; sums and staging besides.
    padded = (height + rows) * (width + columns) * _filled(channels)
    kernel = weights.size // deep * _filled(deep)
    wide = 2 if operator.name == "DEPTHWISE_CONV_2D" else 1
    made = operator.outputs[0].shape[-1]
    staging = 24 * channels + 16 * made + (8192 if rows * columns == 1 else 0)
    return wide * (padded + kernel) + staging + 64


def _filled(channels: int) -> int:
    return -(-channels // 16) * 16
