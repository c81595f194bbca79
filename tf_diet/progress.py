# SPDX-License-Identifier: MIT
"""How far long work is: bars and log lines on standard error, by rich.

Bars show on a terminal and in notebooks, and nowhere else. Log lines are
absl's; `log_to_console` makes them plain lines, which a bar stays below.
"""

import importlib.util
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from absl import logging as absl_logging
from rich.console import Console
from rich.progress import track as rich_track
from rich.text import Text

T = TypeVar("T")

LEVELS = {
    "debug": absl_logging.DEBUG,
    "info": absl_logging.INFO,
    "warning": absl_logging.WARNING,
    "error": absl_logging.ERROR,
}


@cache
def console() -> Console:
    """Returns the console on standard error.

    There is one, since rich keeps a bar and lines apart only on the same.
    """
    return Console(stderr=True)


def is_shown() -> bool:
    """Says whether there is someone to show a bar to.

    In a notebook rich draws bars in a widget of the package ipywidgets.
    """
    if absl_logging.get_verbosity() < absl_logging.WARNING:
        return False
    if console().is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console().is_terminal


def track(
    items: Iterable[T], description: str, total: int | None = None
) -> Iterator[T]:
    """Yields the items, showing how far the work is and the time left.

    Args:
        items: what to go through.
        description: what is being done, shown before the bar.
        total: how many items there are, where `items` has no length.
    """
    yield from rich_track(
        items,
        description=description,
        total=total,
        console=console(),
        disable=not is_shown(),
        transient=True,
    )


class _Lines(logging.Handler):
    """Writes each record as a line: the time of day and the message."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            style = ""
            if record.levelno >= logging.WARNING:
                text = f"{record.levelname.lower()}: {text}"
                style = "yellow"
            clock = time.strftime("%H:%M:%S", time.localtime(record.created))
            line = Text.assemble((clock, "dim"), "  ", (text, style))
            console().print(line, soft_wrap=True)
        except (OSError, ValueError, TypeError):
            self.handleError(record)


def log_to_console(level: str | int = "info") -> None:
    """Shows the log of long work as plain lines on standard error.

    For notebooks and scripts; the commands do so of their own accord.

    Args:
        level: "debug", "info", "warning" or "error", or a verbosity of absl.
            At "error" no bars show either.
    """
    logger = logging.getLogger("absl")
    for handler in [h for h in logger.handlers if isinstance(h, _Lines)]:
        logger.removeHandler(handler)
    logger.addHandler(_Lines())
    # Handlers of the root would say all again.
    logger.propagate = False
    absl_logging.set_verbosity(LEVELS.get(str(level), level))


@contextmanager
def logged(level: str | int) -> Iterator[None]:
    """Does what `log_to_console` does while a block runs.

    TensorFlow's own log, which speaks to its developers, is left at errors
    meanwhile, unless `level` is "debug".
    """
    logger = logging.getLogger("absl")
    foreign = logging.getLogger("tensorflow")
    before = logger.handlers[:], logger.propagate, foreign.level
    verbosity = absl_logging.get_verbosity()
    log_to_console(level)
    if absl_logging.get_verbosity() < absl_logging.DEBUG:
        foreign.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[:2]
        foreign.setLevel(before[2])
        absl_logging.set_verbosity(verbosity)
