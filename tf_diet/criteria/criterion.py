"""What a criterion is, what it may look at, and where criteria are filed."""

import abc
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tf_diet.errors import InputError
from tf_diet.graph.groups import Group
from tf_diet.registry import Registry, snake_case

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
class Observed:
    """What was seen of a group's units in one tensor.

    Args:
        x: activations, one column a channel.
        units: the unit of each column.
        y: the target of each row; None where it was not asked for.
        whole: a row is a whole example, not a position in one.
    """

    x: Array
    units: Ints
    y: Array | None
    whole: bool


@dataclass(frozen=True, eq=False)
class Seen:
    """Everything that a criterion may look at to score a group.

    Args:
        weights: every weight of the model by its path.
        sites: the group's activations and their targets; empty where they
            were not asked for.
        seed: of every random choice.
    """

    weights: Mapping[str, Weight]
    sites: tuple[Observed, ...]
    seed: int


class Criterion(abc.ABC):
    """How much a unit matters; the larger the score, the longer it stays.

    A subclass says what it needs and scores one group at a time. Its
    constructor only stores.

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
            One finite number a unit, shape (group.n_units,).
        """

    def combine(
        self, parts: Sequence[tuple[Ints, Floats]], n_units: int
    ) -> Floats:
        """Reduces scores seen at several places to one score a unit.

        Args:
            parts: pairs of the unit of each position, -1 for none, and the
                score of each position.
            n_units: how many units there are.

        Returns:
            Scores, shape (n_units,); 0 for units that no part holds.

        Raises:
            InputError: `reduce` is unknown.
        """
        if self.reduce not in _REDUCE:
            raise InputError(
                f"Unknown reduction of criterion {self.name!r}. Received: "
                f"reduce={self.reduce!r}. Known: {', '.join(_REDUCE)}."
            )
        if not parts:
            return np.zeros(n_units)
        units = np.concatenate([part for part, _ in parts])
        values = np.concatenate([value for _, value in parts]).astype(float)
        values, units = values[units >= 0], units[units >= 0]
        # A row a unit, as wide as the unit with most places.
        order = np.argsort(units, kind="stable")
        counts = np.bincount(units, minlength=n_units)
        starts = np.cumsum(counts) - counts
        place = np.arange(len(units)) - starts[units[order]]
        table = np.full((n_units, int(counts.max(initial=1))), np.nan)
        table[counts == 0] = 0.0
        table[units[order], place] = values[order]
        return _REDUCE[self.reduce](table, axis=1)

    def settings(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data."""
        return {
            name: getattr(value, "__name__", repr(value))
            if not isinstance(value, str | int | float | bool | None)
            else value
            for name, value in vars(self).items()
        }

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.settings().items())
        return f"{type(self).__name__}({settings})"


criteria: Registry[type[Criterion]] = Registry("criterion")
register_criterion = criteria.register


def get(identifier: str | Criterion) -> Criterion:
    """Returns a criterion by its registered name, or the instance given.

    Raises:
        InputError: the name is unknown, or it is neither.
    """
    if isinstance(identifier, Criterion):
        return identifier
    if isinstance(identifier, str):
        return criteria.get(identifier)()
    hint = ""
    if inspect.isclass(identifier):
        hint = f" Did you mean {identifier.__name__}()?"
    raise InputError(
        "A criterion is a registered name or an instance of Criterion. "
        f"Received: {identifier!r}. Known names: "
        f"{', '.join(criteria.names())}.{hint}"
    )


def without_data() -> list[str]:
    """Returns the names of the criteria that look at weights alone."""
    return [
        name
        for name in criteria.names()
        if criteria.get(name).needs <= {"weights"}
    ]
