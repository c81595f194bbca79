# SPDX-License-Identifier: MIT
"""The Raspberry Pi script: one file, two packages, honest figures."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tf_diet.convert.tflite import to_tflite

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "examples/raspberry_pi/measure_latency.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("measure_latency", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An accumulator: total_next = total + pitch, controls = total_next."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("converts with TensorFlow")
    total = keras.Input((4,), batch_size=1, name="total")
    pitch = keras.Input((4,), batch_size=1, name="pitch")
    after = keras.layers.Add(name="total_next")([total, pitch])
    controls = keras.layers.Rescaling(2.0, name="controls")(after)
    step = keras.Model(
        {"total": total, "pitch": pitch},
        {"controls": controls, "total_next": after},
    )
    lite = to_tflite(step)
    assert lite.states
    return lite.save(tmp_path_factory.mktemp("model") / "step.tflite")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_imports_nothing_but_numpy_and_a_runtime():
    names = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    assert names - set(sys.stdlib_module_names) == {"numpy"}


def test_figures_are_written_and_ordered(model, tmp_path):
    path = tmp_path / "out.json"
    done = run(
        *(model, "--runs", 200, "--hop", 64, "--sample-rate", 32000),
        *("--json", path),
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    assert (
        0
        < figures["invoke_p50_us"]
        <= figures["p50_us"]
        <= figures["p95_us"]
        <= figures["p99_us"]
        <= figures["max_us"]
    )
    assert figures["frame_us"] == 2000
    assert figures["real_time_factor"] == pytest.approx(
        figures["p50_us"] / 2000
    )
    assert figures["times_real_time"] == pytest.approx(
        1 / figures["real_time_factor"]
    )
    assert figures["states"] == 1
    assert figures["runs"] == 200
    assert figures["model_bytes"] == model.stat().st_size
    for key in ("machine", "system", "runtime", "runtime_version"):
        assert figures[key]
    assert "keeps up" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_settings_give_hop_rate_and_states(model, tmp_path):
    settings = tmp_path / "model_settings.json"
    settings.write_text(
        json.dumps({"states": [], "hop": 80, "sample_rate": 8000})
    )
    path = tmp_path / "out.json"
    done = run(model, "--runs", 5, "--settings", settings, "--json", path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    assert (figures["hop"], figures["sample_rate"]) == (80, 8000)
    assert figures["states"] == 0


class Accumulator:
    """An interpreter with int8 tensors whose state scales differ."""

    def __init__(self):
        self.tensors, self.totals = {}, []
        self.inputs = [
            self.details("total", 0, (0.5, 3)),
            self.details("pitch", 1, (0.01, 0)),
        ]
        self.outputs = [
            self.details("controls", 2, (1.0, 0)),
            self.details("total_next", 3, (0.25, -7)),
        ]

    def details(self, name, index, quantization):
        return {
            "name": name,
            "index": index,
            "shape": np.array([1, 1]),
            "dtype": np.int8,
            "quantization": quantization,
        }

    def get_input_details(self):
        return self.inputs

    def get_output_details(self):
        return self.outputs

    def set_tensor(self, index, values):
        assert values.dtype == np.int8
        assert values.shape == (1, 1)
        self.tensors[index] = values

    def get_tensor(self, index):
        return self.tensors[index]

    def invoke(self):
        total = (float(self.tensors[0][0, 0]) - 3) * 0.5
        self.totals.append(total)
        after = np.full((1, 1), (total + 1) % 20 / 0.25 - 7)
        self.tensors[2] = after.astype(np.int8)
        self.tensors[3] = after.astype(np.int8)


def test_states_are_fed_back_in_their_own_scale(script):
    interpreter = Accumulator()
    states = script.find_states(interpreter.inputs, interpreter.outputs, None)
    assert states == [(0, 1)]
    calls, alone = script.measure(interpreter, states, 30)
    assert len(calls) == len(alone) == 30
    assert interpreter.totals == [
        float(n % 20) for n in range(script.WARM_UP + 30)
    ]


def test_help_teaches():
    done = run("--help")
    assert done.returncode == 0
    for words in ("real_time_factor =", "pip install", "Example:", "--hop"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.tflite"], "no such model file. Received: nowhere.tflite"),
        ([str(SCRIPT)], "cannot be run"),
        (["MODEL", "--settings", str(SCRIPT)], "settings cannot be read"),
        (["MODEL", "--runs", "0"], "whole number above 0. Received: '0'"),
        (["MODEL", "--json", "/nowhere/out.json"], "/nowhere/out.json"),
    ],
)
def test_bad_input_gets_one_line(arguments, words, model):
    done = run(*(model if word == "MODEL" else word for word in arguments))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_of_another_model_are_refused(model, tmp_path):
    settings = tmp_path / "model_settings.json"
    settings.write_text(json.dumps({"states": [[0, 7]]}))
    done = run(model, "--settings", settings)
    assert done.returncode == 2
    assert "does not fit the model" in done.stderr


def test_without_a_runtime_the_pip_line_is_given(script, model, monkeypatch):
    monkeypatch.setattr(script, "RUNTIMES", {"ai-edge-litert": "no_such"})
    with pytest.raises(script.UsageError, match="pip install ai-edge-litert"):
        script.load(str(model), 1)
