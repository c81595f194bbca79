# SPDX-License-Identifier: MIT
"""A function of the user's, named in a text, that says what to train."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tf_diet.errors import InputError

_NEEDED: tuple[str, ...] = ("model", "x", "validation_data", "epochs")


def built(name: str, seed: int) -> dict[str, Any]:
    """Calls the user's function and returns what it gives.

    Args:
        name: `my_net.py:build` or `package.module:build`.
        seed: of all that the function draws; handed to it too where it has
            an argument of that name.

    Returns:
        Arguments of `LotteryDiet.fit`, by name.

    Raises:
        InputError: it is not there, or gives something else.
    """
    # A function is found, or missed, without waiting for Keras.
    build = named_function(name)
    import keras

    keras.utils.set_random_seed(seed)
    takes_seed = "seed" in inspect.signature(build).parameters
    given = build(seed=seed) if takes_seed else build()
    missing = _NEEDED
    if isinstance(given, Mapping):
        missing = tuple(key for key in _NEEDED if key not in given)
    if missing:
        raise InputError(
            f"{name} must return the arguments of LotteryDiet.fit by name. "
            f"Received: {type(given).__name__} without {', '.join(missing)}. "
            "Return a dict that has them."
        )
    return dict(given)


def located(name: str) -> str:
    """Returns a function's name with the whole path of its file.

    Raises:
        InputError: it is not there.
    """
    named_function(name)
    where, _, attribute = name.rpartition(":")
    if not where.endswith(".py"):
        return name
    return f"{Path(where).resolve()}:{attribute}"


def named_function(name: str) -> Callable[..., Any]:
    """Returns the function that a text names.

    Args:
        name: `my_net.py:build` or `package.module:build`.

    Raises:
        InputError: it is not there.
    """
    where, _, attribute = name.rpartition(":")
    if not where:
        raise InputError(
            f"The function is missing. Received: {name!r}. Write "
            "my_net.py:build, or package.module:build."
        )
    module = imported(where)
    if not callable(getattr(module, attribute, None)):
        raise InputError(
            f"There is no such function. Received: {attribute!r} in {where}. "
            "Name a function without arguments, or with a seed."
        )
    function: Callable[..., Any] = getattr(module, attribute)
    return function


def imported(where: str) -> ModuleType:
    """Imports a module of the user's.

    Args:
        where: `my_net.py`, or `package.module`.

    Raises:
        InputError: it is not there.
    """
    if where.endswith(".py"):
        path = Path(where)
        if not path.is_file():
            raise InputError(
                f"There is no such file. Received: {where}. Write the path "
                "of a Python file."
            )
        # As for a script: what lies beside the file can be imported.
        sys.path.insert(0, str(path.resolve().parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, "")
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise InputError(
                f"There is no such module. Received: {where}: {error}. Run "
                "the command where it can be imported, or name a file."
            ) from error
    return module
