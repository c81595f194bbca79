"""Criteria that ask what units know about the target."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tf_diet.criteria.criterion import (
    Array,
    Criterion,
    Floats,
    Observed,
    Seen,
    register_criterion,
)
from tf_diet.criteria.estimators import Estimator, gain, mutual_information
from tf_diet.graph.groups import Group


@register_criterion()
class MutualInformation(Criterion):
    """The mutual information of a unit's activation with the target, nats.

    A unit that is seen in several tensors counts with the tensor that knows
    most: views of one unit are not independent, so their sum would count the
    same information again and again.

    Args:
        method: an estimator, by name or as a function; "auto" picks by the
            target. Integers count as classes where there is one for a whole
            example, and as ordered codes, such as mu-law, where there is one
            for each position.
        target_features: a function of the targets of a batch that returns
            what units are to be compared with, (examples, features) or
            (examples, positions, features).
        reduce: "max", "mean" or "sum" over the tensors that carry the unit.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3; the estimators are our own.
    """

    needs = frozenset({"activations", "targets"})

    def __init__(
        self,
        method: str | Estimator = "auto",
        target_features: Callable[[Array], Any] | None = None,
        reduce: str = "max",
    ) -> None:
        super().__init__(reduce)
        self.method = method
        self.target_features = target_features

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = [
            (
                site.units,
                mutual_information(site.x, _target(site), self._of(site)),
            )
            for site in seen.sites
        ]
        return self.combine(parts, group.n_units)

    def _of(self, site: Observed) -> str | Estimator:
        named = self.method == "auto" and _are_classes(site)
        return "classes" if named else self.method


@register_criterion()
class InformationGain(Criterion):
    """The share of the target that a unit adds to the units before it.

    Units of a group enter in greedy order, so copies of a unit count nothing
    and the scores of a group add up to what the whole group explains.

    Args:
        target_features: see `MutualInformation`.
        reduce: "max", "mean" or "sum" over the tensors that carry the unit.
    """

    needs = frozenset({"activations", "targets"})

    def __init__(
        self,
        target_features: Callable[[Array], Any] | None = None,
        reduce: str = "max",
    ) -> None:
        super().__init__(reduce)
        self.target_features = target_features

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = []
        for site in seen.sites:
            y = _target(site)
            y = y.astype(str) if _are_classes(site) else y
            parts.append((site.units, gain(site.x, y)))
        return self.combine(parts, group.n_units)


def _target(site: Observed) -> Array:
    assert site.y is not None, "a criterion that needs targets gets them"
    return site.y


def _are_classes(site: Observed) -> bool:
    y = _target(site)
    return site.whole and np.issubdtype(y.dtype, np.integer) and y.ndim == 1
