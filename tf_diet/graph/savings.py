# SPDX-License-Identifier: MIT
"""What each unit saves when it alone is removed from the full model.

A plan is solved on true costs, which change as neighbours go; scores are
divided by these figures, which do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_diet.arrays import Ints
from tf_diet.graph import cost as costing
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.labels import Axis, Vector
from tf_diet.graph.rule_table import rule_for

Saved = Mapping[str, Ints]


@dataclass(frozen=True, eq=False)
class Savings:
    """What each unit saves, by group.

    Args:
        parameters: elements of weights.
        flops: of one call at batch size 1.
        reads_writes: elements moved by one call at batch size 1.
    """

    parameters: Saved
    flops: Saved
    reads_writes: Saved


def savings(graph: ChannelGraph) -> Savings:
    """Returns what each unit of a model saves when it alone goes.

    Units that take equally many positions of each axis of a call save the
    same there, so each call is counted once for each such kind of unit, of
    which there are two or three, and not once for each unit.

    Args:
        graph: the full model.
    """
    units = _Units(graph)
    parameters = np.zeros(units.count, np.int64)
    for path, axes in graph.axes.items():
        shape = graph.shapes[path]
        vectors = [axis for axis in axes if axis is not None]
        touched, counts = units.counts(vectors)
        sizes = np.array([len(v) for v in vectors], np.int64)
        fixed = [n for n, a in zip(shape, axes, strict=True) if a is None]
        gone = sizes.prod() - (sizes - counts).prod(axis=1)
        parameters[touched] += gone * int(np.prod(fixed, dtype=np.int64))
    calls = np.zeros((2, units.count), np.int64)
    for index in range(len(graph.walk.calls)):
        units.add_call(index, calls)
    return Savings(*map(units.by_group, (parameters, *calls)))


class _Units:
    """All units of a graph, numbered through."""

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph = graph
        self.starts = np.cumsum([0, *(g.n_units for g in graph.groups)])
        self.count = int(self.starts[-1])
        self.unit = graph.numbers
        # The labels of each unit lie side by side in this order.
        self.labels = np.argsort(self.unit, kind="stable")
        self.first = np.searchsorted(
            self.unit[self.labels], np.arange(self.count + 1)
        )
        self.alive = graph.everything.copy()

    def counts(self, vectors: Sequence[Vector]) -> tuple[Ints, Ints]:
        """Returns units that lie on some axes, and how often on each."""
        numbers = [self.unit[vector] for vector in vectors]
        found = [n[n >= 0] for n in numbers]
        touched = np.unique(np.concatenate([*found, np.zeros(0, np.int64)]))
        counts = np.zeros((len(touched), len(vectors)), np.int64)
        for column, mine in enumerate(found):
            places = np.searchsorted(touched, mine)
            counts[:, column] = np.bincount(places, minlength=len(touched))
        return touched, counts

    def add_call(self, index: int, saved: Ints) -> None:
        """Adds what each unit saves in one call: FLOPs, elements moved."""
        graph = self.graph
        call = graph.walk.calls[index]
        axes: list[Axis] = []
        for key in (*call.inputs, *call.outputs):
            axes += graph.labels[key].axes
        for weight in graph.signatures[index].weights.values():
            axes += weight
        vectors = {id(axis): axis for axis in axes if axis is not None}
        touched, counts = self.counts(list(vectors.values()))
        if not len(touched):
            return
        _, first, kind = np.unique(
            counts, axis=0, return_index=True, return_inverse=True
        )
        whole = self.cost(index)
        each = [whole - self.cost(index, touched[n]) for n in first]
        saved[:, touched] += np.array(each)[kind.reshape(-1)].T

    def cost(self, index: int, gone: int | None = None) -> Ints:
        """Returns FLOPs and elements moved of a call without one unit."""
        graph = self.graph
        call = graph.walk.calls[index]
        mine = self.labels[:0]
        if gone is not None:
            mine = self.labels[self.first[gone] : self.first[gone + 1]]
        self.alive[mine] = False
        flops, moved, _ = costing.call_cost(
            call,
            rule_for(call.operation),
            graph.signatures[index],
            graph.labels,
            self.alive,
        )
        self.alive[mine] = True
        return np.array([flops, moved], np.int64)

    def by_group(self, values: Ints) -> Saved:
        """Returns what belongs to each group."""
        parts = np.split(values, self.starts[1:-1])
        names = [group.name for group in self.graph.groups]
        return dict(zip(names, parts, strict=False))
