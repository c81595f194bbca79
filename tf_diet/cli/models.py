# SPDX-License-Identifier: MIT
"""Reading the model that a command was given."""

from pathlib import Path
from typing import TYPE_CHECKING

from tf_diet.errors import InputError

if TYPE_CHECKING:
    import keras

SUFFIXES = (".keras", ".h5")
_ADVICE = (
    "Pass a file that model.save('name.keras') wrote; custom layers must be "
    "registered in an importable package."
)


def check_model_file(path: str | Path) -> Path:
    """Returns the path of a model file that is there.

    Before Keras is imported, so that a slip costs no waiting.

    Raises:
        InputError: there is no such file, or it cannot hold a Keras model.
    """
    path = Path(path)
    if path.is_dir():
        inside = sorted(path.glob("*.keras"))
        hint = f" Name a file in it, such as {inside[-1]}." if inside else ""
        raise InputError(
            f"The model cannot be read. Received: {path}, a folder."
            f"{hint or ' ' + _ADVICE}"
        )
    if not path.is_file():
        raise InputError(
            f"The model cannot be read. Received: {path}: no such file. "
            f"{_ADVICE}"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"The model cannot be read. Received: {path}, which is no .keras "
            f"file. {_ADVICE}"
        )
    return path


def load_model(path: str | Path) -> "keras.Model":
    """Reads a `.keras` file.

    Raises:
        InputError: it cannot be read.
    """
    path = check_model_file(path)
    # With it come the layers of our own models.
    from tf_diet.models.trained import read_model

    return read_model(path, _ADVICE)
