# SPDX-License-Identifier: MIT
"""Progress of long work: a rich bar on a terminal, silence elsewhere."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

T = TypeVar("T")


def track(
    items: Iterable[T], description: str, total: int | None = None
) -> Iterator[T]:
    """Yields the items, showing how far the work is and the time left.

    Args:
        items: what to go through.
        description: what is being done, shown before the bar.
        total: how many items there are, where `items` has no length.
    """
    console = Console(stderr=True)
    yield from rich_track(
        items,
        description=description,
        total=total,
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
