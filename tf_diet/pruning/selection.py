"""From scores to units that stay: scopes give an order, the rate cuts it."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf_diet.errors import InputError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import MINIMUM_WIDTH
from tf_diet.registry import Registry

Values = Mapping[str, NDArray[np.float64]]
Floors = Mapping[str, int]
Order = Sequence[tuple[str, int]]
Scope = Callable[[Values, Floors], Order]

scopes: Registry[Scope] = Registry("scope")
register_scope = scopes.register


@dataclass(frozen=True)
class Limits:
    """What pruning must respect.

    Args:
        keep: names or patterns ("head*") of groups that stay whole.
        min_width: how many units every group keeps.
        max_rate: the largest share of a group's units that may go.
    """

    keep: tuple[str, ...] = ()
    min_width: int = MINIMUM_WIDTH
    max_rate: float = 1.0

    def floors(self, graph: ChannelGraph) -> dict[str, int]:
        """Returns how many units each group keeps at least.

        Raises:
            InputError: a pattern matches no group, or a number is out of
                range.
        """
        if self.min_width < 1:
            raise InputError(
                "min_width must be at least 1. "
                f"Received: {self.min_width}. A group cannot be emptied."
            )
        if not 0 <= self.max_rate <= 1:
            raise InputError(
                "max_rate must lie between 0 and 1. "
                f"Received: {self.max_rate}. It is a share of a group."
            )
        names = [group.name for group in graph.groups]
        for pattern in self.keep:
            if not fnmatch.filter(names, pattern):
                raise InputError(
                    "No group of the model has this name. Received: "
                    f"keep={pattern!r}. Groups: {', '.join(names)}."
                )
        floors = {}
        for group in graph.groups:
            kept = any(fnmatch.fnmatch(group.name, p) for p in self.keep)
            share = int(np.ceil(group.n_units * (1 - self.max_rate) - 1e-9))
            floor = group.n_units if kept else max(self.min_width, share)
            floors[group.name] = min(group.n_units, max(floor, group.minimum))
        return floors


@register_scope("global")
def whole_model(values: Values, floors: Floors) -> Order:
    """Ranks all units of all groups against each other."""
    return _merge(values, floors, lambda ranked: ranked)


@register_scope("local")
def each_group(values: Values, floors: Floors) -> Order:
    """Ranks units within their group, and takes the same share of each."""
    return _merge(
        values,
        floors,
        lambda ranked: (np.arange(len(ranked)) + 0.5) / len(ranked),
    )


def _merge(
    values: Values,
    floors: Floors,
    key: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> list[tuple[str, int]]:
    """Orders removable units by a key of the sorted scores of a group."""
    names: list[str] = []
    units: list[NDArray[np.int64]] = []
    keys: list[NDArray[np.float64]] = []
    for name, scores in values.items():
        weakest = np.argsort(scores, kind="stable")
        removable = max(len(scores) - floors[name], 0)
        units.append(weakest[:removable])
        keys.append(key(scores[weakest])[:removable])
        names += [name] * removable
    if not names:
        return []
    order = np.argsort(np.concatenate(keys), kind="stable")
    flat = np.concatenate(units)
    return [(names[i], int(flat[i])) for i in order]


def select(
    graph: ChannelGraph, order: Order, rate: float
) -> tuple[dict[str, NDArray[np.int64]], float]:
    """Removes units in order until the share of parameters is gone.

    Args:
        graph: the channel graph.
        order: removable units, those that go first in front.
        rate: the share of the model's parameters to remove.

    Returns:
        The kept units of each group, and the share that was reached: at
        least `rate` unless all of `order` is not enough.
    """
    total = graph.parameters()

    def kept(count: int) -> dict[str, NDArray[np.int64]]:
        lives = {g.name: np.ones(g.n_units, bool) for g in graph.groups}
        for name, unit in order[:count]:
            lives[name][unit] = False
        return {n: np.flatnonzero(mask) for n, mask in lives.items()}

    def removed(count: int) -> float:
        return 1 - graph.parameters(graph.alive(kept(count))) / total

    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if removed(middle) >= rate:
            high = middle
        else:
            low = middle + 1
    return kept(low), removed(low)
