# SPDX-License-Identifier: MIT
"""What a converted model needs: bytes, operations, memory, time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tf_diet.boards.latency import Latency, measure
from tf_diet.convert import audio_rate, flatbuffer
from tf_diet.convert.arithmetic import Products, by_arithmetic, products
from tf_diet.convert.board_arena import board_arena
from tf_diet.convert.operators import LIBRARIES, per_channel_dense
from tf_diet.convert.runs_on_micro import check_runs
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
        products: the multiply-accumulates by the arithmetic that they are
            done in.
        hop: samples of audio that one call stands for; None where the model
            is not about sound.
        sample_rate: samples of audio a second, or None.
        board_arena_bytes: a bound on the arena of a board with 32-bit
            pointers, by its library; "" stands for unknown ones.
        board_bytes: size of the model as it is written for a board, without
            names of inner tensors.
        per_channel_dense: whether integer matrix products have a scale for
            each channel, which the oldest library cannot apply.
    """

    quantize: str
    bytes: int
    parameters: int
    multiply_accumulates: int
    ops: Mapping[str, int]
    latency: Latency
    arena_bytes: int | None
    micro_problem: str = ""
    products: tuple[Products, ...] = ()
    hop: int | None = None
    sample_rate: int | None = None
    board_arena_bytes: Mapping[str, int] = field(default_factory=dict)
    board_bytes: int | None = None
    per_channel_dense: bool = False

    @property
    def work(self) -> tuple[Products, ...]:
        """The products by arithmetic; one kind where only a sum is known."""
        known = self.quantize in ("int8", "int16x8")
        arithmetic = self.quantize if known else "float32"
        return self.products or (
            Products(arithmetic, "dense", self.multiply_accumulates),
        )

    @property
    def n_ops(self) -> int:
        """How many operators one call runs."""
        return sum(self.ops.values())

    def __repr__(self) -> str:
        ops = ", ".join(f"{count} {name}" for name, count in self.ops.items())
        board = self.board_arena_bytes.get("")
        arena = (
            f"{self.arena_bytes:,} bytes here"
            + (f", at most {board:,} on a board" if board else "")
            if self.arena_bytes is not None
            else f"cannot run: {self.micro_problem}"
        )
        kinds = ", ".join(
            f"{count:,} {name}"
            for name, count in by_arithmetic(self.work).items()
        )
        factor = self.latency.real_time_factor
        rows = [
            ("stored as", self.quantize),
            ("file", f"{self.bytes:,} bytes"),
            ("parameters", f"{self.parameters:,}"),
            (
                "multiply-accumulates",
                f"{self.multiply_accumulates:,} a call: {kinds}",
            ),
            ("operators", f"{self.n_ops}: {ops}"),
            ("TFLite Micro arena", arena),
            ("latency", f"{self.latency.p50_us:.1f} us a call (median)"),
            ("measured with", f"{self.latency.runtime}"),
            ("measured on", f"{self.latency.machine}"),
        ]
        if factor is not None:
            rows.insert(-2, ("real-time factor", f"{factor:.4f}"))
        return "\n".join(f"{name:<22}{value}" for name, value in rows)


def profile(
    model: StreamingModel | TFLiteModel | bytes,
    *,
    runs: int = 1000,
    hop: int | None = None,
    sample_rate: int | None = None,
) -> Profile:
    """Measures what a model needs.

    A real-time factor is given where a call stands for some sound: the model
    says so, or `hop` and `sample_rate` do.

    Args:
        model: a converted model or its bytes, or a step model, which is
            converted to float32 first.
        runs: timed calls.
        hop: samples of audio that one call stands for; the model's own when
            left out.
        sample_rate: samples of audio a second; the model's own when left
            out.

    Raises:
        InputError: the model is of another kind.
        ConversionError: it cannot be converted or run.
    """
    source = model
    if isinstance(model, StreamingModel):
        model = to_tflite(model)
    elif isinstance(model, bytes):
        model = TFLiteModel.from_bytes(model)
    if not isinstance(model, TFLiteModel):
        raise InputError(
            "Only a converted model can be profiled. Received: "
            f"{type(model).__name__}. Pass to_tflite(to_streaming(model))."
        )
    step, rate = audio_rate.of_model(
        source if isinstance(source, StreamingModel) else model,
        hop,
        sample_rate,
    )
    work = products(model.data)
    counts = Counter(op.name for op in flatbuffer.operations(model.data))
    arena, problem = _arena(model)
    return Profile(
        quantize=model.quantize,
        bytes=len(model.data),
        parameters=flatbuffer.constants(model.data),
        multiply_accumulates=sum(found.count for found in work),
        ops=dict(sorted(counts.items())),
        latency=measure(
            LiteRTRunner(model), runs=runs, hop=step, sample_rate=rate
        ),
        arena_bytes=arena,
        micro_problem=problem,
        products=work,
        hop=step,
        sample_rate=rate,
        board_arena_bytes=(
            {}
            if arena is None
            else {
                library: board_arena(model.data, library)
                for library in ("", *LIBRARIES)
            }
        ),
        board_bytes=len(model.for_board()),
        per_channel_dense=per_channel_dense(model.data),
    )


def _arena(model: TFLiteModel) -> tuple[int | None, str]:
    try:
        check_runs(model)
        return MicroRunner(model).arena_bytes, ""
    except ConversionError as error:
        return None, str(error)
