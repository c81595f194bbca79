# SPDX-License-Identifier: MIT
"""One way to register and look up every extension."""

import difflib
import inspect
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from tf_diet.errors import InputError

T = TypeVar("T")


def snake_case(name: str) -> str:
    """Returns `MutualInformation` as `mutual_information`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Registry(Generic[T]):
    """Named things of one kind: criteria, scopes, boards and so on.

    Args:
        kind: the word used in error messages, such as "criterion".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str | None = None) -> Callable[[T], T]:
        """Returns a decorator that files a class, function or object.

        Args:
            name: the public name; the snake_case of the object's own name
                when left out.
        """

        def add(entry: T) -> T:
            key = name or snake_case(getattr(entry, "__name__", ""))
            if not key:
                raise InputError(
                    f"A {self.kind} without a name cannot be registered. "
                    f"Received: {entry!r}. Pass register(name=...)."
                )
            self._entries[key] = entry
            return entry

        return add

    def names(self) -> list[str]:
        """Returns the known names, sorted."""
        return sorted(self._entries)

    def get(self, name: str) -> T:
        """Returns what is registered as `name`.

        Raises:
            InputError: the name is unknown; the message lists the known
                names and the nearest one.
        """
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(str(name), self._entries, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"Unknown {self.kind}. Received: {name!r}. "
            f"Known: {', '.join(self.names())}.{hint}"
        )


def instance(registry: Registry[type[T]], base: type[T], given: Any) -> T:
    """Returns what was given, or what its name stands for.

    Args:
        registry: of classes that need no arguments.
        base: what an instance must be one of.
        given: a registered name, or an instance.

    Raises:
        InputError: the name is unknown, or it is neither.
    """
    if isinstance(given, base):
        return given
    if isinstance(given, str):
        return registry.get(given)()
    hint = ""
    if inspect.isclass(given):
        hint = f" Did you mean {given.__name__}()?"
    raise InputError(
        f"A {registry.kind} is a registered name or an instance of "
        f"{base.__name__}. Received: {given!r}. Known names: "
        f"{', '.join(registry.names())}.{hint}"
    )
