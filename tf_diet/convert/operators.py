# SPDX-License-Identifier: MIT
"""What TFLite Micro can run: operators, their C++ names, ways around gaps."""

from collections.abc import Iterable, Mapping

from tf_diet.convert import flatbuffer
from tf_diet.convert.tflite_graph import read
from tf_diet.errors import ConversionError
from tf_diet.extensions import toolchains

# The TFLite operators that TFLite Micro's resolver can add. WHILE is left out:
# its results were wrong in every trial.
_NAMES = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL
    BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL
    CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D
    DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP
    EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER
    GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D
    LEAKY_RELU LESS LESS_EQUAL LOG LOG_SOFTMAX LOGICAL_AND LOGICAL_NOT
    LOGICAL_OR LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NEG
    NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL
    REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE
    SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE
    TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE ZEROS_LIKE
"""
_KNOWN = frozenset(_NAMES.split())

# Where the C++ method is not the name in capitals, as in "AddFullyConnected".
_EXCEPTIONS = {
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "CONV_2D": "AddConv2D",
    "CUMSUM": "AddCumSum",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "L2_POOL_2D": "AddL2Pool2D",
    "MAX_POOL_2D": "AddMaxPool2D",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}

# What the TFLite Micro library of a board lacks of these, as read in its
# micro_mutable_op_resolver.h: tflite-micro-arduino-examples at 7948b85
# (December 2023), pico-tflmicro at dfea53b (December 2024) and esp-tflite-micro
# at 99f49e1 (August 2026).
LIBRARIES: Mapping[str, frozenset[str]] = {
    "Arduino_TensorFlowLite": frozenset(
        {
            "BATCH_MATMUL",
            "DYNAMIC_UPDATE_SLICE",
            "EMBEDDING_LOOKUP",
            "REDUCE_ALL",
            "REDUCE_MIN",
            "REVERSE_V2",
        }
    ),
    "pico-tflmicro": frozenset(
        {"DYNAMIC_UPDATE_SLICE", "REDUCE_ALL", "REDUCE_MIN", "REVERSE_V2"}
    ),
    "esp-tflite-micro": frozenset(),
}

# Those whose matrix products know one scale for all weights, and would apply
# the first without a word where each channel has its own.
_ONE_SCALE = frozenset({"Arduino_TensorFlowLite"})

_REMEDIES = {
    "WHILE": "It is the time loop of a recurrent layer, which TFLite Micro "
    "runs without an error and wrongly: convert to_streaming(model) instead.",
    "SELECT": "It comes from keras.ops.where, keras.ops.take and embeddings "
    "with mask_zero: use arithmetic in its place, or do it in C++ and make "
    "its result an input of the model.",
    "ONE_HOT": "Fill the vector in C++ and make it an input of the model.",
    "POW": "It comes from exp_sigmoid or a power: end the model before it and "
    "do it in C++, or square with a product.",
    "GELU": "Use another activation, such as relu, tanh or sigmoid.",
}


def add_method(name: str) -> str:
    """Returns the method of `MicroMutableOpResolver` that adds an operator."""
    return _EXCEPTIONS.get(
        name, "Add" + "".join(p.capitalize() for p in name.split("_"))
    )


def lacking(ops: Iterable[str], library: str) -> list[str]:
    """Returns the operators that a board's library does not have, sorted.

    Args:
        ops: names of TFLite operators.
        library: a key of `LIBRARIES`; nothing lacks in an unknown one.
    """
    return sorted(LIBRARIES.get(library, frozenset()).intersection(ops))


def per_channel_dense(data: bytes) -> bool:
    """Says whether a matrix product has a scale for each channel."""
    return any(
        operator.name == "FULLY_CONNECTED"
        and operator.inputs[0] is not None
        and operator.inputs[0].dtype in ("int8", "int16")
        and operator.inputs[1] is not None
        and operator.inputs[1].scales > 1
        for graph in read(data)
        for operator in graph.operators
    )


def library_problem(ops: Iterable[str], per_channel: bool, library: str) -> str:
    """Says why a board's library cannot run a model, or returns "".

    Args:
        ops: names of its TFLite operators.
        per_channel: see `per_channel_dense`.
        library: a key of `LIBRARIES`.
    """
    missing = lacking(ops, library)
    if missing:
        return f"{library} has no {', '.join(missing)}"
    if per_channel and library in _ONE_SCALE:
        return (
            f"{library} applies the scale of the first channel to all weights "
            "of a FULLY_CONNECTED and answers wrongly: convert the model with "
            "to_tflite, whose 'int8' and 'int16x8' give it one scale unless "
            "told otherwise"
        )
    return ""


def check_board(data: bytes, board: str) -> None:
    """Refuses a model that the TFLite Micro library of a board cannot run.

    Args:
        data: the content of a `.tflite` file.
        board: a board that sketches are written for.

    Raises:
        InputError: no such board is known.
        ConversionError: its library lacks an operator, or answers wrongly.
    """
    problem = library_problem(
        {op.name for op in flatbuffer.operations(data)},
        per_channel_dense(data),
        toolchains.get(board).operators,
    )
    if problem:
        raise ConversionError(
            f"The model cannot run on the board {board!r}. Received: "
            f"{problem}. Or choose a board with a newer library, such as an "
            "ESP32."
        )


def check_micro(data: bytes) -> tuple[str, ...]:
    """Returns the kinds of operators in a model, all known to TFLite Micro.

    Raises:
        ConversionError: one is not; it is named, with the layer that needs
            it and a way around.
    """
    found = flatbuffer.operations(data)
    for operation in found:
        if operation.name not in _KNOWN:
            remedy = _REMEDIES.get(
                operation.name,
                "Build the layer from other operations, or end the model "
                "before it and do it in C++.",
            )
            raise ConversionError(
                f"TFLite Micro cannot run the operator {operation.name}. "
                f"Received: it makes the tensor {operation.label!r}. {remedy}"
            )
    return tuple(sorted({operation.name for operation in found}))
