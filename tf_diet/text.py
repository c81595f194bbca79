# SPDX-License-Identifier: MIT
"""Tables as plain text, for terminals, logs and files alike."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDTH = 100
_ENDLESS = 10_000


def render(table: Table, width: int = WIDTH) -> str:
    """Returns a rich table as plain text.

    Args:
        table: what to show.
        width: of a line, in characters; more where a word of a header or of
            a cell would be cut.
    """
    wide = Console(width=_ENDLESS, color_system=None)
    least = Measurement.get(wide, wide.options, table).minimum
    console = Console(width=max(width, least), color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
