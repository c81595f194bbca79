# SPDX-License-Identifier: MIT
"""Packages that only some of the work needs."""

import importlib
import importlib.util
from types import ModuleType

from tf_diet.errors import MissingDependencyError


def installed(module: str) -> bool:
    """Says whether a package is there, without importing it."""
    return importlib.util.find_spec(module) is not None


def require(module: str, extra: str) -> ModuleType:
    """Imports an optional package.

    Args:
        module: the module to import, such as "librosa".
        extra: the extra of tf_diet that installs it, such as "audio".

    Raises:
        MissingDependencyError: it is not installed; the message gives the
            pip line.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"This needs the package {module!r}, which cannot be imported. "
            f"Received: {error}. Run: pip install 'tf_diet[{extra}]'"
        ) from error
