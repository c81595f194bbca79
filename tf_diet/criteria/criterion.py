# SPDX-License-Identifier: MIT
"""What a criterion is, what it may look at, and where criteria are filed."""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.errors import InputError
from tf_diet.extensions import criteria as criteria
from tf_diet.extensions import register_criterion as register_criterion
from tf_diet.graph.groups import Group
from tf_diet.registry import name_of, snake_case

_REDUCE: dict[str, Callable[..., Floats]] = {
    "sum": np.nansum,
    "mean": np.nanmean,
    "max": np.nanmax,
}


@dataclass(frozen=True, eq=False)
class Weight:
    """A weight as a criterion sees it.

    Args:
        value: the numbers.
        trainable: False for statistics, such as a moving mean.
    """

    value: Array
    trainable: bool


@dataclass(frozen=True, eq=False)
class Accumulated:
    """What the gradients of the loss with respect to one weight came to.

    Means over the batches of the calibration data; None where a criterion did
    not ask for it.

    Args:
        mean: of the gradient.
        absolute: of its absolute value.
        square: of its square.
    """

    mean: Array | None = None
    absolute: Array | None = None
    square: Array | None = None


@dataclass(frozen=True, eq=False)
class Observed:
    """What was seen of a group's units in one tensor.

    Args:
        x: activations, one column a channel.
        units: the unit of each column.
        y: the target of each row; None where it was not asked for.
        whole: a row is a whole example, not a position in one.
        inputs: what the layer that makes the units took at the place of each
            row; None where it was not asked for.
    """

    x: Array
    units: Ints
    y: Array | None
    whole: bool
    inputs: Array | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """Everything that a criterion may look at to score a group.

    Args:
        weights: every weight of the model by its path.
        sites: the group's activations and their targets; empty where they
            were not asked for.
        seed: of every random choice.
        gradients: what was accumulated of the gradient of each trainable
            weight, by path; empty where it was not asked for.
    """

    weights: Mapping[str, Weight]
    sites: tuple[Observed, ...]
    seed: int
    gradients: Mapping[str, Accumulated] = field(default_factory=dict)


class Criterion(abc.ABC):
    """How much a unit matters; the larger the score, the longer it stays.

    A subclass says what it needs and scores one group at a time. Its
    constructor only stores. `needs` may hold "weights", "gradients",
    "activations", "inputs" (of the layers that make the units) and "targets".

    Args:
        reduce: "sum", "mean" or "max": how the scores of a unit at several
            weights or tensors become one.

    Example:
        >>> @register_criterion()
        ... class Peak(Criterion):
        ...     needs = frozenset({"activations"})
        ...
        ...     def score(self, group, seen):
        ...         peaks = [(s.units, s.x.max(axis=0)) for s in seen.sites]
        ...         return self.combine(peaks, group.n_units)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    # What is accumulated where `needs` has "gradients": each takes as much
    # memory as the weights do.
    accumulates: ClassVar[frozenset[str]] = frozenset({"mean"})
    # Why it scores some units infinity, if it does: they stay, and the plan
    # gives this reason.
    blind: ClassVar[str] = ""
    # Of how many examples a gradient is taken at a time.
    batch_size: int = 32
    # What of the targets is compared with units, and by how many positions a
    # unit may come later than them; see `MutualInformation`.
    target_features: Callable[[Array], Any] | None = None
    lags: Sequence[int] = (0,)

    def __init__(self, reduce: str = "sum") -> None:
        self.reduce = reduce

    @property
    def name(self) -> str:
        """The name that the class is registered under by default."""
        return snake_case(type(self).__name__)

    @abc.abstractmethod
    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group.

        Args:
            group: the units.
            seen: what `needs` asked for.

        Returns:
            One finite number a unit, shape (group.n_units,); infinity for a
            unit that it cannot judge, if `blind` says why.
        """

    def combine(
        self,
        parts: Sequence[tuple[Ints, Floats]],
        n_units: int,
        missing: float = 0.0,
    ) -> Floats:
        """Reduces scores seen at several places to one score a unit.

        Args:
            parts: pairs of the unit of each position, -1 for none, and the
                score of each position.
            n_units: how many units there are.
            missing: the score of units that no part holds.

        Returns:
            Scores, shape (n_units,).

        Raises:
            InputError: `reduce` is unknown.
        """
        if self.reduce not in _REDUCE:
            raise InputError(
                f"Unknown reduction of criterion {self.name!r}. Received: "
                f"reduce={self.reduce!r}. Known: {', '.join(_REDUCE)}."
            )
        if not parts:
            return np.full(n_units, missing)
        units = np.concatenate([part for part, _ in parts])
        values = np.concatenate([value for _, value in parts]).astype(float)
        values, units = values[units >= 0], units[units >= 0]
        # A row a unit, as wide as the unit with most places.
        order = np.argsort(units, kind="stable")
        counts = np.bincount(units, minlength=n_units)
        starts = np.cumsum(counts) - counts
        place = np.arange(len(units)) - starts[units[order]]
        table = np.full((n_units, int(counts.max(initial=1))), np.nan)
        table[counts == 0] = missing
        table[units[order], place] = values[order]
        return _REDUCE[self.reduce](table, axis=1)

    def estimators(self, sites: Sequence[Observed]) -> list[str]:
        """Returns the names of the estimators that it uses, for the plan.

        Args:
            sites: what is seen of a group.
        """
        return []

    def settings(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data."""
        return {
            name: value
            if isinstance(value, int | float | bool | None)
            else name_of(value)
            for name, value in vars(self).items()
        }

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.settings().items())
        return f"{type(self).__name__}({settings})"


def get(identifier: str | Criterion) -> Criterion:
    """Returns a criterion by whatever stands for one.

    Args:
        identifier: a registered name, a class, an instance, or
            `{"class_name": name, "config": arguments}`.

    Raises:
        InputError: it is none of these.
    """
    found: Criterion = criteria.resolve(identifier, Criterion)
    return found


def without_data() -> list[str]:
    """Returns the names of the criteria that look at weights alone."""
    return [
        name
        for name in criteria.names()
        if criteria.get(name).needs <= {"weights"}
    ]
