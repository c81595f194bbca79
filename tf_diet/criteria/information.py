# SPDX-License-Identifier: MIT
"""Criteria that ask what units know, of the target or of their input."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tf_diet.arrays import Array, Floats
from tf_diet.criteria.criterion import Criterion, Observed, Seen
from tf_diet.criteria.estimators import (
    Estimator,
    chosen,
    gain,
    mutual_information,
)
from tf_diet.extensions import register_criterion
from tf_diet.graph.groups import Group
from tf_diet.registry import name_of

# Inputs wider than this are told by as many leading principal components.
COMPONENTS = 16


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
        lags: by how many of its own positions a unit may come later than the
            target; the best one counts.

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
        lags: Sequence[int] = (0,),
    ) -> None:
        super().__init__(reduce)
        self.method = method
        self.target_features = target_features
        self.lags = lags

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

    def estimators(self, sites: Sequence[Observed]) -> list[str]:
        """Returns the names of the estimators that the targets call for."""
        return [name_of(self._of(site)) for site in sites]

    def _of(self, site: Observed) -> str | Estimator:
        return chosen(self.method, _target(site), whole=site.whole)


@register_criterion()
class InformationGain(Criterion):
    """The share of the target that a unit adds to the units before it.

    Units of a group enter in greedy order, so copies of a unit count nothing
    and the scores of a group add up to what the whole group explains.

    Args:
        target_features: see `MutualInformation`.
        reduce: "mean", "max" or "sum" over the tensors that carry the unit.
        lags: see `MutualInformation`.
    """

    needs = frozenset({"activations", "targets"})

    def __init__(
        self,
        target_features: Callable[[Array], Any] | None = None,
        reduce: str = "mean",
        lags: Sequence[int] = (0,),
    ) -> None:
        super().__init__(reduce)
        self.target_features = target_features
        self.lags = lags

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = []
        for site in seen.sites:
            y = _target(site)
            if chosen("auto", y, whole=site.whole) == "classes":
                y = y.astype(str)
            parts.append((site.units, gain(site.x, y)))
        return self.combine(parts, group.n_units)


@register_criterion()
class InputInformation(Criterion):
    """The mutual information of a unit's activation with its layer's input.

    The input is what the layer that makes the unit takes, at the position of
    the unit. An input of more than 16 channels is told by its 16 leading
    principal components. Units of layers that take codes, such as an
    embedding, have no such input and stay.

    Args:
        method: an estimator, by name or as a function; "auto" picks "ladder"
            for an input of one channel and "vector" for others.
        reduce: "max", "mean" or "sum" over the layers that make the unit.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3 (information with the input); the
        components are our own.
    """

    needs = frozenset({"activations", "inputs"})
    blind = "no input is seen beside them"

    def __init__(
        self, method: str | Estimator = "auto", reduce: str = "max"
    ) -> None:
        super().__init__(reduce)
        self.method = method

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = []
        for site in seen.sites:
            y = _components(_input(site))
            nats = mutual_information(site.x, y, self._of(site))
            parts.append((site.units, nats))
        return self.combine(parts, group.n_units)

    def estimators(self, sites: Sequence[Observed]) -> list[str]:
        """Returns the names of the estimators that the inputs call for."""
        return [name_of(self._of(site)) for site in sites]

    def _of(self, site: Observed) -> str | Estimator:
        return chosen(self.method, _input(site))


def _components(inputs: Array) -> Array:
    """Projects wide inputs to their leading principal components."""
    if inputs.shape[1] <= COMPONENTS:
        return inputs
    centred = inputs.astype(np.float64) - inputs.mean(axis=0, dtype=float)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, : -COMPONENTS - 1 : -1]


def _input(site: Observed) -> Array:
    assert site.inputs is not None, "a criterion that needs inputs gets them"
    return site.inputs


def _target(site: Observed) -> Array:
    assert site.y is not None, "a criterion that needs targets gets them"
    return site.y
