# SPDX-License-Identifier: MIT
"""Label vectors: which unit each position of an axis belongs to.

Every axis of every tensor and weight carries a vector of labels, one for each
position, or None where nothing can be removed (batch, time, data). Labels that
must live or die together are tied; frozen ones always live.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tf_diet.arrays import Array, Bools, Ints
from tf_diet.graph.operation import Shape

Vector = Ints
Axis = Vector | None
Mask = Bools


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of one tensor.

    Args:
        axes: one entry an axis, batch included: a vector as long as the axis,
            or None.
    """

    axes: tuple[Axis, ...]

    @property
    def channels(self) -> Axis:
        """The labels of the last axis."""
        return self.axes[-1]

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.axes)

    def known(self) -> list[Vector]:
        """The vectors of the axes that have one."""
        return [axis for axis in self.axes if axis is not None]

    def at(self, axis: int, vector: Axis) -> "Labels":
        """Returns a copy with one axis replaced."""
        axes = list(self.axes)
        axes[axis] = vector
        return Labels(tuple(axes))

    @staticmethod
    def none(rank: int) -> "Labels":
        """Labels of a tensor that nothing can be removed from."""
        return Labels((None,) * rank)


def last(rank: int, vector: Axis) -> Labels:
    """Labels of a tensor of which only the last axis has units."""
    return Labels((*(None,) * (rank - 1), vector))


class Partition:
    """Labels that are made on demand, tied and frozen; solved at the end.

    Ties are kept as they come and solved in one go, which is linear in their
    number.
    """

    def __init__(self) -> None:
        self._count = 0
        self._ties: list[tuple[Vector, Vector]] = []
        self._frozen: list[tuple[Vector, str]] = []

    def __len__(self) -> int:
        return self._count

    def make(self, count: int) -> Vector:
        """Returns `count` new labels."""
        start = self._count
        self._count += count
        return np.arange(start, start + count, dtype=np.int64)

    def tie(self, first: Vector, second: Vector) -> None:
        """Makes labels at equal positions live or die together.

        Raises:
            ValueError: the vectors differ in length.
        """
        if len(first) != len(second):
            raise ValueError(
                f"Cannot tie {len(first)} labels to {len(second)}."
            )
        self._ties.append((first, second))

    def freeze(self, labels: Vector, reason: str) -> None:
        """Makes labels live for ever; the first reason given is kept."""
        self._frozen.append((np.asarray(labels, np.int64), reason))

    def roots(self) -> Vector:
        """Returns the smallest label that each label is tied to."""
        roots = np.arange(self._count, dtype=np.int64)
        if not self._ties:
            return roots
        first = np.concatenate([a for a, _ in self._ties])
        second = np.concatenate([b for _, b in self._ties])
        matrix = coo_array(
            (np.ones(len(first), bool), (first, second)),
            shape=(self._count, self._count),
        )
        _, component = connected_components(matrix, directed=False)
        smallest = np.full(self._count, self._count, np.int64)
        np.minimum.at(smallest, component, roots)
        return smallest[component]

    def reasons(self, roots: Vector) -> dict[int, str]:
        """Returns the roots that are frozen, each with its first reason."""
        found: dict[int, str] = {}
        for labels, reason in self._frozen:
            for root in np.unique(roots[labels]).tolist():
                found.setdefault(root, reason)
        return found


def count_alive(axis: Axis, size: int | None, alive: Mask) -> int:
    """Returns how many positions of an axis live; unknown sizes count 1."""
    if axis is None:
        return 1 if size is None else size
    return int(alive[axis].sum())


def kept_positions(axis: Axis, size: int, alive: Mask) -> Vector:
    """Returns the positions of an axis that live, in order."""
    if axis is None:
        return np.arange(size, dtype=np.int64)
    return np.flatnonzero(alive[axis]).astype(np.int64)


def count_elements(
    axes: Sequence[Axis], shape: Sequence[int | None], alive: Mask
) -> int:
    """Returns how many elements live; unknown sizes count one."""
    size = 1
    for axis, length in zip(axes, shape, strict=True):
        size *= count_alive(axis, length, alive)
    return size


def shrunk(
    axes: Sequence[Axis], shape: Sequence[int | None], alive: Mask
) -> Shape:
    """Returns a shape with the axes that have units counted anew."""
    return tuple(
        size if axis is None else int(alive[axis].sum())
        for axis, size in zip(axes, shape, strict=True)
    )


def take(value: Array, axes: Sequence[Axis], alive: Mask) -> Array:
    """Returns the living positions of an array along each axis."""
    for place, axis in enumerate(axes):
        if axis is not None:
            kept = kept_positions(axis, value.shape[place], alive)
            value = np.take(value, kept, axis=place)
    return value


def take_factors(value: Array, axes: Sequence[Axis], alive: Mask) -> Array:
    """Returns what lives of an array that broadcasts along some axes."""
    wide = [
        axis if size > 1 else None
        for axis, size in zip(axes, value.shape, strict=False)
    ]
    return take(value, wide, alive)


def union(vectors: Iterable[Vector]) -> Vector:
    """Returns all labels of some vectors, each once."""
    found = list(vectors)
    if not found:
        return np.zeros(0, np.int64)
    return np.unique(np.concatenate(found))


def touches(vector: Vector, labels: Vector) -> bool:
    """Says whether any of a vector's labels is among some, which are sorted.

    `numpy.isin` would sort them again, for each weight of a model.
    """
    if not len(labels):
        return False
    places = np.searchsorted(labels, vector)
    return bool((labels[np.minimum(places, len(labels) - 1)] == vector).any())


def meet(
    pairs: Iterable[tuple[Axis, Axis]], reason: str
) -> tuple[list[tuple[Vector, Vector]], list[tuple[Vector, str]]]:
    """Makes axes that run together agree.

    Returns:
        Ties where both have labels, and frozen labels, with the reason, where
        only one has: the other side cannot shrink.
    """
    ties: list[tuple[Vector, Vector]] = []
    frozen: list[tuple[Vector, str]] = []
    for one, other in pairs:
        if one is not None and other is not None:
            ties.append((one, other))
        else:
            frozen += [(v, reason) for v in (one, other) if v is not None]
    return ties, frozen
