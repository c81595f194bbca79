# SPDX-License-Identifier: MIT
"""One way to register and look up every extension."""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from tf_diet.errors import InputError

T = TypeVar("T")
B = TypeVar("B")
_CONFIG = {"class_name", "config"}


def snake_case(name: str) -> str:
    """Returns `MutualInformation` as `mutual_information`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def name_of(thing: object) -> str:
    """Returns a name as it is, that of a class or function, or else a repr."""
    if isinstance(thing, str):
        return thing
    return str(getattr(thing, "__name__", repr(thing)))


class Registry(Generic[T]):
    """Named things of one kind: criteria, scopes, boards and so on.

    Args:
        kind: the word used in error messages, such as "criterion".
        shipped: for each module that registers something itself, the names.
            They are known at once; a module is imported when one of its names
            is asked for.
    """

    def __init__(
        self, kind: str, shipped: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.kind = kind
        self.shipped = {
            name: module
            for module, names in (shipped or {}).items()
            for name in names
        }
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
            if not self._ships(key, entry):
                # So that what ships does not take its place later.
                self._load(key)
            self._entries[key] = entry
            return entry

        return add

    def _ships(self, name: str, entry: Any) -> bool:
        """Says whether this is what is shipped under that name."""
        if not (inspect.isclass(entry) or inspect.isfunction(entry)):
            return False
        return f"{entry.__module__}.".startswith(
            f"{self.shipped.get(name, '-')}."
        )

    def _load(self, name: str) -> None:
        """Imports the module that registers what ships under that name."""
        if name not in self._entries and name in self.shipped:
            importlib.import_module(self.shipped[name])

    def names(self) -> list[str]:
        """Returns the known names, sorted."""
        return sorted({*self._entries, *self.shipped})

    def get(self, name: str) -> T:
        """Returns what is registered as `name`.

        Raises:
            InputError: the name is unknown; the message lists the known
                names and the nearest one.
        """
        self._load(name)
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(str(name), self.names(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"Unknown {self.kind}. Received: {name!r}. "
            f"Known: {', '.join(self.names())}.{hint}"
        )

    def resolve(self, given: Any, base: type[B] | None = None) -> Any:
        """Returns what was given, or what it stands for.

        Args:
            given: a registered name; a class, which is called without
                arguments; an instance or a function, which is returned as it
                is; or `{"class_name": name, "config": arguments}`, as
                `keras.losses.get` takes it.
            base: what an instance must be one of; None for functions.

        Raises:
            InputError: the name is unknown, the arguments do not fit, or it
                is none of these.
        """
        if isinstance(given, str):
            return self._made(given, self.get(given), {})
        if isinstance(given, Mapping) and set(given) <= _CONFIG:
            name = str(given.get("class_name"))
            entry = self.get(name if name in self.names() else snake_case(name))
            return self._made(name, entry, given.get("config") or {})
        fits = callable(given) if base is None else isinstance(given, base)
        if inspect.isclass(given):
            fits = base is None or issubclass(given, base)
        if not fits:
            what = "a function"
            if base is not None:
                what = f"an instance of {base.__name__}"
            raise InputError(
                f"A {self.kind} is a registered name or {what}. "
                f"Received: {given!r}. Known names: {', '.join(self.names())}."
            )
        if inspect.isclass(given):
            return self._made(given.__name__, given, {})
        return given

    def _made(self, name: str, entry: Any, settings: Mapping[str, Any]) -> Any:
        """Returns an instance of a class; anything else as it is."""
        if not inspect.isclass(entry):
            if settings:
                raise InputError(
                    f"The {self.kind} {name!r} takes no settings. Received: "
                    f"{dict(settings)!r}. Pass the name alone."
                )
            return entry
        try:
            inspect.signature(entry).bind(**settings)
        except TypeError as error:
            raise InputError(
                f"The {self.kind} {name!r} cannot be made with these "
                f"settings. Received: {dict(settings)!r}: {error}. Pass an "
                f"instance: {entry.__name__}{inspect.signature(entry)}."
            ) from None
        return entry(**settings)
