# SPDX-License-Identifier: MIT
"""A converted model: its bytes and what can be read out of them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tf_diet import files
from tf_diet.convert import flatbuffer, flatbuffer_writing
from tf_diet.convert.fidelity import Fidelity
from tf_diet.convert.tensor_spec import TensorDetails, state_pairs


@dataclass(frozen=True)
class TFLiteModel:
    """A converted model and all that is needed to run it.

    Everything but the bytes is read out of the bytes: `from_bytes` makes an
    equal object from a file.

    Args:
        data: the content of a `.tflite` file.
        quantize: the name of its quantization.
        inputs: its inputs in index order, states included.
        outputs: its outputs in index order, states included.
        states: for each state its positions among inputs and outputs: what
            comes out must be fed back in.
        frame: time steps in one call, where that is known.
        sample_rate: samples of audio a second, where that is known.
        hop: samples of audio that one call stands for, where that is known.
        latency: by how many time steps the outputs of a step lag behind
            those of the model of whole sequences.
        fidelity: how far it is from Keras, measured when it was converted;
            None for a file of another tool.
    """

    data: bytes = field(repr=False)
    quantize: str
    inputs: tuple[TensorDetails, ...]
    outputs: tuple[TensorDetails, ...]
    states: tuple[tuple[int, int], ...]
    frame: int | None = None
    sample_rate: int | None = None
    hop: int | None = None
    latency: int = 0
    fidelity: Fidelity | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> "TFLiteModel":
        """Reads all that is known of a model out of TFLite bytes.

        An output `x_next` is the next value of the input `x`. What a file of
        another tool does not say is None.

        Raises:
            ConversionError: the bytes are no TFLite model.
        """
        inputs, outputs = flatbuffer.signature(data)
        facts = flatbuffer_writing.facts_of(data)
        kinds = {spec.dtype for spec in inputs}
        name = {"int8": "int8", "int16": "int16x8"}
        quantize = next((name[k] for k in name if k in kinds), "float32")
        told = facts.get("fidelity")
        if told:
            told = Fidelity(**{**told, "clipped": tuple(told["clipped"])})
        steps = facts.get("steps") or {}
        inputs, outputs = (
            tuple(replace(d, steps=steps.get(d.name)) for d in details)
            for details in (inputs, outputs)
        )
        return cls(
            data,
            facts.get("quantize", {}).get("class_name", quantize),
            inputs,
            outputs,
            state_pairs(inputs, outputs),
            facts.get("frame"),
            facts.get("sample_rate"),
            facts.get("hop"),
            facts.get("latency") or 0,
            told,
        )

    def told(self, facts: Mapping[str, Any]) -> "TFLiteModel":
        """Returns the model with more facts about it, kept in its bytes."""
        known = flatbuffer_writing.facts_of(self.data)
        return self.from_bytes(
            flatbuffer_writing.with_facts(self.data, {**known, **facts})
        )

    def for_board(self) -> bytes:
        """Returns the bytes without what only tools on a desk read.

        Names of inner tensors, signatures and facts are up to 40 % of a file.
        """
        return flatbuffer_writing.without_inner_names(self.data)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TFLiteModel":
        """Reads a `.tflite` file."""
        return cls.from_bytes(Path(path).read_bytes())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the bytes to `path` in one move."""
        return files.write_bytes(path, self.data)

    @property
    def ops(self) -> tuple[str, ...]:
        """The kinds of operators in the model, sorted."""
        return tuple(
            sorted({op.name for op in flatbuffer.operations(self.data)})
        )

    def __bytes__(self) -> bytes:
        return self.data

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        def listed(specs: Sequence[TensorDetails], states: set[int]) -> str:
            return ", ".join(
                f"{spec.name}{list(spec.shape)}"
                for spec in specs
                if spec.index not in states
            )

        states = ", ".join(self.inputs[i].name for i, _ in self.states)
        return (
            f"<TFLiteModel {self.quantize}, {len(self.data):,} bytes: "
            f"{listed(self.inputs, {i for i, _ in self.states})} -> "
            f"{listed(self.outputs, {o for _, o in self.states})}"
            f"{', states ' + states if states else ''}>"
        )
