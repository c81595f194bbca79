# SPDX-License-Identifier: MIT
"""A table of boards: how long a call takes, and whether the model fits."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from tf_diet.boards.fit import Fit, milliseconds
from tf_diet.text import render

_WORD = {True: "yes", False: "no", None: "perhaps"}


def boards_table(found: Sequence[Fit]) -> str:
    """Returns one row a board, and why boards cannot run the model.

    Real time is judged only where the model is about sound.

    Args:
        found: the estimates, in the order of the rows.
    """
    sounds = any(fit.load is not None for fit in found)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("board", no_wrap=True)
    table.add_column("one call", justify="right", no_wrap=True)
    table.add_column("flash KiB", justify="right", no_wrap=True)
    table.add_column("of", justify="right", no_wrap=True)
    table.add_column("RAM KiB", justify="right", no_wrap=True)
    table.add_column("of", justify="right", no_wrap=True)
    table.add_column("fits", no_wrap=True)
    if sounds:
        table.add_column("real time, load", no_wrap=True)
    problems: dict[str, list[str]] = {}
    for fit in found:
        if fit.problem:
            problems.setdefault(fit.problem, []).append(fit.board.name)
        row = [
            fit.board.name,
            milliseconds(fit.call_ms),
            _kib(fit.flash_needed),
            _kib(fit.board.flash_bytes),
            "-" if fit.ram_needed is None else _kib(fit.ram_needed),
            _kib(fit.board.ram_bytes),
            _word(fit),
        ]
        if sounds:
            row.append(_real_time(fit))
        table.add_row(*row)
    notes = [
        f"{', '.join(names)}: {problem}." for problem, names in problems.items()
    ]
    notes.append(
        "Times are estimates from published figures of the processors, low "
        "and high; flash and RAM include the runtime and buffers."
    )
    return "\n".join([render(table), *notes])


def _kib(size: int) -> str:
    """Returns bytes in KiB, rounded up; GiB where there are many."""
    if size >= 1 << 28:
        return f"{size / (1 << 30):g} GiB"
    return f"{-(-size // 1024):,}"


def _word(fit: Fit) -> str:
    if fit.problem:
        return "cannot run"
    if fit.embeddable:
        return "yes"
    return "no: flash" if fit.flash_left < 0 else "no: RAM"


def _real_time(fit: Fit) -> str:
    if fit.load is None or fit.problem:
        return "-"
    low, high = (
        f"{load:.2g}" if load < 10 else f"{load:,.0f}" for load in fit.load
    )
    return f"{_WORD[fit.real_time]}, {low} to {high}"
