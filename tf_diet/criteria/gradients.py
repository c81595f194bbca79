# SPDX-License-Identifier: MIT
"""Criteria that ask what the loss would say if a unit's weights changed.

The model must be compiled with its loss; see `accumulation`.
"""

from typing import ClassVar

import numpy as np

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.criterion import Criterion, Seen
from tf_diet.criteria.weights import producers, rows_of
from tf_diet.errors import InputError
from tf_diet.extensions import register_criterion
from tf_diet.graph.groups import Group, Member

BATCH = 32

_SIGNS = {"largest": 1.0, "smallest": -1.0}


class OfGradients(Criterion):
    """What criteria of gradients share.

    Units none of whose producing weights trains cannot be judged: they stay.

    Args:
        reduce: "sum", "mean" or "max" over the weights that produce a unit.
        batch_size: the most examples that one gradient is taken of.
    """

    needs = frozenset({"weights", "gradients"})
    blind = "no weight that produces them trains"

    def __init__(self, reduce: str = "sum", batch_size: int = BATCH) -> None:
        super().__init__(reduce)
        self.batch_size = batch_size

    def members(self, group: Group, seen: Seen) -> list[Member]:
        """The weights that produce units and have gradients."""
        return [m for m in producers(group, seen) if m.path in seen.gradients]


@register_criterion()
class Gradient(OfGradients):
    """The sum of the absolute gradients of the weights that produce a unit.

    Gradients are taken batch by batch and their absolute values accumulated.

    Args:
        keep: "largest" keeps units that the loss still moves; "smallest"
            those that have settled.
        reduce: "sum", "mean" or "max" over those weights.
        batch_size: the most examples that one gradient is taken of.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3 (gradient, max and min).
    """

    accumulates = frozenset({"absolute"})

    def __init__(
        self,
        keep: str = "largest",
        reduce: str = "sum",
        batch_size: int = BATCH,
    ) -> None:
        super().__init__(reduce, batch_size)
        self.keep = keep

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        if self.keep not in _SIGNS:
            raise InputError(
                f"Unknown choice of criterion {self.name!r}. Received: "
                f"keep={self.keep!r}. Known: {', '.join(_SIGNS)}."
            )
        parts = []
        for member in self.members(group, seen):
            absolute = _known(seen.gradients[member.path].absolute)
            parts.append((member.units, rows_of(member, absolute).sum(axis=1)))
        summed = self.combine(parts, group.n_units, missing=np.inf)
        unseen = np.isinf(summed)
        return np.where(unseen, np.inf, _SIGNS[self.keep] * summed)


@register_criterion()
class GradientMin(Gradient):
    """`Gradient(keep="smallest")` under a name of its own.

    Args:
        reduce: "sum", "mean" or "max" over the weights that produce a unit.
        batch_size: the most examples that one gradient is taken of.
    """

    def __init__(self, reduce: str = "sum", batch_size: int = BATCH) -> None:
        super().__init__("smallest", reduce, batch_size)


@register_criterion()
class Taylor(OfGradients):
    """The first-order change of the loss if a unit's weights became zero.

    The absolute value of the sum of weight times mean gradient: within a unit
    the signs count, as they do in the loss.

    Args:
        reduce: "max" over the weights that produce a unit, of the absolute
            value of each; or "sum" or "mean" of them, whose absolute value
            is taken afterwards.
        batch_size: the most examples that one gradient is taken of; it makes
            no difference but to time and memory.

    Source:
        Molchanov et al., "Importance estimation for neural network pruning",
        CVPR 2019, eq. 8 (there squared).
    """

    accumulates = frozenset({"mean"})

    def __init__(self, reduce: str = "max", batch_size: int = BATCH) -> None:
        super().__init__(reduce, batch_size)

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = []
        for member in self.members(group, seen):
            mean = _known(seen.gradients[member.path].mean)
            weight = rows_of(member, seen.weights[member.path].value)
            change = (weight * rows_of(member, mean)).sum(axis=1)
            if self.reduce == "max":
                change = np.abs(change)
            parts.append((member.units, change))
        return np.abs(self.combine(parts, group.n_units, missing=np.inf))


@register_criterion()
class Obd(OfGradients):
    """The second-order change of the loss if a unit's weights became zero.

    Half the sum of the squared weights times the diagonal of the Hessian, for
    which the mean square of the gradients of single examples stands in.

    Args:
        reduce: "sum", "mean" or "max" over the weights that produce a unit.
        batch_size: the most examples that one gradient is taken of; more than
            1 is faster and blurs the diagonal.

    Source:
        LeCun et al., "Optimal brain damage", NeurIPS 1989, eq. 5; the
        empirical Fisher as in Theis et al., "Faster gaze prediction with dense
        networks and Fisher pruning", 2018, eq. 8.
    """

    accumulates: ClassVar[frozenset[str]] = frozenset({"square"})

    def __init__(self, reduce: str = "sum", batch_size: int = 1) -> None:
        super().__init__(reduce, batch_size)

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = []
        for member in self.members(group, seen):
            square = _known(seen.gradients[member.path].square)
            weight = rows_of(member, seen.weights[member.path].value)
            change = (weight**2 * rows_of(member, square)).sum(axis=1) / 2
            parts.append((member.units, change))
        return self.combine(parts, group.n_units, missing=np.inf)


def _known(value: Array | None) -> Array:
    assert value is not None, "what `accumulates` names is accumulated"
    return value
