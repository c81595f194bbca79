"""A channel graph as a person reads it."""

from typing import Any

from rich.console import Console
from rich.table import Table

from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph


def inspect(model: Any) -> ChannelGraph:
    """Returns the channel graph of a model: what can be removed from it.

    Print it, or `describe(graph)` for the whole table.

    Args:
        model: a functional or Sequential Keras model.

    Raises:
        UnsupportedModelError: for any other model.
    """
    return build(model)


def describe(graph: ChannelGraph) -> str:
    """Returns a table of groups, then pinned units and barriers."""
    table = Table(title=repr(graph), title_justify="left")
    table.add_column("group")
    table.add_column("units", justify="right")
    table.add_column("weights that hold them")
    for group in graph.groups:
        paths = dict.fromkeys(member.path for member in group.members)
        table.add_row(group.name, str(group.n_units), ", ".join(paths))
    lines = [render(table)]
    cost = graph.cost()
    lines.append(
        f"one call: {cost.flops:,} FLOPs, {cost.reads_writes:,} reads and "
        "writes (unknown sizes count one)"
    )
    lines += [
        f"pinned: {p.name} ({p.n_units} units): {p.reason}"
        for p in graph.pinned
    ]
    lines += [
        f"barrier: {b.path} ({b.kind}): {b.reason}, pins {b.n_frozen} units"
        for b in graph.barriers
    ]
    return "\n".join(lines)


def render(table: Table, width: int = 100) -> str:
    """Returns a rich table as plain text."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
