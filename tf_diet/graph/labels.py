"""Label vectors: which unit each position of an axis belongs to.

Every axis of every tensor and weight carries a vector of labels, one for each
position, or None where nothing can be removed (batch, time, data). Labels that
must live or die together are tied by union-find; frozen ones always live.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.int64]
Axis = Vector | None
Mask = NDArray[np.bool_]


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


class UnionFind:
    """Disjoint sets of labels, made on demand."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self.reasons: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._parent)

    def make(self, count: int) -> Vector:
        """Returns `count` new labels."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count, dtype=np.int64)

    def find(self, label: int) -> int:
        """Returns the representative of a label."""
        root = label
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[label] != root:
            self._parent[label], label = root, self._parent[label]
        return root

    def tie(self, first: Vector, second: Vector) -> None:
        """Makes labels at equal positions live or die together."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            a, b = self.find(one), self.find(other)
            if a == b:
                continue
            low, high = min(a, b), max(a, b)
            self._parent[high] = low
            reason = self.reasons.pop(high, None)
            if reason is not None:
                self.reasons.setdefault(low, reason)

    def freeze(self, labels: Iterable[int], reason: str) -> None:
        """Makes labels live for ever; the first reason given is kept."""
        for label in labels:
            self.reasons.setdefault(self.find(int(label)), reason)

    def roots(self) -> Vector:
        """Returns the representative of every label."""
        return np.array(
            [self.find(i) for i in range(len(self._parent))], dtype=np.int64
        )


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
