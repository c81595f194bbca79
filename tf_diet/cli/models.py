# SPDX-License-Identifier: MIT
"""Reading the model that a command was given."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_diet.cli.parsing import add_list
from tf_diet.errors import InputError
from tf_diet.lottery.build_functions import imported

if TYPE_CHECKING:
    import keras

SUFFIXES = (".keras", ".h5")
_ADVICE = (
    "Pass a file that model.save('name.keras') wrote, and name the module of "
    "custom layers and functions with --import."
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


def add_import(parser: Any) -> None:
    """Adds `--import`, for layers that are not Keras' own.

    Args:
        parser: of a command that reads a model.
    """
    add_list(
        parser,
        "--import",
        metavar="MODULE",
        help="import this first: a FILE.py or package.module in which the "
        "model's own layers and functions are registered with "
        "keras.saving.register_keras_serializable",
    )


def load_model(
    path: str | Path, args: Any = None, *, compiled: bool = False
) -> "keras.Model":
    """Reads a `.keras` file.

    Args:
        path: of the file.
        args: of the command, with what `add_import` adds.
        compiled: with its loss, where that can be read.

    Raises:
        InputError: it cannot be read, or a module is not there.
    """
    path = check_model_file(path)
    for where in getattr(args, "import", None) or ():
        imported(where)
    # With it come the layers of our own models.
    from tf_diet.models.trained import read_model

    return read_model(path, _ADVICE, compiled=compiled)
