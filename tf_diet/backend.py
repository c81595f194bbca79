# SPDX-License-Identifier: MIT
"""Which backend Keras runs on, and what is said where there is none.

And how TensorFlow is kept from telling its own story on standard error.
"""

import importlib.abc
import importlib.util
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tf_diet.errors import MissingDependencyError

# In the order of preference; the extras bear the same names.
BACKENDS = ("tensorflow", "jax")
_QUIET = "TF_DIET_QUIET_TENSORFLOW"
_LOG_LINES = re.compile(
    rb"^(?:[IWE]\d{4} |WARNING: All log messages before absl|"
    rb"To enable the following instructions).*\n?",
    re.MULTILINE,
)


def choose() -> None:
    """Lets Keras take the backend that is installed, if it was told none.

    Keras takes TensorFlow where neither KERAS_BACKEND nor its configuration
    file names another, and fails where that is not installed: with
    `pip install 'tf_diet[jax]'`, for one.
    """
    if os.environ.get(_QUIET):
        silence()
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    installed = [name for name in BACKENDS if _is_installed(name)]
    if installed and _configured() not in (*installed, "torch", "openvino"):
        os.environ["KERAS_BACKEND"] = installed[0]


def silence() -> None:
    """Keeps log lines of TensorFlow's C++ off standard error.

    Here and in worker processes, which inherit the environment. What
    TensorFlow 2.21 logs while its libraries are loaded heeds no setting
    (TF_CPP_MIN_LOG_LEVEL is read too late), so that those lines are dropped
    from what the import writes.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ[_QUIET] = "1"
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as usual, and loads it without its log lines."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        others = [f for f in sys.meta_path if not isinstance(f, _Finder)]
        specs = (f.find_spec(fullname, path, target) for f in others)
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Whoever asks the module for its loader gets the true one.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        with _without_log_lines():
            self.loader.exec_module(module)


@contextmanager
def _without_log_lines() -> Iterator[None]:
    """Holds what is written to file descriptor 2, and hands the rest on."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            os.write(2, _LOG_LINES.sub(b"", file.read()))


def explain(error: ModuleNotFoundError) -> None:
    """Says what to install where Keras or its backend was not found.

    Raises:
        MissingDependencyError: the error is about that.
    """
    if error.name not in ("keras", *BACKENDS):
        return
    wanted = os.environ.get("KERAS_BACKEND") or _configured()
    raise MissingDependencyError(
        "tf_diet needs Keras and one of its backends, which cannot be "
        f"imported. Received: {error} (Keras is set to {wanted!r}). Run: pip "
        "install 'tf_diet[tensorflow]', or pip install 'tf_diet[jax]' and set "
        "KERAS_BACKEND=jax."
    ) from error


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _configured() -> str:
    """Returns what Keras' configuration file names; its default if none."""
    home = os.environ.get("KERAS_HOME")
    folder = Path(home) if home else Path.home() / ".keras"
    try:
        found = json.loads((folder / "keras.json").read_text("utf-8"))
        return str(found.get("backend", BACKENDS[0]))
    except (OSError, ValueError, AttributeError, RuntimeError):
        return BACKENDS[0]
