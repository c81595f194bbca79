# SPDX-License-Identifier: MIT
"""Which backend Keras runs on, and what to say where there is none."""

import importlib.util
import json
import os
import sys
from pathlib import Path

from tf_diet.errors import MissingDependencyError

# In the order of preference; the extras bear the same names.
BACKENDS = ("tensorflow", "jax")


def choose() -> None:
    """Lets Keras take the backend that is installed, if it was told none.

    Keras takes TensorFlow where neither KERAS_BACKEND nor its configuration
    file names another, and fails where that is not installed: with
    `pip install 'tf_diet[jax]'`, for one.
    """
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    installed = [name for name in BACKENDS if _is_installed(name)]
    if installed and _configured() not in (*installed, "torch", "openvino"):
        os.environ["KERAS_BACKEND"] = installed[0]


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
