# SPDX-License-Identifier: MIT
"""Latencies are those of the runner that is timed."""

import time

import keras
import pytest

from tf_diet.boards.latency import machine, measure
from tf_diet.convert.runtime import MicroRunner
from tf_diet.convert.step_runner import StepRunner
from tf_diet.convert.tensor_spec import TensorDetails
from tf_diet.errors import InputError


class Slow(StepRunner):
    """Takes a millisecond, ten in every twentieth call, and checks states."""

    runtime = "sleep"

    def __init__(self):
        self.calls = 0
        details = [TensorDetails(n, i, (1, 2)) for i, n in enumerate("xs")]
        after = [TensorDetails("s_next", 0, (1, 2))]
        super().__init__(details, after)

    def invoke(self, stored):
        if self.calls:
            assert stored[1].tolist() == [[self.calls, self.calls]]
        self.calls += 1
        time.sleep(0.01 if self.calls % 20 == 0 else 0.001)
        return [stored[1] * 0 + self.calls]


def test_percentiles_and_real_time_factor():
    runner = Slow()
    found = measure(runner, runs=100, hop=160, sample_rate=16000)
    assert runner.calls > 100
    assert 1000 <= found.p50_us < 6000
    assert found.p99_us >= 10000
    assert found.p50_us <= found.p95_us <= found.p99_us
    # 160 samples at 16 kHz last 10 ms.
    assert found.real_time_factor == pytest.approx(found.p50_us / 10000)
    assert found.runtime == "sleep"
    assert found.machine == machine() != ""
    assert "sleep" in repr(found)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
def test_bytes_and_runners(dense):
    lite = dense["int16x8"]
    figures = {"runs": 50, "hop": 160, "sample_rate": 16000}
    assert measure(lite.data, **figures).runtime == "LiteRT"
    found = measure(MicroRunner(lite), **figures)
    assert found.runtime == "TFLite Micro"
    assert 0 < found.p50_us < 1e5


@pytest.mark.parametrize("name", ["runs", "hop", "sample_rate"])
def test_bad_numbers(name):
    figures = {"runs": 1, "hop": 1, "sample_rate": 1, name: 0}
    with pytest.raises(InputError, match=f"{name} above 0. Received: 0"):
        measure(Slow(), **figures)
