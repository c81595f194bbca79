# SPDX-License-Identifier: MIT
"""Boards, and what their processors are known to do."""

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from typing import TYPE_CHECKING, Any

from tf_diet.errors import InputError
from tf_diet.registry import Registry

if TYPE_CHECKING:
    from tf_diet.boards.profiling import Profile

_INSTRUCTIONS_PER_OP = 500
# Share of the 8-bit speed that is left with 16-bit activations.
_INT16X8_SPEED = 0.8


@dataclass(frozen=True)
class Board:
    """A board and what its processor is known to do.

    Args:
        name: how it is asked for.
        title: how people call it.
        processor: core and clock.
        clock_hz: cycles a second.
        flash_bytes: memory for code and models.
        ram_bytes: memory for everything else.
        int8_macs: 8-bit multiply-accumulates a second, low and high; empty
            where nothing is known.
        float_macs: the same for 32-bit floats.
        op_seconds: what one operator costs besides, low and high; from the
            clock when left out.
        cycles_per_instruction: low and high, for those costs.
        runtime: "TFLite Micro" or "LiteRT".
        source: where the figures come from.
    """

    name: str
    title: str
    processor: str
    clock_hz: float
    flash_bytes: int
    ram_bytes: int
    int8_macs: tuple[float, ...]
    float_macs: tuple[float, ...]
    source: str
    op_seconds: tuple[float, ...] = ()
    cycles_per_instruction: tuple[float, float] = (1.0, 2.0)
    runtime: str = "TFLite Micro"

    def __repr__(self) -> str:
        return (
            f"<Board {self.name!r}: {self.title}, {self.processor}, "
            f"{self.flash_bytes / 1024:,.0f} KiB flash, "
            f"{self.ram_bytes / 1024:,.0f} KiB RAM, {self.runtime}>"
        )

    def call_seconds(self, needs: "Profile") -> tuple[float, float]:
        """Returns the estimated time of one call, shortest and longest."""
        macs = (
            self.float_macs if needs.quantize == "float32" else self.int8_macs
        )
        if not macs:
            # Integers are at least as fast as floats, and the reverse is
            # slower by an unknown amount: say so by a wide range.
            other = self.float_macs or self.int8_macs
            macs = (min(other) / 4, max(other))
        speed = _INT16X8_SPEED if needs.quantize == "int16x8" else 1.0
        overhead = self.op_seconds or tuple(
            _INSTRUCTIONS_PER_OP * cycles / self.clock_hz
            for cycles in self.cycles_per_instruction
        )
        work = needs.multiply_accumulates / speed
        return (
            work / max(macs) + min(overhead) * needs.n_ops,
            work / min(macs) + max(overhead) * needs.n_ops,
        )


boards: Registry[Board] = Registry("board")


def register_board(board: Board) -> Board:
    """Files a board under its name.

    Args:
        board: what is known of it.
    """
    return boards.register(board.name)(board)


def get(board: str | Board) -> Board:
    """Returns a board by name; a board is returned as it is.

    Args:
        board: a name of the catalogue or of `register_board`, or a board.

    Raises:
        InputError: the name is unknown.
    """
    return board if isinstance(board, Board) else boards.get(board)


def read_catalogue(text: str) -> list[Board]:
    """Returns the boards of a catalogue in TOML, one table a board.

    Args:
        text: of the file; the keys are the fields of `Board`.

    Raises:
        InputError: an entry is missing or unknown.
    """
    known = {field.name for field in fields(Board)}
    found = []
    for name, row in tomllib.loads(text).items():
        entries: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in row.items()
        }
        try:
            found.append(Board(name=name, **entries))
        except TypeError as error:
            raise InputError(
                f"The board {name!r} of the catalogue cannot be read. "
                f"Received: {error}. Its entries are: {sorted(known)}."
            ) from error
    return found


def _file_shipped_boards() -> None:
    catalogue = resources.files("tf_diet.boards") / "catalogue.toml"
    for board in read_catalogue(catalogue.read_text(encoding="utf-8")):
        register_board(board)


_file_shipped_boards()
