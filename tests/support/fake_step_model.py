# SPDX-License-Identifier: MIT
"""A step model that the stub headers of TensorFlow Lite Micro can run."""

import dataclasses
import json
from typing import ClassVar

import numpy as np


@dataclasses.dataclass
class FakeTensor:
    """One input or output of a model that only the stubs can run."""

    name: str
    size: int
    kind: str = "float32"
    scale: float = 0.0
    zero_point: int = 0

    def store(self, values):
        values = np.asarray(values, np.float32)
        if self.kind == "float32":
            return values
        limits = np.iinfo(self.kind)
        steps = np.rint(values / np.float32(self.scale)) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.kind)

    def load(self, stored):
        if self.kind == "float32":
            return stored
        return (stored.astype(np.float32) - self.zero_point) * np.float32(
            self.scale
        )


class FakeModel:
    """A step model in the words that the stub interpreter reads.

    Inputs, outputs and states stand in another order on each side, so that
    only a reader of the tables can join them.
    """

    OPS = ("AddConcatenation", "AddFullyConnected", "AddTanh")
    CODES: ClassVar = {"float32": 1, "int32": 2, "int16": 7, "int8": 9}

    def __init__(self, kind="float32", scales=(0.0, 0.0), zeros=(0, 0)):
        def tensor(name, size, side):
            return FakeTensor(name, size, kind, scales[side], zeros[side])

        self.inputs = [
            tensor("gru_state", 6, 0),
            tensor("level", 1, 0),
            tensor("instrument", 2, 0),
            tensor("pitch", 1, 0),
            tensor("conv_state", 3, 0),
        ]
        self.outputs = [
            tensor("conv_state_next", 3, 1),
            tensor("controls", 106, 1),
            tensor("gru_state_next", 6, 1),
        ]
        self.states = [(0, 2), (4, 0)]
        self.version = 3
        self.arena_bytes = 1024

    def words(self):
        tensors = [*self.inputs, *self.outputs]
        words = [
            self.version,
            self.arena_bytes,
            len(self.OPS),
            len(self.inputs),
            len(self.outputs),
        ]
        for tensor in tensors:
            scale = int(np.float32(tensor.scale).view(np.int32))
            words += [
                self.CODES[tensor.kind],
                tensor.size,
                scale,
                tensor.zero_point,
            ]
        return np.asarray(words, "<i4").tobytes()

    def run(self, pitch, level, instrument):
        """Returns the controls of every frame, as the stub computes them."""
        gru_in, level_in, instrument_in, pitch_in, conv_in = self.inputs
        conv_out, controls_out, gru_out = self.outputs
        gru, conv = gru_in.store(np.zeros(6)), conv_in.store(np.zeros(3))
        controls = []
        for t in range(len(pitch)):
            p = pitch_in.load(pitch_in.store(pitch[t]))
            q = level_in.load(level_in.store(level[t]))
            who = instrument_in.load(instrument_in.store(instrument[t]))
            before, ring = gru_in.load(gru), conv_in.load(conv)
            step = np.float32(0.01) * np.arange(6, dtype=np.float32)
            after = np.float32(0.8) * before + np.float32(0.2) * p + step
            j = np.arange(106)
            made = (
                np.float32(0.5) * after[j % 6]
                + ring[j % 3]
                + np.float32(0.1) * who[j % 2]
            )
            gru = gru_in.store(gru_out.load(gru_out.store(after)))
            ring = np.concatenate([np.atleast_1d(q), ring[:2]])
            conv = conv_in.store(conv_out.load(conv_out.store(ring)))
            controls.append(controls_out.load(controls_out.store(made)))
        return np.stack(controls)

    def write(self, folder):
        """Writes the five files that a converted model consists of."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model_data.h").write_text(
            "#ifndef MODEL_DATA_H_\n#define MODEL_DATA_H_\n"
            "namespace tf_diet {\n"
            "extern const unsigned char model_data[];\n"
            "extern const unsigned int model_data_length;\n}\n#endif\n"
        )
        data = self.words()
        row = ", ".join(f"0x{byte:02x}" for byte in data)
        (folder / "model_data.cc").write_text(
            '#include "model_data.h"\nnamespace tf_diet {\n'
            f"alignas(16) const unsigned char model_data[] = {{{row}}};\n"
            f"const unsigned int model_data_length = {len(data)};\n}}\n"
        )
        calls = "\n".join(
            f"  if (resolver.{op}() != kTfLiteOk) return kTfLiteError;"
            for op in self.OPS
        )
        (folder / "model_ops.h").write_text(
            '#pragma once\n#include "tensorflow/lite/micro/'
            'micro_mutable_op_resolver.h"\nnamespace tf_diet {\n'
            f"constexpr int kOpCount = {len(self.OPS)};\n"
            "using OpResolver = "
            f"tflite::MicroMutableOpResolver<{len(self.OPS)}>;\n"
            "inline TfLiteStatus RegisterOps(OpResolver& resolver) {\n"
            f"{calls}\n  return kTfLiteOk;\n}}\n}}\n"
        )
        (folder / "model_settings.h").write_text(self.settings_header())
        (folder / "model_settings.json").write_text(json.dumps(self.settings()))
        return folder

    def settings(self):
        def rows(tensors):
            return [
                {
                    "name": tensor.name,
                    "index": index,
                    "size": tensor.size,
                    "shape": [1, tensor.size],
                    "type": tensor.kind,
                    "scale": tensor.scale,
                    "zero_point": tensor.zero_point,
                }
                for index, tensor in enumerate(tensors)
            ]

        return {
            "inputs": rows(self.inputs),
            "outputs": rows(self.outputs),
            "states": [list(pair) for pair in self.states],
            "sample_rate": 16000,
            "hop": 160,
            "arena_bytes": self.arena_bytes,
            "ops": ["CONCATENATION", "FULLY_CONNECTED", "TANH"],
            "harmonics": 40,
            "noise_bands": 65,
            "instruments": 2,
        }

    def settings_header(self):
        def table(name, tensors):
            rows = ",\n".join(
                f'  {{"{t.name}", {i}, {t.size}, k{t.kind.capitalize()}, '
                f"{float(t.scale)!r}f, {t.zero_point}}}"
                for i, t in enumerate(tensors)
            )
            return f"constexpr Tensor {name}[] = {{\n{rows}}};\n"

        states = ", ".join(f"{{{a}, {b}}}" for a, b in self.states)
        numbers = {
            "kInputCount": len(self.inputs),
            "kOutputCount": len(self.outputs),
            "kStateCount": len(self.states),
            "kSampleRate": 16000,
            "kHop": 160,
            "kArenaBytes": self.arena_bytes,
            "kHarmonics": 40,
            "kNoiseBands": 65,
            "kInstruments": 2,
        }
        return (
            "#pragma once\nnamespace tf_diet {\nnamespace settings {\n"
            "enum TensorType { kFloat32, kInt8, kInt16, kInt32 };\n"
            "struct Tensor { const char* name; int index; int size; "
            "TensorType type; float scale; int zero_point; };\n"
            "struct State { int input; int output; };\n"
            + table("kInputs", self.inputs)
            + table("kOutputs", self.outputs)
            + f"constexpr State kStates[] = {{{states or '{0, 0}'}}};\n"
            + "".join(f"constexpr int {k} = {v};\n" for k, v in numbers.items())
            + "}\n}\n"
        )
