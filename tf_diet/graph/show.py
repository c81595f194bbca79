# SPDX-License-Identifier: MIT
"""A channel graph as a person reads it."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np
from rich.table import Table

from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Group, Options, Pinned
from tf_diet.graph.labels import Vector, union
from tf_diet.text import WIDTH, render

_LISTED = 12


def inspect(
    model: keras.Model, *, exact: bool = True, probe: bool = False
) -> ChannelGraph:
    """Returns the channel graph of a model: what can be removed from it.

    `describe(graph)` is its table, `picture(graph, "graph.svg")` its picture.

    Args:
        model: a Keras model; it is not touched.
        exact: leave alone what can shrink only by giving up equivalence, as
            `Limits(exact=...)` does.
        probe: let channels through unknown operations without weights that
            prove equivalent on random data.

    Raises:
        UnsupportedModelError: the model cannot be walked.
    """
    return build(model, Options(exact=exact, probe=probe))


def graph_of(shown: ChannelGraph | keras.Model) -> ChannelGraph:
    """Returns a channel graph itself, or that of a model."""
    return shown if isinstance(shown, ChannelGraph) else inspect(shown)


def describe(graph: ChannelGraph | keras.Model, width: int = WIDTH) -> str:
    """Returns what can be removed as text: a table, then what stays and why.

    A row is a group: units that are removed one by one, with the layers that
    make them (all lose the same) and those that use them.

    Args:
        graph: the channel graph, or a model.
        width: of the longest line, in characters.

    Raises:
        UnsupportedModelError: it is a model that cannot be walked.
    """
    graph = graph_of(graph)
    # Three columns share what the two of numbers and the gaps leave.
    room = max((width - 23) // 3, 8)
    table = Table(box=None, pad_edge=False)
    for name in ("group", "units", "weights", "made by", "used by"):
        right = name in ("units", "weights")
        table.add_column(
            name, justify="right" if right else "left", no_wrap=True
        )
    shares, used = group_shares(graph), users(graph)
    for group in graph.groups:
        table.add_row(
            _cell([group.name], room),
            str(group.n_units),
            f"{shares[group.name]:.1%}",
            _cell(makers(graph, group), room),
            _cell(used[group.name], room),
        )
    cost = graph.cost()
    lines = [
        f"prunable: {graph.prunable_share:.1%} of {cost.parameters:,} weight "
        "elements lie in a unit that may go",
        f"one call: {cost.flops:,} FLOPs, {cost.reads_writes:,} reads and "
        "writes (unknown sizes count one)",
        *_constants(graph),
        *_pins("pinned", graph.pinned),
        *_pins("inexact", graph.inexact),
        *(
            f"barrier: {b.path} ({b.kind}): {b.reason}, pins {b.n_frozen} units"
            for b in graph.barriers[:_LISTED]
        ),
    ]
    if len(graph.barriers) > _LISTED:
        lines.append(f"and {len(graph.barriers) - _LISTED} barriers more")
    rows = [render(table, width)] if graph.groups else []
    return "\n".join(
        [repr(graph), *rows, *(_wrapped(line, width) for line in lines)]
    )


def makers(graph: ChannelGraph, group: Group) -> list[str]:
    """Returns the paths of the layers that make the units of a group."""
    calls = graph.walk.calls
    found = [calls[site.call].layer_path for site in group.sites]
    return list(dict.fromkeys(found)) or [group.name]


def users(graph: ChannelGraph) -> Mapping[str, list[str]]:
    """Returns, by group, the paths of the layers whose weights read it."""
    found: dict[str, dict[str, None]] = {g.name: {} for g in graph.groups}
    for call in graph.walk.calls:
        axes = graph.signatures[call.index].weights.values()
        given = labels_of(graph, call.outputs)
        taken = np.setdiff1d(labels_of(graph, call.inputs), given)
        for vector in (v for axis in axes for v in axis if v is not None):
            for number in np.unique(
                graph.group_of[np.intersect1d(vector, taken)]
            ):
                if number >= 0:
                    found[graph.groups[number].name][call.layer_path] = None
    return {name: list(paths) for name, paths in found.items()}


def labels_of(graph: ChannelGraph, keys: Iterable[int]) -> Vector:
    """Returns all labels of some tensors, each once."""
    return union(v for key in keys for v in graph.labels[key].known())


def group_shares(graph: ChannelGraph) -> Mapping[str, float]:
    """Returns the share of all weight elements that each group is part of."""
    total = graph.parameters() or 1
    shares = {}
    for group in graph.groups:
        count = 0
        axes: dict[str, float] = {}
        for member in group.members:
            others = float((member.units < 0).mean())
            axes[member.path] = axes.get(member.path, 1.0) * others
        for path, others in axes.items():
            size = 1
            for length in graph.shapes[path]:
                size *= length
            count += round(size * (1 - others))
        shares[group.name] = count / total
    return shares


def _cell(names: Sequence[str], room: int) -> str:
    """Returns the first name, cut to its room, and how many more there are."""
    if not names:
        return "-"
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    room -= len(more)
    name = names[0]
    if len(name) > room:
        # The end tells layers apart, the start says which part they are of.
        front = room // 2
        name = f"{name[:front]}…{name[len(name) - room + front + 1 :]}"
    return name + more


def shortened(names: Sequence[str], most: int) -> str:
    """Returns names as text, with a count in place of those past `most`."""
    more = f" +{len(names) - most}" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _constants(graph: ChannelGraph) -> list[str]:
    """Returns a line of what no share of the parameters counts, if any."""
    if not graph.constants:
        return []
    count = sum(graph.constants.values())
    names = shortened(list(graph.constants), 3)
    return [f"constant: {count:,} parameters that no rate counts: {names}"]


def _pins(word: str, pins: Iterable[Pinned]) -> list[str]:
    """Returns a line for each reason, since many units share one."""
    by_reason: dict[str, list[Pinned]] = {}
    for pin in pins:
        by_reason.setdefault(pin.reason, []).append(pin)
    lines = []
    for reason, same in by_reason.items():
        count = sum(pin.n_units for pin in same)
        names = list(dict.fromkeys(pin.name for pin in same))
        lines.append(f"{word}: {shortened(names, 3)} ({count} units): {reason}")
    if len(lines) > _LISTED:
        more = len(lines) - _LISTED
        lines = [*lines[:_LISTED], f"and {more} reasons more ({word})"]
    return lines


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(line, width, subsequent_indent="    ")
