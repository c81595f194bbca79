# SPDX-License-Identifier: MIT
"""What a command found out, as JSON."""

import contextlib
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from tf_diet.errors import InputError, RunFolderError
from tf_diet.files import write_text


class IncompleteError(InputError):
    """Work that was done in part.

    Args:
        message: what failed.
        facts: what was found out nevertheless, for `--json`.
    """

    def __init__(self, message: str, facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


@contextlib.contextmanager
def text_apart(args: Any) -> Iterator[None]:
    """Keeps standard output free for JSON where that is wanted there.

    What a block prints goes to standard error then, or nowhere with
    `--quiet`.
    """
    if getattr(args, "json", None) != "-":
        yield
        return
    is_quiet = getattr(args, "verbosity", "") == "error"
    with contextlib.redirect_stdout(io.StringIO() if is_quiet else sys.stderr):
        yield


def check_new(paths: Iterable[Path], *, overwrite: bool) -> None:
    """Checks, before any work, that files can be written without loss.

    Args:
        paths: of the files.
        overwrite: those that exist may be replaced.

    Raises:
        RunFolderError: one exists and may not.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise RunFolderError(
                f"The file to write exists. Received: {path}. Name another "
                "with --output, or pass --overwrite."
            )


def check_json(args: Any) -> None:
    """Checks, before any work, that `--json` replaces nothing but JSON.

    A report is written anew each time; a model's name behind the option, or
    a file of notes, is a slip.

    Raises:
        InputError: the file exists and holds something else.
    """
    target = getattr(args, "json", None)
    if target in (None, "-") or not Path(target).exists():
        return
    try:
        json.loads(Path(target).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "--json replaces JSON files and nothing else. Received: "
            f"{target}, which exists and holds no JSON. Name another file, or "
            "'-' for standard output."
        ) from error


def write_json(target: str, facts: Any) -> None:
    """Writes facts into a file, or to standard output for "-".

    Args:
        target: what `--json` was given.
        facts: see `plain`; a text is JSON already.
    """
    text = facts
    if not isinstance(facts, str):
        text = json.dumps(plain(facts), indent=2, allow_nan=False)
    if target == "-":
        print(text)
    else:
        write_text(target, text + "\n")


def plain(value: Any) -> Any:
    """Returns a value in the types that JSON has.

    Numbers that are not finite become null: JSON has none.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value
