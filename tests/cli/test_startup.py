# SPDX-License-Identifier: MIT
"""What a command imports before it has work to do, and what it costs."""

import json
import os
import resource
import subprocess
import sys

import pytest

from tf_diet.cli import app

HEAVY = {
    *("keras", "tensorflow", "jax", "numpy", "scipy", "numba", "librosa"),
    *("matplotlib", "h5py", "ai_edge_litert", "tflite_micro", "ray"),
}
COMMANDS = [
    module.__name__.rpartition(".")[2].replace("_", "-")
    for module in app.COMMANDS
]
# Runs a command line and says which modules are there afterwards.
SCRIPT = """
import contextlib, io, json, sys
from tf_diet.cli import app
out = io.StringIO()
code = 0
with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
    try:
        code = app.main(app.parse(["tf-diet", *sys.argv[1:]]))
    except SystemExit as end:
        code = end.code
names = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps([code, out.getvalue(), names]))
"""


def started(*words):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, text, modules = json.loads(done.stdout)
    return code, text, HEAVY & set(modules)


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"settings": {}}))
    line = {
        "round": 0,
        "parameters": 1000,
        "weights_left": 1.0,
        "flops": 2000,
        "disk_bytes": 5000,
        "ram_bytes": 100,
        "validation_error": 0.5,
        "test_error": None,
        "error_multiplier": 1.0,
    }
    lines = [line, line | {"round": 1, "parameters": 700, "weights_left": 0.7}]
    text = "".join(json.dumps(row) + "\n" for row in lines)
    (folder / "rounds.jsonl").write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(command):
    code, text, heavy = started(command, "--help")
    assert (code, heavy) == (0, set())
    assert f"usage: tf-diet {command}" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--help"], "commands:"),
        (["--version"], "tf-diet 0."),
        (["profile", "--boards"], "nano-33-ble"),
        (["profile", "--boards", "--json", "-"], '"name": "nano-33-ble"'),
        # Slips are told at once too.
        (["prune", "nowhere.keras", "--rate", "0.5"], "no such file"),
        (["prune", __file__, "--rate", "0.5"], "no .keras file"),
        (["inspect", "."], "a folder"),
        (["convert", "nowhere.keras", "-o", "x"], "no such file"),
        (["profile", "nowhere.tflite"], "no such file"),
        (["profile", "x.tflite", "--board", "nano"], "nano-33-ble"),
        (["lottery", "nowhere.py:build", "-o", "x"], "no such file"),
        (["sweep", "nowhere.yaml"], "cannot be read"),
        (["generate", "run", "--notes", "C4", "-o", "x.doc"], ".flac"),
        (["runs", "."], "no run here"),
    ],
)
def test_what_needs_no_model_imports_nothing_heavy(words, message):
    code, text, heavy = started(*words)
    assert message in text
    assert heavy == set()
    assert code == (2 if "tf-diet: " in text else 0)


def test_runs_are_listed_without_keras(run_folder, tmp_path):
    for folder in (run_folder, run_folder.parent):
        code, text, heavy = started("runs", folder, "--json", tmp_path / "j")
        assert (code, heavy) == (0, set())
        assert "parameters" in text
        assert "70.0%" in text
    (found,) = json.loads((tmp_path / "j").read_text())
    assert [row["parameters"] for row in found["rounds"]] == [1000, 700]
    assert found["best"]["round"] == 1
    (run_folder / "round_01.keras").write_bytes(b"a model")
    out = tmp_path / "best.keras"
    code, _, heavy = started("runs", run_folder, "--best", "-o", out)
    assert (code, heavy) == (0, set())
    assert out.read_bytes() == b"a model"


def test_the_command_starts_at_once():
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(
            after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        )
    assert min(seconds) < 0.5
