# SPDX-License-Identifier: MIT
"""Criteria that need no data: what weights alone say of a unit.

A unit that spans several layers, such as one of a residual sum, has several
producing weights; `reduce` says how what they say becomes one score.
"""

import zlib

import numpy as np

from tf_diet.arrays import Floats, Ints
from tf_diet.criteria.criterion import Criterion, Seen
from tf_diet.extensions import register_criterion
from tf_diet.graph.groups import Group, Member

# What Keras calls the factors of a normalisation.
_FACTORS = ("gamma", "scale")
# Rows of a matrix of distances that are held at a time.
_ROWS = 256


@register_criterion()
class Magnitude(Criterion):
    """The sum of the absolute weights that produce a unit.

    Kernels, recurrent kernels and biases count, moving statistics do not.

    Args:
        reduce: "mean", "max" or "sum" of what those weights say, each summed
            by itself.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3.
    """

    needs = frozenset({"weights"})

    def __init__(self, reduce: str = "mean") -> None:
        super().__init__(reduce)

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = [
            (member.units, np.abs(rows).sum(axis=1))
            for member, rows in producing(group, seen)
        ]
        return self.combine(parts, group.n_units)


class _OfSquares(Criterion):
    """What starts from the squared norm of a unit's producing weights."""

    needs = frozenset({"weights"})

    def squares(self, group: Group, seen: Seen) -> Floats:
        parts = [
            (member.units, np.square(rows).sum(axis=1))
            for member, rows in producing(group, seen)
        ]
        return self.combine(parts, group.n_units)


@register_criterion()
class L2(_OfSquares):
    """The root of the sum of the squared weights that produce a unit.

    Args:
        reduce: "max", "mean" or "sum" of the squared norms of those weights,
            before the root is taken.

    Source:
        Li et al., "Pruning filters for efficient ConvNets", ICLR 2017,
        section 3.1 (there with the absolute sum).
    """

    def __init__(self, reduce: str = "max") -> None:
        super().__init__(reduce)

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        return np.sqrt(self.squares(group, seen))


@register_criterion()
class Lamp(_OfSquares):
    """A unit's share of the squared norms that are not smaller in its group.

    The largest unit of every group scores 1 (two equal ones a half each), so
    that no group is emptied before another, whatever its scale.

    Args:
        reduce: "sum", "mean" or "max" of the squared norms of the weights
            that produce a unit, before shares are taken.

    Source:
        Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning",
        ICLR 2021, eq. 4 (there for single weights).
    """

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        squares = self.squares(group, seen)
        order = np.sort(squares)
        tails = np.cumsum(order[::-1])[::-1]
        sums = tails[np.searchsorted(order, squares)]
        return np.divide(squares, sums, out=np.zeros(len(sums)), where=sums > 0)


@register_criterion()
class GeometricMedian(Criterion):
    """The mean distance of a unit's weights to those of the others.

    Units near the middle of their group can be made up for by the others.
    Kernels count, of all gates at once; biases only where there is no kernel.

    Args:
        reduce: "sum", "mean" or "max" over the layers that make the unit.

    Source:
        He et al., "Filter pruning via geometric median for deep convolutional
        neural networks acceleration", CVPR 2019, eq. 6.
    """

    needs = frozenset({"weights"})

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = [
            (units, _distances(vectors))
            for units, vectors in _vectors(group, seen)
        ]
        return self.combine(parts, group.n_units)


@register_criterion()
class Normalisation(Criterion):
    """The absolute factor (gamma) of the normalisation that a unit meets.

    Units that meet none are not compared with those that do: they stay, and
    the plan says so.

    Args:
        reduce: "sum", "mean" or "max" over several normalisations.

    Source:
        Liu et al., "Learning efficient convolutional networks through network
        slimming", ICCV 2017; Esling et al., DAFx-20, section 3.
    """

    needs = frozenset({"weights"})
    blind = "no normalisation with a factor follows them"

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = [
            (member.units, np.abs(_rows(member, seen)).sum(axis=1))
            for member in group.members
            if member.path.rsplit("/", 1)[-1] in _FACTORS
        ]
        return self.combine(parts, group.n_units, missing=np.inf)


