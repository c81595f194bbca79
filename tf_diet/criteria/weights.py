"""Criteria that need no data."""

import zlib

import numpy as np

from tf_diet.criteria.criterion import (
    Criterion,
    Floats,
    Seen,
    register_criterion,
)
from tf_diet.graph.groups import Group, Member


@register_criterion()
class Magnitude(Criterion):
    """The sum of the absolute weights that produce a unit.

    Kernels, recurrent kernels and biases count, moving statistics do not.

    Args:
        reduce: "sum", "mean" or "max" over those weights.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3.
    """

    needs = frozenset({"weights"})

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        members = _preferred(group, seen)
        parts = []
        for member in members:
            value = np.abs(seen.weights[member.path].value.astype(np.float64))
            others = tuple(
                axis for axis in range(value.ndim) if axis != member.axis
            )
            parts.append((member.units, value.sum(axis=others)))
        return self.combine(parts, group.n_units)


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


def _preferred(group: Group, seen: Seen) -> list[Member]:
    """The trainable weights that produce units, or the nearest to it."""
    made = [m for m in group.members if m.role == "out"] or group.members
    trained = [m for m in made if seen.weights[m.path].trainable]
    return list(trained or made)
