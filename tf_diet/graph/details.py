# SPDX-License-Identifier: MIT
"""What hangs on a group: weights, layers, and what a unit saves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from tf_diet.arrays import Ints
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.savings import savings
from tf_diet.graph.show import makers, users
from tf_diet.text import render


@dataclass(frozen=True, eq=False)
class WeightAxis:
    """An axis of a weight that shrinks when units of a group go.

    Args:
        path: of the weight.
        axis: which of its axes.
        shape: of the weight.
        role: "makes" where the layer makes the units, "passes" where it only
            hands them on (a normalisation), "reads" where it uses them.
        units: the unit of each position, shape (shape[axis],); -1 where the
            position belongs to another group or stays.
    """

    path: str
    axis: int
    shape: tuple[int, ...]
    role: str
    units: Ints

    def positions(self, unit: int) -> Ints:
        """Returns the positions on the axis that go when a unit goes."""
        return np.flatnonzero(self.units == unit)

    def __repr__(self) -> str:
        return f"<WeightAxis {self.path}, axis {self.axis}: {self.role}>"


@dataclass(frozen=True, eq=False)
class GroupDetails:
    """A group of units and all that goes when some of them go.

    Args:
        name: of the group.
        n_units: how many units it has.
        minimum: how many stay at least.
        weights: every axis of every weight that shrinks.
        made_by: paths of the layers that make the units.
        read_by: paths of the layers whose weights use them.
        parameters: what each unit saves when it alone goes, shape (n_units,).
        flops: likewise, of one call at batch size 1.
        reads_writes: likewise, elements moved.
    """

    name: str
    n_units: int
    minimum: int
    weights: tuple[WeightAxis, ...]
    made_by: tuple[str, ...]
    read_by: tuple[str, ...]
    parameters: Ints
    flops: Ints
    reads_writes: Ints

    def __repr__(self) -> str:
        table = Table(box=None, pad_edge=False)
        for title in ("weight", "axis", "shape", "role", "positions a unit"):
            right = title in ("axis", "positions a unit")
            table.add_column(
                title, justify="right" if right else "left", no_wrap=True
            )
        for weight in self.weights:
            held = weight.units[weight.units >= 0]
            table.add_row(
                weight.path,
                str(weight.axis),
                str(weight.shape),
                weight.role,
                _range(np.bincount(held)[np.unique(held)]),
            )
        width = max(
            100, 45 + max((len(w.path) for w in self.weights), default=0)
        )
        return "\n".join(
            [
                f"group {self.name}: {self.n_units} units, at least "
                f"{self.minimum} stay",
                f"made by: {', '.join(self.made_by)}",
                f"read by: {', '.join(self.read_by) or '-'}",
                render(table, width),
                f"removing one unit saves {_range(self.parameters)} "
                f"parameters, {_range(self.flops)} FLOPs a call, "
                f"{_range(self.reads_writes)} reads and writes",
            ]
        )


def details(graph: ChannelGraph, names: Sequence[str]) -> list[GroupDetails]:
    """Returns what hangs on some groups.

    Args:
        graph: the channel graph.
        names: of groups.

    Raises:
        PlanError: there is no such group.
    """
    saved, reading = savings(graph), users(graph)
    found = []
    for name in names:
        group = graph.group(name)
        making = makers(graph, group)
        weights = tuple(
            WeightAxis(
                member.path,
                member.axis,
                graph.shapes[member.path],
                _role(member.role, member.path, making),
                member.units,
            )
            for member in group.members
        )
        found.append(
            GroupDetails(
                name,
                group.n_units,
                group.minimum,
                weights,
                tuple(making),
                tuple(reading[name]),
                saved.parameters[name],
                saved.flops[name],
                saved.reads_writes[name],
            )
        )
    return found


def _role(role: str, path: str, making: Sequence[str]) -> str:
    if role == "in":
        return "reads"
    made = any(path.startswith(f"{maker}/") for maker in making)
    return "makes" if made else "passes"


def _range(values: Ints) -> str:
    """Returns one number, or the smallest and the largest."""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
