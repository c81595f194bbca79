# SPDX-License-Identifier: MIT
"""An honest guess whether a model fits on a board."""

from dataclasses import dataclass

from tf_diet.boards.board import Board, get
from tf_diet.boards.profiling import Profile, profile
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite_model import TFLiteModel

# The library, C start-up code and a sketch around the model.
_RUNTIME_FLASH = 130_000
# Two blocks of audio, the stack, and what the core library keeps.
_RUNTIME_RAM = 16_000


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
