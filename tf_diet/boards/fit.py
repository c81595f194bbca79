# SPDX-License-Identifier: MIT
"""An honest guess whether a model fits on a board."""

from dataclasses import dataclass

from tf_diet.boards.board import Board, boards, get
from tf_diet.boards.profiling import Profile, profile
from tf_diet.convert import audio_rate
from tf_diet.convert.operators import library_problem
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite_model import TFLiteModel

# The library, C start-up code and a sketch around the model.
_RUNTIME_FLASH = 130_000
# Buffers around the model, the stack, and what the core library keeps.
_RUNTIME_RAM = 16_000


@dataclass(frozen=True)
class Fit:
    """Whether a model fits on a board: an estimate, never a measurement.

    A sound synthesis around the model comes on top of its load.

    Args:
        board: the board.
        call_ms: milliseconds that one call takes, low and high estimate.
        load: share of the processor's time that the model takes, low and
            high estimate; None where the model is not about sound.
        flash_needed: bytes of flash, runtime included.
        ram_needed: bytes of RAM, buffers included; None where the board
            cannot run the model.
        problem: why it cannot, else "".
    """

    board: Board
    call_ms: tuple[float, float]
    load: tuple[float, float] | None
    flash_needed: int
    ram_needed: int | None
    problem: str = ""

    @property
    def flash_left(self) -> int:
        """Bytes of flash that stay free; below 0 it is too large."""
        return self.board.flash_bytes - self.flash_needed

    @property
    def ram_left(self) -> int | None:
        """Bytes of RAM that stay free; None where it cannot run."""
        if self.ram_needed is None:
            return None
        return self.board.ram_bytes - self.ram_needed

    @property
    def embeddable(self) -> bool:
        """Whether the board can run it and has room in flash and RAM."""
        room = self.ram_left
        return (
            not self.problem
            and room is not None
            and room >= 0
            and self.flash_left >= 0
        )

    @property
    def real_time(self) -> bool | None:
        """Whether it keeps up with the sound.

        True or False where both estimates agree; None where they do not, and
        where the model is not about sound.
        """
        if self.load is None:
            return None
        low, high = self.load
        return None if low < 1.0 <= high else high < 1.0

    def __repr__(self) -> str:
        word = {True: "yes", False: "no", None: "perhaps"}
        ram = (
            f"{self.ram_needed:,} of {self.board.ram_bytes:,} bytes"
            if self.ram_needed is not None
            else f"cannot run: {self.problem}"
        )
        rows = [
            ("board", f"{self.board.title} ({self.board.processor})"),
            ("embeddable", word[self.embeddable]),
            (
                "flash",
                f"{self.flash_needed:,} of {self.board.flash_bytes:,} bytes",
            ),
            ("RAM", ram),
            ("one call", f"{milliseconds(self.call_ms)}, an estimate"),
        ]
        if self.load is not None:
            low, high = self.load
            rows += [
                ("real time", word[self.real_time]),
                (
                    "load",
                    f"{low:.1%} to {high:.1%} of the processor, an estimate "
                    "without the sound synthesis",
                ),
            ]
        return "\n".join(f"{name:<12}{value}" for name, value in rows)


def milliseconds(span: tuple[float, float]) -> str:
    """Returns a span of milliseconds in words, two digits each."""
    low, high = (
        f"{value:.2g}" if value < 10 else f"{value:,.0f}" for value in span
    )
    return f"{low} ms" if low == high else f"{low} to {high} ms"


def fits(
    model: Profile | StreamingModel | TFLiteModel | bytes,
    board: str | Board,
    *,
    hop: int | None = None,
    sample_rate: int | None = None,
) -> Fit:
    """Estimates whether a model fits on a board, and how long a call takes.

    Args:
        model: a profile, or what can be profiled.
        board: a registered name, or a board.
        hop: samples of audio that one call stands for; the model's own when
            left out.
        sample_rate: samples of audio a second; the model's own when left
            out. Without a rate there is no verdict on real time.

    Returns:
        The estimate, low and high.

    Raises:
        InputError: the board is unknown, or the model of another kind.
    """
    board = get(board)
    needs = model
    if not isinstance(needs, Profile):
        needs = profile(needs, runs=1, hop=hop, sample_rate=sample_rate)
    hop, sample_rate = audio_rate.of_model(needs, hop, sample_rate)
    low, high = board.call_seconds(needs)
    load = None
    if hop is not None and sample_rate is not None:
        load = (low * sample_rate / hop, high * sample_rate / hop)
    problem = _problem(needs, board)
    return Fit(
        board,
        (1e3 * low, 1e3 * high),
        load,
        _file(needs, board) + _RUNTIME_FLASH,
        None if problem else _ram(needs, board),
        problem,
    )


def fits_all(
    model: Profile | StreamingModel | TFLiteModel | bytes,
    *,
    hop: int | None = None,
    sample_rate: int | None = None,
) -> list[Fit]:
    """Returns the estimate for every known board, the slowest first.

    Args:
        model: a profile, or what can be profiled.
        hop: as for `fits`.
        sample_rate: as for `fits`.

    Raises:
        InputError: the model is of another kind.
    """
    needs = model
    if not isinstance(needs, Profile):
        needs = profile(needs, runs=1, hop=hop, sample_rate=sample_rate)
    found = [
        fits(needs, name, hop=hop, sample_rate=sample_rate)
        for name in boards.names()
    ]
    return sorted(found, key=lambda fit: -fit.call_ms[1])


def _problem(needs: Profile, board: Board) -> str:
    """Says why a board cannot run a model, or returns ""."""
    if board.runtime == "none":
        return (
            "neither TFLite Micro nor LiteRT runs on this processor; the time "
            "is that of plain C"
        )
    if board.runtime != "TFLite Micro":
        return ""
    if needs.arena_bytes is None:
        return needs.micro_problem or "TFLite Micro cannot run it"
    library = board.toolchain.operators if board.toolchain else ""
    return library_problem(needs.ops, needs.per_channel_dense, library)


def _file(needs: Profile, board: Board) -> int:
    if board.runtime == "LiteRT":
        return needs.bytes
    return needs.board_bytes or needs.bytes


def _ram(needs: Profile, board: Board) -> int:
    if board.runtime == "TFLite Micro":
        library = board.toolchain.operators if board.toolchain else ""
        arena = needs.board_arena_bytes.get(library, needs.arena_bytes or 0)
        return arena + _RUNTIME_RAM
    return 2 * needs.bytes + _RUNTIME_RAM
