# SPDX-License-Identifier: MIT
"""Packages whose names are imported when they are first used (PEP 562).

What a package exports stands in the `__init__.pyi` beside it, which type
checkers and editors read too.
"""

from collections.abc import Callable
from typing import Any

import lazy_loader

from tf_diet import backend


def attach(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` of a package.

    Args:
        package: its `__name__`.
        file: its `__file__`, with the stub beside it.

    Raises:
        MissingDependencyError: by `__getattr__`, where a name needs Keras and
            Keras has no backend.
    """
    load, list_names, names = lazy_loader.attach_stub(package, file)

    def __getattr__(name: str) -> Any:
        try:
            return load(name)
        except ModuleNotFoundError as error:
            backend.explain(error)
            raise

    return __getattr__, list_names, names
