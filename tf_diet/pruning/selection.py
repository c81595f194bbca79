"""From scores to units that stay: scopes give an order, the rate cuts it."""

import bisect
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tf_diet.graph.channels import ChannelGraph
from tf_diet.pruning.limits import Limits
from tf_diet.registry import Registry

Values = Mapping[str, NDArray[np.float64]]
Order = Sequence[tuple[str, int]]
Scope = Callable[[Values], Order]

scopes: Registry[Scope] = Registry("scope")
register_scope = scopes.register


@register_scope("global")
def whole_model(values: Values) -> Order:
    """Ranks all units of all groups against each other."""
    return _merge(values, lambda ranked: ranked)


@register_scope("local")
def each_group(values: Values) -> Order:
    """Ranks units within their group, and takes the same share of each."""
    return _merge(
        values, lambda ranked: (np.arange(len(ranked)) + 0.5) / len(ranked)
    )


def _merge(
    values: Values,
    key: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> list[tuple[str, int]]:
    """Orders units by a key of the sorted scores of their group."""
    names: list[str] = []
    units: list[NDArray[np.int64]] = []
    keys: list[NDArray[np.float64]] = []
    for name, scores in values.items():
        weakest = np.argsort(scores, kind="stable")
        units.append(weakest)
        keys.append(key(scores[weakest]))
        names += [name] * len(weakest)
    if not names:
        return []
    order = np.argsort(np.concatenate(keys), kind="stable")
    flat = np.concatenate(units)
    return [(names[i], int(flat[i])) for i in order]


def removable(graph: ChannelGraph, order: Order, limits: Limits) -> Order:
    """Returns the units of an order that may go, one after the other.

    Args:
        graph: the channel graph.
        order: units, those that go first in front.
        limits: what must be respected; any number of units from the front of
            the result does.
    """
    bounds: dict[str, list[tuple[list[bool], int]]] = {}
    spare: list[int] = []
    for bound in limits.bounds(graph):
        mine = bounds.setdefault(bound.group, [])
        mine.append((bound.units.tolist(), len(spare)))
        spare.append(int(bound.units.sum()) - bound.least)
    found = []
    for name, unit in order:
        touched = [number for units, number in bounds[name] if units[unit]]
        if all(spare[number] > 0 for number in touched):
            found.append((name, unit))
            for number in touched:
                spare[number] -= 1
    return found


def select(
    graph: ChannelGraph, order: Order, rate: float, limits: Limits | None = None
) -> tuple[dict[str, NDArray[np.int64]], float]:
    """Removes units in order until the share of parameters is gone.

    Args:
        graph: the channel graph.
        order: units, those that go first in front.
        rate: the share of the model's parameters to remove.
        limits: what must be respected, whatever the order.

    Returns:
        The kept units of each group, and the share that was reached: at
        least `rate` unless the limits allow no more.
    """
    limits = Limits() if limits is None else limits
    order = removable(graph, order, limits)
    total = graph.parameters()
    # Each group's first, second, ... unit to go, and its place in the order.
    places: dict[str, list[int]] = {group.name: [] for group in graph.groups}
    units: dict[str, list[int]] = {group.name: [] for group in graph.groups}
    for place, (name, unit) in enumerate(order):
        places[name].append(place)
        units[name].append(unit)
    going = {name: np.asarray(mine, np.int64) for name, mine in units.items()}

    def kept(count: int) -> dict[str, NDArray[np.int64]]:
        found = {}
        for group in graph.groups:
            gone = bisect.bisect_left(places[group.name], count)
            gone = _rounded(gone, group.n_units, limits.round_to)
            lives = np.ones(group.n_units, bool)
            lives[going[group.name][:gone]] = False
            found[group.name] = np.flatnonzero(lives)
        return found

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


def _rounded(gone: int, width: int, multiple: int) -> int:
    """Returns how many units go where a multiple must stay."""
    stays = -(-(width - gone) // multiple) * multiple
    return max(width - stays, 0)
