# SPDX-License-Identifier: MIT
"""Each example runs as a user would run it."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(name, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_prune_your_model(tmp_path):
    text = run("prune_your_model.py", "--epochs", "1", cwd=tmp_path)
    assert "memory" in text
    small = keras.models.load_model(tmp_path / "small.keras")
    before, after = re.search(
        r"([\d,]+) -> ([\d,]+) parameters,", text
    ).groups()
    assert int(after.replace(",", "")) == small.count_params()
    assert 2 * small.count_params() <= int(before.replace(",", ""))


def test_custom_layer_rule(tmp_path):
    text = run("custom_layer_rule.py", cwd=tmp_path)
    assert "without a rule: gain pins 32 units" in text
    before, after = re.search(r"with it: (\d+) -> (\d+)", text).groups()
    assert int(after) <= int(before) / 2


def test_readme_example_runs(tmp_path):
    text = (ROOT / "README.md").read_text("utf-8")
    # The blocks after it go on from there; test_docs runs them all.
    code, *_ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint(small.count_params())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "removes 5" in done.stdout
