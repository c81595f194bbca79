# SPDX-License-Identifier: MIT
"""Boards, and an honest guess whether a model fits on one."""

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from tf_diet.boards.profile import Profile, profile
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite import TFLiteModel
from tf_diet.errors import InputError
from tf_diet.registry import Registry

# The library, C start-up code and a sketch around the model.
_RUNTIME_FLASH = 130_000
# Two blocks of audio, the stack, and what the core library keeps.
_RUNTIME_RAM = 16_000
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

    def call_seconds(self, needs: Profile) -> tuple[float, float]:
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
    """Files a board under its name."""
    return boards.register(board.name)(board)


def get(board: str | Board) -> Board:
    """Returns a board by name; a board is returned as it is.

    Raises:
        InputError: the name is unknown.
    """
    return board if isinstance(board, Board) else boards.get(board)


@dataclass(frozen=True)
class Fit:
    """Whether a model fits on a board: an estimate, never a measurement.

    The sound synthesis around the model comes on top of its load.

    Args:
        board: the board.
        load: share of the processor's time that the model takes, low and
            high estimate.
        flash_needed: bytes of flash, runtime included.
        ram_needed: bytes of RAM, audio buffers included; None where TFLite
            Micro cannot run the model.
        problem: why it cannot, else "".
    """

    board: Board
    load: tuple[float, float]
    flash_needed: int
    ram_needed: int | None
    problem: str = ""

    @property
    def embeddable(self) -> bool:
        """Whether it has room in flash and RAM."""
        return (
            self.ram_needed is not None
            and self.flash_needed <= self.board.flash_bytes
            and self.ram_needed <= self.board.ram_bytes
        )

    @property
    def real_time(self) -> bool | None:
        """True or False where both estimates agree, None where they do not."""
        low, high = self.load
        return None if low < 1.0 <= high else high < 1.0

    def __repr__(self) -> str:
        word = {True: "yes", False: "no", None: "perhaps"}
        low, high = self.load
        ram = (
            f"{self.ram_needed:,} of {self.board.ram_bytes:,} bytes"
            if self.ram_needed is not None
            else f"cannot run: {self.problem}"
        )
        rows = (
            ("board", f"{self.board.title} ({self.board.processor})"),
            ("embeddable", word[self.embeddable]),
            (
                "flash",
                f"{self.flash_needed:,} of {self.board.flash_bytes:,} bytes",
            ),
            ("RAM", ram),
            ("real time", word[self.real_time]),
            (
                "load",
                f"{low:.1%} to {high:.1%} of the processor, an estimate "
                "without the sound synthesis",
            ),
        )
        return "\n".join(f"{name:<12}{value}" for name, value in rows)


def fits(
    model: Profile | StreamingModel | TFLiteModel | bytes,
    board: str | Board,
    *,
    hop: int = 160,
    sample_rate: int = 16000,
) -> Fit:
    """Estimates whether a model fits on a board and keeps up with sound.

    Args:
        model: a profile, or what can be profiled.
        board: a registered name, or a board.
        hop: samples of audio that one call stands for.
        sample_rate: samples of audio a second.

    Returns:
        The estimate, low and high.

    Raises:
        InputError: the board is unknown, or the model of another kind.
    """
    board = get(board)
    needs = model
    if not isinstance(needs, Profile):
        needs = profile(needs, runs=1, hop=hop, sample_rate=sample_rate)
    low, high = board.call_seconds(needs)
    calls = sample_rate / hop
    micro = board.runtime == "TFLite Micro"
    ram = needs.arena_bytes if micro else 2 * needs.bytes
    return Fit(
        board,
        (low * calls, high * calls),
        needs.bytes + _RUNTIME_FLASH,
        None if ram is None else ram + _RUNTIME_RAM,
        needs.micro_problem if micro else "",
    )


def read_catalogue(text: str) -> list[Board]:
    """Returns the boards of a catalogue in TOML, one table a board.

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
