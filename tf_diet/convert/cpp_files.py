# SPDX-License-Identifier: MIT
"""The text of the C++ files of a converted model, C++11 and newer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_diet.convert.operators import add_method
from tf_diet.convert.tensor_spec import TensorDetails
from tf_diet.convert.tflite_model import TFLiteModel

TYPES = {
    "float32": "kFloat32",
    "int8": "kInt8",
    "int16": "kInt16",
    "int32": "kInt32",
}
_NOTE = "// Written by tf_diet; do not edit.\n"

Setting = int | float | bool | str | Sequence[str]


def _guarded(name: str, body: str) -> str:
    guard = f"TF_DIET_{name.upper().replace('.', '_')}_"
    return f"{_NOTE}#ifndef {guard}\n#define {guard}\n\n{body}\n#endif\n"


def data_header() -> str:
    """Returns model_data.h."""
    return _guarded(
        "model_data.h",
        "namespace tf_diet {\n"
        "extern const unsigned char model_data[];\n"
        "extern const unsigned int model_data_length;\n"
        "}  // namespace tf_diet\n",
    )


def data_source(data: bytes) -> str:
    """Returns model_data.cc: the model as an array of bytes."""
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


def ops_header(ops: Sequence[str]) -> str:
    """Returns model_ops.h: the operators that the model needs."""
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


def settings_header(
    model: TFLiteModel, described: Mapping[str, Any], extra: Mapping[str, Any]
) -> str:
    """Returns model_settings.h.

    Args:
        model: the converted model.
        described: the content of model_settings.json.
        extra: more constants.
    """
    audio = "".join(
        f"constexpr int {name} = {described[key]};\n"
        for name, key in (("kSampleRate", "sample_rate"), ("kHop", "hop"))
        if key in described
    )
    states = "\n".join(f"    {{{i}, {o}}}," for i, o in model.states)
    extras = "".join(_constant(name, value) for name, value in extra.items())
    return _guarded(
        "model_settings.h",
        "#include <stdint.h>\n\n"
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
        f"{audio}"
        "// Memory for its tensors: on a desktop, with the kernels that an\n"
        "// ESP32 brings, and on other boards, for which it is a bound.\n"
        "#if UINTPTR_MAX > 0xffffffff\n"
        f"constexpr int kArenaBytes = {described['arena_bytes']};\n"
        "#elif defined(ESP_PLATFORM)\n"
        f"constexpr int kArenaBytes = {described['esp_arena_bytes']};\n"
        "#else\n"
        f"constexpr int kArenaBytes = {described['board_arena_bytes']};\n"
        "#endif\n"
        f"{extras}\n"
        "}  // namespace settings\n}  // namespace tf_diet\n",
    )


def _rows(tensors: Sequence[TensorDetails]) -> str:
    return "\n".join(
        f"    {{{json.dumps(d.name)}, {d.index}, {d.size}, {TYPES[d.dtype]}, "
        f"{_float(d.scale or 1.0)}, {d.zero_point}}},"
        for d in tensors
    )


def _float(value: float) -> str:
    text = np.format_float_scientific(np.float32(value), trim="0")
    return f"{text}f"


def _constant(name: str, value: Setting) -> str:
    key = "k" + "".join(part.capitalize() for part in name.split("_"))
    if isinstance(value, bool):
        return f"constexpr bool {key} = {str(value).lower()};\n"
    if isinstance(value, int):
        return f"constexpr int {key} = {value};\n"
    if isinstance(value, float):
        return f"constexpr float {key} = {_float(value)};\n"
    if isinstance(value, str):
        return f"constexpr const char* {key} = {json.dumps(value)};\n"
    words = ", ".join(map(json.dumps, value))
    return f"constexpr const char* {key}[] = {{{words}}};\n"