@register_criterion()
class Random(Criterion):
    """A random number a unit, the same for the same seed and group name.

    Args:
        reduce: has no effect; there is one number a unit.
    """

    needs = frozenset()

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        # Seeded by name: a group's numbers do not depend on what else the
        # model has.
        name = zlib.crc32(group.name.encode())
        return np.random.default_rng([seen.seed, name]).random(group.n_units)


def producers(group: Group, seen: Seen) -> list[Member]:
    """The trainable weights that produce units, or the nearest to it.

    Args:
        group: the units.
        seen: with the weights.
    """
    made = [m for m in group.members if m.role == "out"] or group.members
    trained = [m for m in made if seen.weights[m.path].trainable]
    return list(trained or made)


def producing(group: Group, seen: Seen) -> list[tuple[Member, Floats]]:
    """The weights that produce units, a row for each position.

    Args:
        group: the units.
        seen: with the weights.
    """
    return [(m, _rows(m, seen)) for m in producers(group, seen)]


def _rows(member: Member, seen: Seen) -> Floats:
    return rows_of(member, seen.weights[member.path].value)


def rows_of(member: Member, value: Floats) -> Floats:
    """Puts the axis of a member in front and flattens the others.

    Args:
        member: the axis of a weight.
        value: what is known of each element of that weight.

    Returns:
        (positions, elements) in double precision.
    """
    moved = np.moveaxis(value, member.axis, 0)
    return moved.reshape(len(moved), -1).astype(np.float64)


def _vectors(group: Group, seen: Seen) -> list[tuple[Ints, Floats]]:
    """For each layer its units, and for each unit all of its weights."""
    members = producing(group, seen)
    kernels = [pair for pair in members if _is_kernel(pair[0].path, seen)]
    layers: dict[str, list[tuple[Member, Floats]]] = {}
    for member, rows in kernels or members:
        layers.setdefault(member.path.rpartition("/")[0], []).append(
            (member, rows)
        )
    return [_joined(parts, group.n_units) for parts in layers.values()]


def _is_kernel(path: str, seen: Seen) -> bool:
    # Biases of some recurrent layers have an axis more.
    named = path.rpartition("/")[2]
    return seen.weights[path].value.ndim > 1 and "bias" not in named


def _joined(
    parts: list[tuple[Member, Floats]], n_units: int
) -> tuple[Ints, Floats]:
    """Lays the rows of each unit side by side; where one has fewer, zeros."""
    columns = []
    present = np.zeros(n_units, bool)
    for member, rows in parts:
        counts = np.zeros(n_units, np.int64)
        each = int(np.bincount(member.units[member.units >= 0]).max(initial=0))
        table = np.zeros((n_units, each, rows.shape[1]))
        for position, unit in enumerate(member.units):
            if unit >= 0:
                table[unit, counts[unit]] = rows[position]
                counts[unit] += 1
        present |= counts > 0
        columns.append(table.reshape(n_units, -1))
    return np.flatnonzero(present), np.concatenate(columns, axis=1)[present]


def _distances(vectors: Floats) -> Floats:
    """The mean Euclidean distance of each row to the others."""
    vectors = vectors - vectors.mean(axis=0)
    squares = np.square(vectors).sum(axis=1)
    means = np.zeros(len(vectors))
    for start in range(0, len(vectors), _ROWS):
        stop = min(start + _ROWS, len(vectors))
        products = vectors[start:stop] @ vectors.T
        gaps = squares[start:stop, None] + squares - 2 * products
        gaps[np.arange(stop - start), np.arange(start, stop)] = 0.0
        means[start:stop] = np.sqrt(np.maximum(gaps, 0.0)).sum(axis=1)
    return means / max(len(vectors) - 1, 1)
