# SPDX-License-Identifier: MIT
"""The front doors: complete, documented, true, and light."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import tf_diet

ROOT = Path(__file__).parents[1]
STUBS = sorted((ROOT / "tf_diet").rglob("__init__.pyi"))
# The models stand in no stub: importing them registers their layers.
PACKAGES = [
    *(".".join(p.parent.relative_to(ROOT).parts) for p in STUBS),
    "tf_diet.models",
]
EXPORTED = [
    (package, name)
    for package in PACKAGES
    for name in importlib.import_module(package).__all__
]
# What a message, a docstring or a page may call a part of the package.
MENTIONED = re.compile(r"\btf_diet(?:\.[A-Za-z_]\w*)+")


@pytest.mark.parametrize(("package", "name"), EXPORTED)
def test_what_is_exported_is_there_and_documented(package, name):
    thing = getattr(importlib.import_module(package), name)
    assert inspect.getdoc(thing) or get_args(thing)
    if inspect.isfunction(thing) and thing.__module__.startswith("tf_diet"):
        assert "Args:" in inspect.getdoc(thing) or not (
            inspect.signature(thing).parameters
        )
        assert "return" in thing.__annotations__


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_bears_the_name_of_an_export(package):
    folder = ROOT.joinpath(*package.split("."))
    modules = {p.stem for p in folder.iterdir() if p.name != "__init__.py"}
    for name in importlib.import_module(package).__all__:
        if not inspect.ismodule(
            getattr(importlib.import_module(package), name)
        ):
            assert name not in modules


def sources():
    for folder, pattern in (
        ("tf_diet", "*.py"),
        ("docs", "*.md"),
        ("examples", "*.py"),
        ("micro", "*.md"),
    ):
        yield from sorted((ROOT / folder).rglob(pattern))
    yield ROOT / "README.md"


def resolve(dotted):
    """Follows a dotted name as far as Python can."""
    thing = tf_diet
    path = "tf_diet"
    for part in dotted.split(".")[1:]:
        path += f".{part}"
        if not hasattr(thing, part):
            importlib.import_module(path)
        thing = getattr(thing, part)
    return thing


def test_every_name_that_is_mentioned_is_there():
    wrong = {}
    for path in sources():
        for name in set(MENTIONED.findall(path.read_text("utf-8"))):
            try:
                resolve(name)
            except (AttributeError, ImportError):
                wrong.setdefault(name, str(path.relative_to(ROOT)))
    assert wrong == {}


def python(script, **environment):
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


HEAVY = (
    "[m for m in ('keras', 'tensorflow', 'librosa', 'numba', 'scipy', "
    "'tflite_micro', 'ai_edge_litert') if m in sys.modules]"
)


def test_import_is_light():
    assert python(f"import sys, tf_diet; print({HEAVY})") == "[]"


@pytest.mark.slow
def test_the_core_brings_no_tensorflow_of_its_own():
    found = python(
        f"import sys, tf_diet; tf_diet.prune; tf_diet.LotteryDiet;"
        f"print({HEAVY})",
        KERAS_BACKEND="jax",
    )
    assert "tensorflow" not in found
    assert "librosa" not in found


# Stands in for an environment without these packages.
WITHOUT = """
import importlib.abc, importlib.util, sys
gone = {gone!r}
class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in gone:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Gone())
find = importlib.util.find_spec
importlib.util.find_spec = (
    lambda name, package=None: None if name in gone else find(name, package)
)
"""


def test_without_a_backend_one_message_says_what_to_install(tmp_path):
    script = WITHOUT.format(gone={"tensorflow", "jax", "torch"}) + (
        "import tf_diet\n"
        "try:\n    tf_diet.prune\n"
        "except tf_diet.MissingDependencyError as error:\n    print(error)\n"
    )
    said = python(script, KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert "pip install 'tf_diet[tensorflow]'" in said
    assert "pip install 'tf_diet[jax]'" in said


@pytest.mark.slow
def test_jax_is_taken_where_it_alone_is_installed(tmp_path):
    script = WITHOUT.format(gone={"tensorflow"}) + (
        "import tf_diet; tf_diet.prune; import keras;"
        "print(keras.backend.backend())"
    )
    environment = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    assert python(script, **environment) == "jax"
