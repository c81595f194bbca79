# SPDX-License-Identifier: MIT
"""Writes a `.tflite` file anew: names, a signature, facts beside the model.

The packer that comes with the schema leaves weights where they happen to
fall; microcontrollers read them as whole words, so they are aligned here.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_diet import optional
from tf_diet.convert.flatbuffer import root, schema

# The name of our entry in a model's metadata, and that of its signature,
# which is the one that TensorFlow's own exports have.
FACTS = "tf_diet"
SIGNATURE = "serving_default"
_ALIGNMENT = 16


def finished(
    data: bytes,
    inputs: Sequence[str],
    outputs: Sequence[str],
    facts: Mapping[str, Any],
) -> bytes:
    """Names inputs and outputs, adds a signature, and facts about the model.

    Args:
        data: the content of a `.tflite` file.
        inputs: names in index order.
        outputs: likewise.
        facts: plain data that JSON can hold; `facts_of` reads it.
    """
    model = _unpacked(data)
    graph = model.subgraphs[0]
    _part_outputs(model, graph)
    for key, name in zip(
        [*graph.inputs, *graph.outputs], [*inputs, *outputs], strict=True
    ):
        graph.tensors[int(key)].name = name.encode()
    signature = schema().SignatureDefT()
    signature.signatureKey = SIGNATURE.encode()
    signature.subgraphIndex = 0
    signature.inputs = _named(inputs, graph.inputs)
    signature.outputs = _named(outputs, graph.outputs)
    model.signatureDefs = [signature]
    _set_facts(model, facts)
    return _packed(model, len(data))


def facts_of(data: bytes) -> dict[str, Any]:
    """Returns what `finished` wrote about a model; empty for others' files."""
    model = root(data)
    for place in range(model.MetadataLength()):
        entry = model.Metadata(place)
        if entry.Name() == FACTS.encode():
            text = model.Buffers(entry.Buffer()).DataAsNumpy()
            return dict(json.loads(text.tobytes()))
    return {}


def with_facts(data: bytes, facts: Mapping[str, Any]) -> bytes:
    """Returns a model with other facts, see `facts_of`."""
    model = _unpacked(data)
    _set_facts(model, facts)
    return _packed(model, len(data))


def without_inner_names(data: bytes) -> bytes:
    """Drops the names of tensors that are neither input nor output.

    Also what only tools on a desk read: signatures, descriptions, facts, the
    ranges of calibration. Equal shapes and scales are written once. Of a step
    model with many small tensors that is half of the file.
    """
    model = _unpacked(data)
    for graph in model.subgraphs:
        ends = {int(key) for key in (*graph.inputs, *graph.outputs)}
        for key, tensor in enumerate(graph.tensors):
            if key not in ends:
                tensor.name = None
        graph.name = None
        _share(graph)
    model.description = None
    model.signatureDefs = []
    emptied = {entry.buffer for entry in model.metadata or ()}
    model.metadata = []
    for key in emptied:
        model.buffers[key].data = None
    return _packed(model, len(data), sharing=True)


def _unpacked(data: bytes) -> Any:
    """Returns a model as objects, all of its constants among them.

    litert-quantizer (0.11) writes constants of more than 256 KiB behind the
    model, where TFLite Micro does not look.
    """
    model = schema().ModelT.InitFromObj(root(data))
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(
                data, np.uint8, buffer.size, buffer.offset
            )
            buffer.offset = buffer.size = 0
    return model


def _part_outputs(model: Any, graph: Any) -> None:
    """Gives every output a tensor of its own, which can bear its own name.

    What a model passes through, and what it gives twice, would share one.
    """
    taken = {int(key) for key in graph.inputs}
    outputs = []
    for key in map(int, graph.outputs):
        outputs.append(_copied(model, graph, key) if key in taken else key)
        taken.add(outputs[-1])
    graph.outputs = np.array(outputs, np.int32)


def _copied(model: Any, graph: Any, key: int) -> int:
    """Adds an operator that copies a tensor; returns the copy's number."""
    source, copy = graph.tensors[key], schema().TensorT()
    for name in ("type", "shape", "shapeSignature", "quantization", "hasRank"):
        setattr(copy, name, getattr(source, name))
    # The first buffer is always the empty one.
    copy.buffer, copy.name = 0, None
    graph.tensors.append(copy)
    operator, options = schema().OperatorT(), schema().ReshapeOptionsT()
    shape = [] if source.shape is None else source.shape
    options.newShape = np.array(shape, np.int32)
    operator.opcodeIndex = _reshape_code(model)
    operator.inputs = np.array([key], np.int32)
    operator.outputs = np.array([len(graph.tensors) - 1], np.int32)
    operator.builtinOptionsType = schema().BuiltinOptions.ReshapeOptions
    operator.builtinOptions = options
    graph.operators.append(operator)
    return len(graph.tensors) - 1


