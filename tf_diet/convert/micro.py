# SPDX-License-Identifier: MIT
"""From a TFLite model to the C++ files that a microcontroller compiles."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_diet import files
from tf_diet.convert.operators import add_method, check_micro
from tf_diet.convert.runtime import MicroRunner
from tf_diet.convert.tensor_spec import TensorDetails
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError, InputError

FILES = (
    "model_data.h",
    "model_data.cc",
    "model_ops.h",
    "model_settings.h",
    "model_settings.json",
)
_TYPES = {
    "float32": "kFloat32",
    "int8": "kInt8",
    "int16": "kInt16",
    "int32": "kInt32",
}
_NOTE = "// Written by tf_diet; do not edit.\n"


@dataclass(frozen=True)
class MicroModel:
    """A model as C++ files.

    Args:
        folder: where the files are.
        quantize: how its numbers are stored.
        ops: the operators it needs, sorted.
        arena_bytes: memory for its tensors, as measured on this machine; a
            board with 32-bit pointers needs less.
        flash_bytes: size of the array that holds the model.
        settings: the content of `model_settings.json`.
    """

    folder: Path
    quantize: str
    ops: tuple[str, ...]
    arena_bytes: int
    flash_bytes: int
    settings: Mapping[str, Any]

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths of the written files."""
        return tuple(self.folder / name for name in FILES)

    def __repr__(self) -> str:
        return (
            f"<MicroModel {self.quantize} in {self.folder}: "
            f"{self.flash_bytes:,} bytes of flash, {self.arena_bytes:,} "
            f"bytes of arena, {len(self.ops)} kinds of operators>"
        )


def to_micro(
    model: TFLiteModel | bytes,
    folder: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    hop: int | None = None,
    settings: Mapping[str, int | float | bool | str] | None = None,
) -> MicroModel:
    """Writes a TFLite model as C++ files for TFLite Micro.

    The model is prepared and measured in the TFLite Micro interpreter first;
    where that fails nothing is written.

    Args:
        model: a converted model, or the bytes of one.
        folder: where to write; files of other names in it are left alone.
        sample_rate: samples of audio a second, where the model is about
            sound.
        hop: samples of audio that one call stands for, likewise.
        settings: more constants for the C++ side: `harmonics=40` becomes
            `kHarmonics`.

    Returns:
        What was written, and what it needs.

    Raises:
        InputError: a sample rate, hop or setting cannot be used.
        ConversionError: TFLite Micro lacks an operator, or the form in which
            the model uses it.
    """
    if not isinstance(model, TFLiteModel):
        model = TFLiteModel.from_bytes(bytes(model))
    extra = dict(settings or {})
    _check_settings(extra, sample_rate, hop)
    ops = check_micro(model.data)
    _check_types(model)
    data = model.for_board()
    arena = MicroRunner(data).arena_bytes
    described = {
        "inputs": [_described(details) for details in model.inputs],
        "outputs": [_described(details) for details in model.outputs],
        "states": [list(pair) for pair in model.states],
        **({"sample_rate": sample_rate} if sample_rate else {}),
        **({"hop": hop} if hop else {}),
        "arena_bytes": arena,
        "ops": list(ops),
        **extra,
    }
    _write_all(
        Path(folder),
        {
            "model_data.h": _data_header(),
            "model_data.cc": _data_source(data),
            "model_ops.h": _ops_header(ops),
            "model_settings.h": _settings_header(model, described, extra),
            "model_settings.json": json.dumps(described, indent=2) + "\n",
        },
    )
    return MicroModel(
        Path(folder), model.quantize, ops, arena, len(data), described
    )


def parse_c_array(path: str | os.PathLike[str]) -> bytes:
    """Reads the bytes back out of a C or C++ array of hexadecimal numbers.

    Args:
        path: a source file such as `model_data.cc`.

    Raises:
        InputError: the file has no such array.
    """
    text = Path(path).read_text(encoding="utf-8")
    body = re.search(r"model_data\[\][^{]*\{([^}]*)\}", text)
    numbers = re.findall(r"0x([0-9a-fA-F]{1,2})\b", body[1]) if body else []
    if not numbers:
        raise InputError(
            "The file holds no array 'model_data[]' of hexadecimal bytes. "
            f"Received: {path}. Pass the model_data.cc that to_micro wrote."
        )
    return bytes(int(number, 16) for number in numbers)


def _check_settings(
    extra: Mapping[str, Any], sample_rate: int | None, hop: int | None
) -> None:
    for name, value in (("sample_rate", sample_rate), ("hop", hop)):
        if value is None:
            continue
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise InputError(
                f"The {name} must be a whole number above 0. Received: "
                f"{value!r}. Pass that of the audio, such as 16000 and 160."
            )
    taken = {"inputs", "outputs", "states", "arena_bytes", "ops"}
    for name, value in extra.items():
        if (
            not re.fullmatch(r"[a-z][a-z0-9_]*", name)
            or name in taken | {"sample_rate", "hop"}
            or not isinstance(value, int | float | str)
        ):
            raise InputError(
                "A setting is a new name in snake_case with a number, truth "
                f"value or text. Received: {name!r}: {value!r}. Use names "
                "such as harmonics=40."
            )


def _check_types(model: TFLiteModel) -> None:
    for details in (*model.inputs, *model.outputs):
        if details.dtype not in _TYPES:
            raise ConversionError(
                f"The tensor {details.name!r} has a type that the C++ side "
                f"does not read. Received: {details.dtype}. Use float or "
                "int32 inputs and outputs."
            )


