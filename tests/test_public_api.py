# SPDX-License-Identifier: MIT
"""The front door: complete, documented, sorted, and light."""

import inspect
import os
import subprocess
import sys

import pytest

import tf_diet


def test_all_is_sorted_and_complete():
    assert tf_diet.__all__ == sorted(tf_diet.__all__)
    public = {
        name
        for name, value in vars(tf_diet).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(tf_diet.__all__)


@pytest.mark.parametrize("name", tf_diet.__all__)
def test_documented(name):
    thing = getattr(tf_diet, name)
    assert inspect.getdoc(thing)
    if inspect.isfunction(thing) and not name.startswith("register"):
        assert "Args:" in inspect.getdoc(thing) or "see" in thing.__doc__
        hints = thing.__annotations__
        assert "return" in hints


def test_import_brings_no_tensorflow_of_its_own():
    script = (
        "import sys, tf_diet; "
        "print([m for m in ('tensorflow', 'librosa', 'tflite_micro', "
        "'ai_edge_litert') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
