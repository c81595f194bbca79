# SPDX-License-Identifier: MIT
"""How a round chooses units, checked before any training."""

from dataclasses import dataclass
from typing import Any

import keras

from tf_diet.criteria.criterion import Criterion
from tf_diet.criteria.criterion import get as criterion_of
from tf_diet.errors import InputError
from tf_diet.extensions import scalings, scopes
from tf_diet.graph.build import build
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.rebuild import rebuild
from tf_diet.pruning.repair.methods import Repair


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How a round chooses units; the fields are those of `LotteryDiet`."""

    criterion: str | Criterion
    scope: Any
    scaling: Any
    limits: Limits
    repair: str | Repair | None
    seed: int

    def check(self) -> None:
        """Says what is unknown before any training, not after it.

        Raises:
            InputError: a criterion, scope or scaling is.
        """
        criterion_of(self.criterion)
        for registry, given in ((scopes, self.scope), (scalings, self.scaling)):
            registry.resolve(given)


def lasting_limits(limits: Limits | None, model: keras.Model) -> Limits:
    """Returns limits that hold for the model of every round.

    Args:
        limits: as given; None for none.
        model: the full one.

    Raises:
        InputError: they do not fit the model, or name something that surgery
            opens: better said before the first training than after it.
    """
    if limits is None:
        return Limits()
    graph = build(model, limits.options())
    limits.bounds(graph)
    limits = limits.by_name(graph)
    copy, _ = rebuild(model, graph, graph.everything)
    try:
        limits.bounds(build(copy, limits.options()))
    except InputError as error:
        raise InputError(
            "The limits do not fit the trimmed model, in which layers that "
            "are made of other layers come out as those, under names of "
            f"their own. Received, for the model of the second round: {error}"
        ) from error
    return limits