def _described(details: TensorDetails) -> dict[str, Any]:
    entry = asdict(details)
    return {
        "name": entry["name"],
        "index": entry["index"],
        "size": details.size,
        "shape": list(details.shape),
        "type": entry["dtype"],
        "scale": entry["scale"],
        "zero_point": entry["zero_point"],
    }


def _guarded(name: str, body: str) -> str:
    guard = f"TF_DIET_{name.upper().replace('.', '_')}_"
    return f"{_NOTE}#ifndef {guard}\n#define {guard}\n\n{body}\n#endif\n"


def _data_header() -> str:
    return _guarded(
        "model_data.h",
        "namespace tf_diet {\n"
        "extern const unsigned char model_data[];\n"
        "extern const unsigned int model_data_length;\n"
        "}  // namespace tf_diet\n",
    )


def _data_source(data: bytes) -> str:
    lines = "\n".join(
        "  " + " ".join(f"0x{byte:02x}," for byte in data[i : i + 12])
        for i in range(0, len(data), 12)
    )
    return (
        f'{_NOTE}#include "model_data.h"\n\n'
        "namespace tf_diet {\n"
        "// Kernels read the weights as whole words: keep the alignment.\n"
        f"alignas(16) const unsigned char model_data[] = {{\n{lines}\n}};\n"
        f"const unsigned int model_data_length = {len(data)};\n"
        "}  // namespace tf_diet\n"
    )


def _ops_header(ops: Sequence[str]) -> str:
    calls = "".join(
        f"  if (resolver.{add_method(op)}() != kTfLiteOk) "
        "return kTfLiteError;\n"
        for op in ops
    )
    return _guarded(
        "model_ops.h",
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n\n'
        "// Releases differ in which of the two namespaces holds the names.\n"
        "namespace tflite {\nnamespace micro {}\n}  // namespace tflite\n\n"
        "namespace tf_diet {\n"
        f"constexpr int kOpCount = {len(ops)};\n"
        "namespace resolver {\n"
        "using namespace ::tflite;\nusing namespace ::tflite::micro;\n"
        "using Type = MicroMutableOpResolver<kOpCount>;\n"
        "}  // namespace resolver\n"
        "using OpResolver = resolver::Type;\n\n"
        "inline TfLiteStatus RegisterOps(OpResolver& resolver) {\n"
        f"{calls}  return kTfLiteOk;\n"
        "}\n}  // namespace tf_diet\n",
    )


def _settings_header(
    model: TFLiteModel, described: Mapping[str, Any], extra: Mapping[str, Any]
) -> str:
    states = "\n".join(f"    {{{i}, {o}}}," for i, o in model.states)
    extras = "".join(_constant(name, value) for name, value in extra.items())
    audio = "".join(
        _constant(name, described[name])
        for name in ("sample_rate", "hop")
        if name in described
    )
    return _guarded(
        "model_settings.h",
        "namespace tf_diet {\nnamespace settings {\n\n"
        "enum TensorType { kFloat32, kInt8, kInt16, kInt32 };\n\n"
        "struct Tensor {\n  const char* name;\n  int index;\n  int size;\n"
        "  TensorType type;\n  float scale;\n  int zero_point;\n};\n\n"
        "// Positions in kInputs and kOutputs: what comes out of `output` has\n"
        "// to be written into `input` before the next call.\n"
        "struct State {\n  int input;\n  int output;\n};\n\n"
        f"constexpr int kInputCount = {len(model.inputs)};\n"
        f"constexpr int kOutputCount = {len(model.outputs)};\n"
        f"constexpr int kStateCount = {len(model.states)};\n\n"
        f"constexpr Tensor kInputs[] = {{\n{_rows(model.inputs)}\n}};\n\n"
        f"constexpr Tensor kOutputs[] = {{\n{_rows(model.outputs)}\n}};\n\n"
        f"constexpr State kStates[] = {{\n{states or '    {0, 0},'}\n}};\n\n"
        f"{audio}constexpr int kArenaBytes = {described['arena_bytes']};\n"
        f"{extras}\n"
        "}  // namespace settings\n}  // namespace tf_diet\n",
    )


def _rows(tensors: Sequence[TensorDetails]) -> str:
    return "\n".join(
        f"    {{{json.dumps(d.name)}, {d.index}, {d.size}, {_TYPES[d.dtype]}, "
        f"{_float(d.scale or 1.0)}, {d.zero_point}}},"
        for d in tensors
    )


def _float(value: float) -> str:
    text = np.format_float_scientific(np.float32(value), trim="0")
    return f"{text}f"


def _constant(name: str, value: int | float | bool | str) -> str:
    key = "k" + "".join(part.capitalize() for part in name.split("_"))
    if isinstance(value, bool):
        return f"constexpr bool {key} = {str(value).lower()};\n"
    if isinstance(value, int):
        return f"constexpr int {key} = {value};\n"
    if isinstance(value, float):
        return f"constexpr float {key} = {_float(value)};\n"
    return f"constexpr const char* {key} = {json.dumps(value)};\n"


def _write_all(folder: Path, texts: Mapping[str, str]) -> None:
    """Writes all files or none of them."""
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".micro.", dir=folder))
    try:
        for name, text in texts.items():
            files.write_text(staging / name, text)
        for name in texts:
            os.replace(staging / name, folder / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