def _reshape_code(model: Any) -> int:
    kind = schema().BuiltinOperator.RESHAPE
    for place, code in enumerate(model.operatorCodes):
        if kind in (code.builtinCode, code.deprecatedBuiltinCode):
            return place
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _named(names: Sequence[str], keys: Sequence[int]) -> list[Any]:
    entries = []
    for name, key in zip(names, keys, strict=True):
        entry = schema().TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), int(key)
        entries.append(entry)
    return entries


def _set_facts(model: Any, facts: Mapping[str, Any]) -> None:
    content = np.frombuffer(json.dumps(dict(facts)).encode(), np.uint8)
    entries = model.metadata or []
    for entry in entries:
        if entry.name == FACTS.encode():
            model.buffers[entry.buffer].data = content
            return
    entry, buffer = schema().MetadataT(), schema().BufferT()
    buffer.data = content
    model.buffers.append(buffer)
    entry.name, entry.buffer = FACTS.encode(), len(model.buffers) - 1
    model.metadata = [*entries, entry]


class _AlignedBuffer:
    """Packs a buffer so that its data begins at a multiple of 16 bytes."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def Pack(self, builder: Any) -> Any:
        """Writes it, as the packer of the schema asks each part to."""
        content = self.buffer.data
        vector = None
        if content is not None and len(content):
            content = np.ascontiguousarray(content, np.uint8)
            size = len(content)
            builder.StartVector(1, size, _ALIGNMENT)
            builder.head = builder.Head() - size
            builder.Bytes[builder.Head() : builder.Head() + size] = content.data
            vector = builder.EndVector()
        schema().BufferStart(builder)
        if vector is not None:
            schema().BufferAddData(builder, vector)
        schema().BufferAddOffset(builder, self.buffer.offset)
        schema().BufferAddSize(builder, self.buffer.size)
        return schema().BufferEnd(builder)


def _packed(model: Any, size: int, sharing: bool = False) -> bytes:
    flatbuffers = optional.require("flatbuffers", "convert")
    model.buffers = [_AlignedBuffer(buffer) for buffer in model.buffers]
    # Room for all of it, so that the builder need not grow by copying.
    room = size + size // 8 + 4096
    builder = _sharing_builder(room) if sharing else flatbuffers.Builder(room)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Bytes[builder.Head() :])


def _sharing_builder(room: int) -> Any:
    """Returns a builder that writes equal small vectors once."""
    flatbuffers = optional.require("flatbuffers", "convert")

    class Sharing(flatbuffers.Builder):  # type: ignore[name-defined]
        """Remembers the vectors that it has written."""

        def __init__(self, room: int) -> None:
            super().__init__(room)
            self.written: dict[Any, Any] = {}

        def CreateNumpyVector(self, x: Any) -> Any:
            """Writes a vector, or points to an equal one."""
            key = (x.dtype.str, x.tobytes())
            if key not in self.written:
                self.written[key] = super().CreateNumpyVector(x)
            return self.written[key]

    return Sharing(room)


class _Shared:
    """A table that is written once, however many point to it."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.key = _content(table)

    def Pack(self, builder: Any) -> Any:
        """Writes it, or points to an equal one."""
        if self.key not in builder.written:
            builder.written[self.key] = self.table.Pack(builder)
        return builder.written[self.key]


def _content(table: Any) -> tuple[Any, ...]:
    """Returns what a table holds, so that equal ones can be found."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.tobytes()
        if hasattr(value, "__dict__"):
            return _content(value)
        return tuple(value) if isinstance(value, list) else value

    fields = sorted(vars(table).items())
    return (type(table).__name__, *((k, plain(v)) for k, v in fields))


def _share(graph: Any) -> None:
    """Has equal scales and equal options of operators written once."""
    for tensor in graph.tensors:
        found = tensor.quantization
        if found is not None:
            # What calibration saw is of no use to an interpreter.
            found.min = found.max = None
            tensor.quantization = _Shared(found)
    for operator in graph.operators:
        if operator.builtinOptions is not None:
            operator.builtinOptions = _Shared(operator.builtinOptions)
