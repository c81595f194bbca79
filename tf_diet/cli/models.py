# SPDX-License-Identifier: MIT
"""Reading models and data that a command was given."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet.errors import InputError

# With it come the layers of our own models.
from tf_diet.models.trained import read_model


def load_model(path: str | Path) -> keras.Model:
    """Reads a `.keras` file.

    Raises:
        InputError: it cannot be read.
    """
    return read_model(
        path,
        "Pass a file that model.save('name.keras') wrote; custom layers must "
        "be registered in an importable package.",
    )


def load_data(path: str | Path) -> tuple[Any, Any]:
    """Reads calibration data from an `.npz` file.

    The file holds `y` and either `x` or one array for each named input.

    Returns:
        Inputs, an array or a dict by name, and targets or None.

    Raises:
        InputError: it cannot be read or holds no inputs.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise InputError(
            f"The calibration data cannot be read. Received: {path}: {error}. "
            "Pass an .npz file that numpy.savez wrote, with x and y."
        ) from error
    y = arrays.pop("y", None)
    if not arrays:
        raise InputError(
            f"The calibration data holds no inputs. Received: {path} with "
            "nothing but y. Add x, or one array for each named input."
        )
    return (arrays["x"] if list(arrays) == ["x"] else arrays), y
