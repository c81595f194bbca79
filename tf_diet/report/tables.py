"""Figures in rows, as a person reads them in a terminal or a README."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from tf_diet.graph.show import render


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
    table = Table(title=title, title_justify="left")
    columns = {
        "round": lambda r: str(r.get("name", r.get("round"))),
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
    for name in columns:
        table.add_column(name, justify="left" if name == "round" else "right")
    for row in [*rounds, *others]:
        table.add_row(*(cell(row) for cell in columns.values()))
    return render(table)


def _number(name: str, pattern: str) -> Any:
    def cell(row: Mapping[str, Any]) -> str:
        value = row.get(name)
        return "-" if value is None else pattern.format(value)

    return cell
