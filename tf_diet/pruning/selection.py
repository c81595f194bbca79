# SPDX-License-Identifier: MIT
"""From scores to units that stay: a scope gives an order, a goal cuts it.

A scope is any function of the scores of all groups and the channel graph that
returns units, those that go first in front.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_diet.arrays import Floats, Ints
from tf_diet.errors import InputError
from tf_diet.extensions import register_scope, scopes
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Group
from tf_diet.graph.labels import Mask
from tf_diet.graph.rule import own_variables
from tf_diet.graph.rule_table import rule_for
from tf_diet.pruning.limits import Bound

Values = Mapping[str, Floats]
Order = Sequence[tuple[str, int]]
Scope = Callable[[Values, ChannelGraph], Order]
Kept = dict[str, Ints]


@register_scope("global")
def whole_model(values: Values, graph: ChannelGraph) -> Order:
    """Ranks all units of all groups against each other."""
    return _ordered(values, values)


@register_scope("local")
def each_group(values: Values, graph: ChannelGraph) -> Order:
    """Ranks units within their group, and takes the same share of each."""
    return _ordered(values, {n: _shares(v) for n, v in values.items()})


@register_scope("isomorphic")
def like_structures(values: Values, graph: ChannelGraph) -> Order:
    """Ranks units within groups of like structure, the same share of each.

    Groups are alike where as many weights of the same kinds of layers make
    and read them, along the same axes; widths may differ. Scores are compared
    only there, and every class of groups loses the same share of its units.

    Source:
        Fang et al., "Isomorphic pruning for vision models", ECCV 2024,
        section 3.2.
    """
    kinds = _kinds(graph)
    classes: dict[Hashable, list[str]] = {}
    for name in values:
        alike = _structure(graph.group(name), kinds)
        classes.setdefault(alike, []).append(name)
    keys: dict[str, Floats] = {}
    for names in classes.values():
        shares = _shares(np.concatenate([values[name] for name in names]))
        ends = np.cumsum([len(values[name]) for name in names])[:-1]
        keys |= zip(names, np.split(shares, ends), strict=True)
    return _ordered(values, keys)


@dataclass(frozen=True)
class GlobalThenLocal:
    """Global until a group has lost a share, then the same from every group.

    Past that point global pruning makes bottlenecks of the groups it likes
    least. A group that cannot lose the share, because so few units may not
    stay, does not end the global part.

    Args:
        share: of the units of a group; what is left then goes in equal shares.

    Raises:
        InputError: when it is called with a share outside 0 to 1.

    Source:
        Esling et al., DAFx-20, section 5 (proposed there, not tried).
    """

    share: float = 0.9

    def __call__(self, values: Values, graph: ChannelGraph) -> Order:
        """Orders the units of all groups."""
        if not 0 < self.share < 1:
            raise InputError(
                "global_then_local switches at a share of the units of a "
                f"group. Received: share={self.share!r}. Pass a number "
                "between 0 and 1, such as 0.9."
            )
        order = whole_model(values, graph)
        quota = {}
        for name, mine in values.items():
            lost = math.ceil(self.share * len(mine))
            if len(mine) - lost >= graph.group(name).minimum:
                quota[name] = lost
        gone: Counter[str] = Counter()
        for place, (name, _) in enumerate(order):
            gone[name] += 1
            if gone[name] == quota.get(name):
                return [*order[: place + 1], *_evenly(order[place + 1 :])]
        return order


scopes.register("global_then_local")(GlobalThenLocal())


def _evenly(order: Order) -> Order:
    """Takes the same share of each group, in each the same order."""
    totals = Counter(name for name, _ in order)
    seen: Counter[str] = Counter()
    keys = []
    for name, _ in order:
        keys.append((seen[name] + 0.5) / totals[name])
        seen[name] += 1
    return [order[place] for place in np.argsort(keys, kind="stable")]


def _ordered(values: Values, keys: Values) -> list[tuple[str, int]]:
    """Orders all units by keys, and those of equal ones by their place."""
    if not keys:
        return []
    names = list(values)
    groups = np.repeat(np.arange(len(names)), [len(keys[n]) for n in names])
    units = np.concatenate([np.arange(len(keys[n])) for n in names])
    order = np.argsort(np.concatenate([keys[n] for n in names]), kind="stable")
    pairs = zip(groups[order].tolist(), units[order].tolist(), strict=True)
    return [(names[group], unit) for group, unit in pairs]


def _shares(scores: Floats) -> Floats:
    """Returns the share of scores up to each one, ties in order."""
    shares = np.empty(len(scores))
    order = np.argsort(scores, kind="stable")
    shares[order] = (np.arange(len(scores)) + 0.5) / max(len(scores), 1)
    return shares


def _kinds(graph: ChannelGraph) -> dict[str, str]:
    """Returns the kind of layer and the name there of each weight, by path."""
    named: dict[int, str] = {}
    for call in graph.walk.calls:
        rule = rule_for(call.operation)
        weights = rule.weights if rule else own_variables
        kind = type(call.operation).__name__
        for name, variable in weights(call.operation).items():
            named.setdefault(id(variable), f"{kind}.{name}")
    return {path: named[id(v)] for path, v in graph.variables.items()}


def _structure(group: Group, kinds: Mapping[str, str]) -> Hashable:
    """Returns what groups of like structure have in common."""
    return tuple(sorted((kinds[m.path], m.axis, m.role) for m in group.members))


def check_order(order: Order, graph: ChannelGraph) -> None:
    """Checks what a scope returned.

    Raises:
        InputError: it names a unit that is not there, or one twice.
    """
    widths = {group.name: group.n_units for group in graph.groups}
    wrong = [u for u in order if not 0 <= u[1] < widths.get(u[0], 0)]
    twice = len(order) - len(set(order))
    if wrong or twice:
        raise InputError(
            "A scope must return pairs of a group and a unit, each once. "
            f"Received: {twice} of {len(order)} repeated, {len(wrong)} that "
            f"the model has not, such as {wrong[:1]}. Return (name, unit) for "
            "units of the groups in the scores that the scope was given."
        )


def removable(order: Order, bounds: Sequence[Bound]) -> Order:
    """Returns the units of an order that may go, one after the other.

    Args:
        order: units, those that go first in front.
        bounds: what must stay, of `Limits.bounds`; any number of units from
            the front of the result leaves that.
    """
    touched: dict[str, list[list[int]]] = {}
    spare = [int(bound.units.sum()) - int(bound.least) for bound in bounds]
    for number, bound in enumerate(bounds):
        units = len(bound.units)
        mine = touched.setdefault(bound.group, [[] for _ in range(units)])
        for unit in np.flatnonzero(bound.units).tolist():
            mine[unit].append(number)
    found = []
    for name, unit in order:
        numbers = touched[name][unit]
        if all(spare[number] > 0 for number in numbers):
            found.append((name, unit))
            for number in numbers:
                spare[number] -= 1
    return found


def select(
    graph: ChannelGraph,
    order: Order,
    bounds: Sequence[Bound],
    met: Callable[[Mask], bool],
    round_to: int = 1,
) -> tuple[Kept, bool]:
    """Removes units in order until a goal is met.

    What n units from the front leave is contained in what fewer leave, also
    where counts are rounded, and no cost grows when units go: the least
    number that meets the goal is found by bisection.

    Args:
        graph: the channel graph.
        order: units, those that go first in front.
        bounds: what must stay, whatever the order.
        met: whether the goal is met when these labels live.
        round_to: the number of units that stay in a group is a multiple.

    Returns:
        The kept units of each group, and whether the goal is met; where it
        is not, all goes that may.
    """
    order = removable(order, bounds)
    # Each group's first, second, ... unit to go, and its place in the order.
    places: dict[str, list[int]] = {group.name: [] for group in graph.groups}
    units: dict[str, list[int]] = {group.name: [] for group in graph.groups}
    for place, (name, unit) in enumerate(order):
        places[name].append(place)
        units[name].append(unit)
    when = {name: np.asarray(mine, np.int64) for name, mine in places.items()}
    going = {name: np.asarray(mine, np.int64) for name, mine in units.items()}

    def kept(count: int) -> Kept:
        found = {}
        for group in graph.groups:
            gone = int(np.searchsorted(when[group.name], count))
            gone = _rounded(gone, group.n_units, round_to)
            lives = np.ones(group.n_units, bool)
            lives[going[group.name][:gone]] = False
            found[group.name] = np.flatnonzero(lives)
        return found

    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if met(graph.alive(kept(middle))):
            high = middle
        else:
            low = middle + 1
    chosen = kept(low)
    return chosen, met(graph.alive(chosen))


def _rounded(gone: int, width: int, multiple: int) -> int:
    """Returns how many units go where a multiple must stay."""
    stays = -(-(width - gone) // multiple) * multiple
    return max(width - stays, 0)
