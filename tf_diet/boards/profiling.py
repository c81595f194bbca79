# SPDX-License-Identifier: MIT
"""What a converted model needs: bytes, operations, memory, time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tf_diet.boards.latency import Latency, measure
from tf_diet.convert import flatbuffer
from tf_diet.convert.runtime import LiteRTRunner, MicroRunner
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite import to_tflite
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError, InputError


@dataclass(frozen=True)
class Profile:
    """What one call of a model costs.

    Args:
        quantize: how its numbers are stored.
        bytes: size of the `.tflite` file.
        parameters: stored numbers, biases and other constants included.
        multiply_accumulates: products of matrix products and convolutions.
        ops: how often each operator is there.
        latency: on this machine in LiteRT.
        arena_bytes: memory for tensors in TFLite Micro; None where that
            cannot run the model.
        micro_problem: why it cannot, else "".
    """

    quantize: str
    bytes: int
    parameters: int
    multiply_accumulates: int
    ops: Mapping[str, int]
    latency: Latency
    arena_bytes: int | None
    micro_problem: str = ""

    @property
    def n_ops(self) -> int:
        """How many operators one call runs."""
        return sum(self.ops.values())

    def __repr__(self) -> str:
        ops = ", ".join(f"{count} {name}" for name, count in self.ops.items())
        arena = (
            f"{self.arena_bytes:,} bytes"
            if self.arena_bytes is not None
            else f"cannot run: {self.micro_problem}"
        )
        rows = (
            ("stored as", self.quantize),
            ("file", f"{self.bytes:,} bytes"),
            ("parameters", f"{self.parameters:,}"),
            ("multiply-accumulates", f"{self.multiply_accumulates:,} a call"),
            ("operators", f"{self.n_ops}: {ops}"),
            ("TFLite Micro arena", arena),
            ("latency", f"{self.latency.p50_us:.1f} us a call (median)"),
            ("real-time factor", f"{self.latency.real_time_factor:.4f}"),
            ("measured with", f"{self.latency.runtime}"),
            ("measured on", f"{self.latency.machine}"),
        )
        return "\n".join(f"{name:<22}{value}" for name, value in rows)


def profile(
    model: StreamingModel | TFLiteModel | bytes,
    *,
    runs: int = 1000,
    hop: int = 160,
    sample_rate: int | None = None,
) -> Profile:
    """Measures what a model needs.

    Args:
        model: a converted model or its bytes, or a step model, which is
            converted to float32 first.
        runs: timed calls.
        hop: samples of audio that one call stands for.
        sample_rate: samples of audio a second; that of the step model, else
            16,000, when left out.

    Raises:
        InputError: the model is of another kind.
        ConversionError: it cannot be converted or run.
    """
    rate = sample_rate
    if isinstance(model, StreamingModel):
        rate = rate or model.sample_rate
        model = to_tflite(model)
    elif isinstance(model, bytes):
        model = TFLiteModel.from_bytes(model)
    if not isinstance(model, TFLiteModel):
        raise InputError(
            "Only a converted model can be profiled. Received: "
            f"{type(model).__name__}. Pass to_tflite(to_streaming(model))."
        )
    counts = Counter(op.name for op in flatbuffer.operations(model.data))
    arena, problem = _arena(model)
    return Profile(
        quantize=model.quantize,
        bytes=len(model.data),
        parameters=flatbuffer.constants(model.data),
        multiply_accumulates=flatbuffer.multiply_accumulates(model.data),
        ops=dict(sorted(counts.items())),
        latency=measure(
            LiteRTRunner(model),
            runs=runs,
            hop=hop,
            sample_rate=rate or 16000,
        ),
        arena_bytes=arena,
        micro_problem=problem,
    )


def _arena(model: TFLiteModel) -> tuple[int | None, str]:
    try:
        return MicroRunner(model).arena_bytes, ""
    except ConversionError as error:
        return None, str(error)
