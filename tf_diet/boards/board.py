# SPDX-License-Identifier: MIT
"""Boards, and what their processors are known to do."""

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from typing import TYPE_CHECKING, Any

from tf_diet.convert.toolchain import Toolchain, from_row
from tf_diet.errors import InputError
from tf_diet.extensions import toolchains
from tf_diet.registry import Registry

if TYPE_CHECKING:
    from tf_diet.boards.profiling import Profile

_INSTRUCTIONS_PER_OP = 500
# Share of the 8-bit speed that is left with 16-bit activations, where a board
# has no figure of its own.
_INT16X8_SPEED = 0.8

Range = tuple[float, ...]


@dataclass(frozen=True)
class Board:
    """A board and what its processor is known to do.

    Speeds are multiply-accumulates a second, low and high, empty where nothing
    is known. Those of convolutions are those of matrix products when left out.

    Args:
        name: how it is asked for.
        title: how people call it.
        processor: core and clock.
        clock_hz: cycles a second.
        flash_bytes: memory for code and models.
        ram_bytes: memory for everything else.
        int8_macs: products of 8-bit numbers.
        float_macs: the same for 32-bit floats.
        source: where the figures come from.
        op_seconds: what one operator costs besides, low and high; from the
            clock when left out.
        cycles_per_instruction: low and high, for those costs.
        runtime: "TFLite Micro", "LiteRT", or "none" where neither runs.
        int16_macs: 8-bit weights and 16-bit activations; a share of
            `int8_macs` when left out.
        int8_convolution_macs: in convolutions.
        float_convolution_macs: in convolutions.
        int16_convolution_macs: in convolutions.
        toolchain: how a sketch is built for it.
    """

    name: str
    title: str
    processor: str
    clock_hz: float
    flash_bytes: int
    ram_bytes: int
    int8_macs: Range
    float_macs: Range
    source: str
    op_seconds: Range = ()
    cycles_per_instruction: tuple[float, float] = (1.0, 2.0)
    runtime: str = "TFLite Micro"
    int16_macs: Range = ()
    int8_convolution_macs: Range = ()
    float_convolution_macs: Range = ()
    int16_convolution_macs: Range = ()
    toolchain: Toolchain | None = None

    def __repr__(self) -> str:
        runtime = self.runtime if self.runtime != "none" else "no runtime"
        return (
            f"<Board {self.name!r}: {self.title}, {self.processor}, "
            f"{self.flash_bytes / 1024:,.0f} KiB flash, "
            f"{self.ram_bytes / 1024:,.0f} KiB RAM, {runtime}>"
        )

    def speeds(self, arithmetic: str, kind: str = "dense") -> Range:
        """Returns multiply-accumulates a second, low and high.

        Args:
            arithmetic: "float32", "int8" or "int16x8".
            kind: "dense" or "convolution".
        """
        floats = self._either(self.float_macs, self.float_convolution_macs)
        small = self._either(self.int8_macs, self.int8_convolution_macs)
        wide = self._either(self.int16_macs, self.int16_convolution_macs)
        place = 1 if kind == "convolution" else 0
        share = 1.0
        found = floats[place] if arithmetic == "float32" else small[place]
        if arithmetic == "int16x8":
            share = 1.0 if wide[place] else _INT16X8_SPEED
            found = wide[place] or found
        if not found:
            # Integers are at least as fast as floats, and the reverse is
            # slower by an unknown amount: say so by a wide range.
            other = floats[place] or small[place]
            found = (min(other) / 4, max(other))
        return share * min(found), share * max(found)

    @staticmethod
    def _either(dense: Range, convolution: Range) -> tuple[Range, Range]:
        return dense or convolution, convolution or dense

    def call_seconds(self, needs: "Profile") -> tuple[float, float]:
        """Returns the estimated time of one call, shortest and longest."""
        overhead = self.op_seconds or tuple(
            _INSTRUCTIONS_PER_OP * cycles / self.clock_hz
            for cycles in self.cycles_per_instruction
        )
        low = min(overhead) * needs.n_ops
        high = max(overhead) * needs.n_ops
        for work in needs.work:
            slow, fast = self.speeds(work.arithmetic, work.kind)
            low += work.count / fast
            high += work.count / slow
        return low, high


boards: Registry[Board] = Registry("board")


def register_board(board: Board) -> Board:
    """Files a board under its name, and its toolchain for sketches.

    Args:
        board: what is known of it.
    """
    known = board.toolchain is None or (
        board.name in toolchains.names()
        and toolchains.get(board.name) == board.toolchain
    )
    if not known:
        toolchains.register(board.name)(board.toolchain)
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
        text: of the file; the keys are the fields of `Board`, and those of
            the sub-table `toolchain` the fields of `Toolchain`.

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
        entries["toolchain"] = from_row(name, row)
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
