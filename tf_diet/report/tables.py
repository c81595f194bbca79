# SPDX-License-Identifier: MIT
"""Figures in rows, as a person reads them in a terminal or a README."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from tf_diet.text import render

# A file and a pipe have no edge; a line that is cut tells nothing.
_WIDE = 500


def rounds_table(
    rounds: Sequence[Mapping[str, Any]],
    others: Iterable[Mapping[str, Any]] = (),
    *,
    title: str = "",
) -> str:
    """Returns a table of rounds, with baselines below them.

    Args:
        rounds: rows with round, parameters, weights_left, flops_per_second,
            validation_error, test_error, error_multiplier.
        others: rows with a `name` in place of a round; missing figures show
            as a dash.
        title: what stands above the table.
    """
    columns = {
        "round": _name,
        "parameters": _number("parameters", "{:,}"),
        "weights left": _number("weights_left", "{:.1%}"),
        "MFLOPs / s of audio": lambda r: (
            f"{r['flops_per_second'] / 1e6:.1f}"
            if r.get("flops_per_second") is not None
            else "-"
        ),
        "validation error": _number("validation_error", "{:.3f}"),
        "test error": _number("test_error", "{:.3f}"),
        "test error x": _number("error_multiplier", "{:.3f}"),
    }
    return _table(columns, [*rounds, *others], title)


def run_table(
    rounds: Sequence[Mapping[str, Any]],
    others: Iterable[Mapping[str, Any]] = (),
    *,
    title: str = "",
) -> str:
    """Returns a table of the rounds of any model, with what they took.

    Args:
        rounds: the fields of `tf_diet.lottery.run_folder.Round`.
        others: the same, with a `name` in place of the number.
        title: what stands above the table.
    """

    def took(phase: str) -> Any:
        def cell(row: Mapping[str, Any]) -> str:
            seconds = row["seconds"]
            if phase == "training":
                return f"{seconds.get(phase, 0.0):.1f}"
            left_out = ("training", "evaluation")
            rest = [s for n, s in seconds.items() if n not in left_out]
            return f"{sum(rest):.1f}"

        return cell

    columns = {
        "round": _name,
        "parameters": _number("parameters", "{:,}"),
        "weights left": _number("weights_left", "{:.1%}"),
        "FLOPs a call": _number("flops", "{:,}"),
        "validation error": _number("validation_error", "{:.4g}"),
        "test error": _number("test_error", "{:.4g}"),
        "error x": _number("error_multiplier", "{:.3f}"),
        "training s": took("training"),
        "pruning s": took("pruning"),
    }
    return _table(columns, [*rounds, *others], title)


def plain_table(
    rows: Sequence[Mapping[str, Any]], *, markdown: bool = False
) -> str:
    """Returns rows of texts and numbers as they are, under their names.

    Args:
        rows: what a row lacks shows as a dash.
        markdown: for a file, not for a terminal.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(box=box.MARKDOWN if markdown else box.HEAVY_HEAD)
    for name in names:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*(str(row.get(name, "-")) for name in names))
    return render(table, width=_WIDE).strip("\n ")


def _table(
    columns: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], title: str
) -> str:
    table = Table(title=title, title_justify="left")
    for name in columns:
        first = name == "round"
        justify: Any = "left" if first else "right"
        table.add_column(name, justify=justify, no_wrap=first)
    for row in rows:
        table.add_row(*(cell(row) for cell in columns.values()))
    return render(table)


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("name", row.get("round")))


def _number(name: str, pattern: str) -> Any:
    def cell(row: Mapping[str, Any]) -> str:
        value = row.get(name)
        return "-" if value is None else pattern.format(value)

    return cell
