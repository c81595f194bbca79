# SPDX-License-Identifier: MIT
"""What `--data` may be, the same for every command, and how it is read."""

import os
import zipfile
from pathlib import Path
from typing import Any

from tf_diet.errors import InputError
from tf_diet.lottery.build_functions import named_function

FORMS = (
    "an .npz file with the array y and either x or one array for each named "
    "input; an .npy file with the inputs alone; FILE.py:FUNCTION or "
    "package.module:function, which is called and returns data as Keras' fit "
    "takes it; or a folder of sounds"
)
_ARRAYS = (".npz", ".npy")


def add_data(parser: Any, what: str, *, required: bool = False) -> None:
    """Adds `--data`.

    Args:
        parser: or a group of one.
        what: the command does with it, and which forms it takes.
        required: whether it has to be given.
    """
    parser.add_argument("--data", metavar="DATA", required=required, help=what)


def read_data(word: str, model: str | os.PathLike[str]) -> Any:
    """Returns data to look at a model with.

    Args:
        word: see `FORMS`.
        model: the path of the model. Sounds are made into inputs and targets
            as `tf-diet train` does, which needs its `config.json` beside the
            model.

    Returns:
        `(x, y)` from files and folders, `y` None where there is none and `x`
        a dict by name where it has several arrays; what a function returns.

    Raises:
        InputError: it cannot be read, or holds no inputs.
    """
    path = Path(word)
    if path.is_dir():
        return _sounds(path, Path(model))
    if path.suffix.lower() in _ARRAYS:
        return _arrays(path)
    if _is_function(word):
        return named_function(word)()
    raise InputError(
        f"The data cannot be read. Received: --data {word}"
        f"{'' if path.exists() else ', which is not there'}. Pass {FORMS}."
    )


def read_sounds(word: str) -> Any:
    """Returns the sounds to train on or to measure with.

    Args:
        word: a folder of sounds, or a function that returns the path of one
            or a `tf_diet.audio.sources.Source`.

    Raises:
        InputError: it is another form of data, or holds no sounds.
    """
    from tf_diet.audio.sources import read_source

    path = Path(word)
    if path.suffix.lower() in _ARRAYS and not path.is_dir():
        raise InputError(
            "This command takes sounds. Received: --data "
            f"{word}, a file of arrays. Pass a folder of audio files, or a "
            "function that returns the path of one; 'tf-diet prune' and "
            "'tf-diet convert' take arrays."
        )
    found = word
    if not path.is_dir() and _is_function(word):
        found = named_function(word)()
    if isinstance(found, str | os.PathLike):
        return read_source(found)
    return found


def _is_function(word: str) -> bool:
    where, _, name = word.rpartition(":")
    # One letter in front of the colon is a drive of Windows.
    return len(where) > 1 and name.isidentifier()


def _arrays(path: Path) -> tuple[Any, Any]:
    import numpy as np

    try:
        # A path would stay open where an archive is cut short.
        with path.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            if isinstance(held, np.ndarray):
                return held, None
            arrays = {name: held[name] for name in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"The calibration data cannot be read. Received: {path}: {error}. "
            f"Pass {FORMS}."
        ) from error
    y = arrays.pop("y", None)
    if not arrays:
        raise InputError(
            f"The calibration data holds no inputs. Received: {path} with "
            f"{'nothing but y' if y is not None else 'no array'}. Add x, or "
            "one array for each named input."
        )
    return (arrays["x"] if list(arrays) == ["x"] else arrays), y


def _sounds(folder: Path, model: Path) -> tuple[Any, Any]:
    """Returns inputs and targets of the clips that a model was trained on.

    Raises:
        InputError: nothing says how the model looks at sounds.
    """
    if not (model.parent / "config.json").is_file():
        raise InputError(
            "Sounds can calibrate a model only in the folder that 'tf-diet "
            "train' made, whose config.json says how it looks at them. "
            f"Received: --data {folder} for {model}. Move the model there, or "
            "pass an .npz file or a function that returns its inputs and "
            "targets."
        )
    from tf_diet.models.trained import Trained

    trained = Trained.load(model.parent, model)
    clips = trained.parts(read_sounds(str(folder)))["train"]
    return trained.family.whole(trained.config, clips)
