# SPDX-License-Identifier: MIT
"""How long one call of a model takes on this machine."""

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert.runtime import LiteRTRunner
from tf_diet.convert.step_runner import StepRunner
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import InputError

_WARM_UP = 20


@dataclass(frozen=True)
class Latency:
    """Times of single calls, on one thread unless the runner has more.

    Args:
        p50_us: median, in microseconds.
        p95_us: 95 in 100 calls are faster.
        p99_us: 99 in 100 calls are faster.
        real_time_factor: the median over the duration of the audio that one
            call makes; below 1 is faster than real time. None where the model
            is not about sound.
        machine: the processor.
        runtime: the interpreter.
    """

    p50_us: float
    p95_us: float
    p99_us: float
    real_time_factor: float | None
    machine: str
    runtime: str

    def __repr__(self) -> str:
        factor = self.real_time_factor
        said = "" if factor is None else f" real-time factor {factor:.4f},"
        return (
            f"<Latency p50 {self.p50_us:.1f}, p95 {self.p95_us:.1f}, p99 "
            f"{self.p99_us:.1f} us,{said} {self.runtime} on {self.machine}>"
        )


def measure(
    runner: StepRunner | TFLiteModel | bytes,
    *,
    runs: int = 1000,
    hop: int | None = None,
    sample_rate: int | None = None,
) -> Latency:
    """Times single calls: inputs set, model run, outputs read.

    States are fed back, and the other inputs change, since some kernels are
    faster on zeros.

    Args:
        runner: what to time; bytes run in LiteRT.
        runs: how many calls, after a few to warm up.
        hop: samples of audio that one call stands for; with `sample_rate` it
            gives the real-time factor.
        sample_rate: samples of audio a second.

    Raises:
        InputError: a number is not above 0.
    """
    for name, value in (
        ("runs", runs),
        ("hop", hop),
        ("sample_rate", sample_rate),
    ):
        if value is not None and value < 1:
            raise InputError(
                f"A latency needs {name} above 0. Received: {value}. Pass "
                "a whole number, such as runs=1000."
            )
    if not isinstance(runner, StepRunner):
        runner = LiteRTRunner(runner)
    times = _times(runner, runs)
    p50, p95, p99 = np.percentile(times, (50, 95, 99)) * 1e6
    return Latency(
        float(p50),
        float(p95),
        float(p99),
        float(p50 * 1e-6 * sample_rate / hop) if hop and sample_rate else None,
        machine(),
        runner.runtime,
    )


def _times(runner: StepRunner, runs: int) -> list[float]:
    calls = [_random_call(runner, seed) for seed in range(8)]
    fed: dict[int, Array] = {}
    times = []
    for number in range(_WARM_UP + runs):
        stored = list(calls[number % len(calls)])
        for source, values in fed.items():
            stored[source] = values
        start = time.perf_counter()
        results = runner.invoke(stored)
        times.append(time.perf_counter() - start)
        fed = {
            source: results[target].reshape(runner.inputs[source].shape)
            for source, target in runner.states
        }
    return times[_WARM_UP:]


def _random_call(runner: StepRunner, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    stored: list[Array] = []
    values: Array
    for details in runner.inputs:
        if details.dtype.startswith("float"):
            values = rng.standard_normal(details.shape)
        elif details.scale:
            values = rng.uniform(-100, 100, details.shape) * details.scale
        else:
            values = rng.integers(0, 2, details.shape)
        stored.append(details.encode(values))
    return stored


def machine() -> str:
    """Returns the name of this machine's processor."""
    names = Path("/proc/cpuinfo")
    if names.is_file():
        for line in names.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return f"{value.strip()} ({platform.machine()})"
    return platform.processor() or platform.machine()
