# SPDX-License-Identifier: MIT
"""Tables as plain text, for terminals, logs and files alike."""

from io import StringIO

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
    # Lines are cut at the edge of a console: it must be far away.
    # In a notebook rich shows what it prints as HTML, beside what it returns.
    console = Console(
        width=_ENDLESS, color_system=None, force_jupyter=False, file=StringIO()
    )
    for column in table.columns:
        cells = [
            Measurement.get(console, console.options, cell)
            for cell in (column.header, *column.cells)
        ]
        # rich cuts words in one column while there is room in another.
        column.min_width = max(
            cell.maximum if column.no_wrap else cell.minimum for cell in cells
        )
    # Where there is hardly any room rich gives all columns none.
    least = sum(column.min_width or 0 for column in table.columns)
    with console.capture() as capture:
        console.print(table, width=max(width, least + 3 * len(table.columns)))
    return capture.get().rstrip()
