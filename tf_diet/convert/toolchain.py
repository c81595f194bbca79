# SPDX-License-Identifier: MIT
"""What a board needs to build a sketch and to be heard.

The rows stand in the catalogue of boards, `tf_diet/boards/catalogue.toml`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from tf_diet.errors import InputError
from tf_diet.extensions import toolchains


@dataclass(frozen=True)
class Toolchain:
    """What a board needs to build and to be heard.

    Attributes:
        title: the board's name.
        core: the Arduino core to install.
        fqbn: how arduino-cli calls the board.
        library: the TensorFlow Lite Micro library to install.
        sound: the values of TF_DIET_AUDIO_OUT that work on it.
        operators: which library's list of operators holds, a key of
            `tf_diet.convert.operators.LIBRARIES`; "" where it is not known.
    """

    title: str
    core: str
    fqbn: str
    library: str
    sound: str
    operators: str = ""

    def describe(self, sound: bool = True) -> str:
        """Returns a Markdown list.

        Args:
            sound: whether to say how the board is heard.
        """
        lines = [
            f"### {self.title}",
            "",
            f"- Core: {self.core} (`{self.fqbn}`)",
            f"- TensorFlow Lite Micro: {self.library}.",
        ]
        if sound:
            lines.append(f"- Sound: {self.sound}.")
        return "\n".join(lines)


def from_row(board: str, row: Mapping[str, Any]) -> Toolchain | None:
    """Returns the toolchain of a board in the catalogue, if it has one.

    Args:
        board: the name of the board, for messages.
        row: its entries; those of the sub-table `toolchain` are the fields of
            `Toolchain`, whose title is the board's when left out.

    Raises:
        InputError: an entry is missing or unknown.
    """
    if "toolchain" not in row:
        return None
    try:
        return Toolchain(**{"title": row.get("title"), **row["toolchain"]})
    except TypeError as error:
        known = sorted(field.name for field in fields(Toolchain))
        raise InputError(
            f"The toolchain of the board {board!r} cannot be read. "
            f"Received: {error}. Its entries are: {known}."
        ) from error


def _file_shipped_toolchains() -> None:
    catalogue = resources.files("tf_diet.boards") / "catalogue.toml"
    rows = tomllib.loads(catalogue.read_text(encoding="utf-8"))
    for name, row in rows.items():
        found = from_row(name, row)
        if found is not None:
            toolchains.register(name)(found)


_file_shipped_toolchains()
