# SPDX-License-Identifier: MIT
"""Parts of groups that lie on an axis of their own, and may not be emptied."""

from collections.abc import Iterable

import numpy as np

from tf_diet.arrays import Bools
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.labels import Vector


def parts(graph: ChannelGraph) -> list[tuple[str, Bools]]:
    """Returns sets of units of which at least one must stay.

    A group may be cut in pieces: where one layer makes the first half of its
    units and another the second, the group has units left when one of them
    has none. No axis of a tensor or weight may come to that.

    Args:
        graph: the channel graph.

    Returns:
        For each such axis, the group and which of its units lie there.
    """
    found: dict[tuple[int, bytes], Bools] = {}
    for vector in _vectors(graph):
        owners = graph.group_of[vector]
        if (owners < 0).any():
            continue
        counts = np.bincount(owners)
        # One living unit is enough, so the largest of several answers for it.
        number = int(counts.argmax())
        units = np.zeros(graph.groups[number].n_units, bool)
        units[graph.unit_of[vector[owners == number]]] = True
        if not units.all():
            found[number, units.tobytes()] = units
    return [(graph.groups[n].name, units) for (n, _), units in found.items()]


def _vectors(graph: ChannelGraph) -> Iterable[Vector]:
    """Yields the labels of every axis of every tensor and weight once."""
    tensors = (v for labels in graph.labels.values() for v in labels.known())
    weights = (v for axes in graph.axes.values() for v in axes if v is not None)
    seen: set[int] = set()
    for vector in (*tensors, *weights):
        if id(vector) not in seen and len(vector):
            seen.add(id(vector))
            yield vector
