# SPDX-License-Identifier: MIT
"""What pruning must respect: who stays, and how much of a layer may go."""

import fnmatch
import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, TypeAlias

import keras
import numpy as np

from tf_diet.arrays import Bools
from tf_diet.errors import InputError
from tf_diet.graph.calls import Call
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.composite import sublayers
from tf_diet.graph.groups import MINIMUM_WIDTH, Options
from tf_diet.graph.names import held_labels, is_named, nothing, weighty
from tf_diet.graph.parts import parts

Pick: TypeAlias = str | keras.Layer | Callable[[keras.Layer], bool]
Units = Mapping[str, Bools]
# Of every group that max_rate says nothing about, 2 % stay, whatever a scope
# thinks of it: bottlenecks ruin models before the last parameters are gone.
MAX_RATE = 0.98


@dataclass(frozen=True, eq=False)
class Bound:
    """Units of one group of which some must stay.

    Args:
        group: its name.
        units: which of its units are counted.
        least: how many of those must stay.
    """

    group: str
    units: Bools
    least: int


@dataclass(frozen=True)
class Limits:
    """What pruning must respect, under every scope.

    A name is that of a group, of a layer, or of a nested model or composite
    layer, then meant for all in it; "*" and "?" stand for any characters. A
    layer that keeps its units keeps the channels of its output and what it
    has inside (heads), even where the group is called after another layer.

    Args:
        keep: what stays whole: names, patterns ("head*"), Keras layers, or
            predicates that are asked of each layer of the model.
        max_rate: the largest share of units that may go, of every group, or
            by name or pattern of groups and layers, where the name "" is
            every group; the strictest counts. A group that nothing is said
            about keeps at least 2 % of its units; 1.0 lifts that.
        min_width: how many units stay at least (or all, where there are no
            more), of every group, or by name or pattern as well; no group
            and no layer is emptied.
        round_to: the number of units that stay in a group is a multiple of
            this. A group that cannot lose so many stays whole, whatever its
            width; so does one that is narrower.
        tie: tuples of names of layers that lose the same units.
        exact: leave alone what can shrink only by giving up equivalence, such
            as channels that LayerNormalization takes statistics over.
        probe: let channels through unknown operations without weights that
            prove equivalent on random data.
    """

    keep: Pick | Sequence[Pick] = ()
    min_width: int | Mapping[str, int] = MINIMUM_WIDTH
    max_rate: float | Mapping[str, float] = MAX_RATE
    round_to: int = 1
    tie: Sequence[Sequence[str]] = ()
    exact: bool = True
    probe: bool = False

    def options(self) -> Options:
        """Returns what a channel graph is to be built with.

        Raises:
            InputError: a tie is not a tuple of two names or more.
        """
        for names in self.tie:
            if isinstance(names, str) or len(names) < 2:
                raise InputError(
                    "A tie joins two layers or more. "
                    f"Received: tie={self.tie!r}. Pass tuples of names, such "
                    "as tie=[('left', 'right')]."
                )
        ties = tuple(tuple(names) for names in self.tie)
        return Options(exact=self.exact, ties=ties, probe=self.probe)

    def by_name(self, graph: ChannelGraph) -> "Limits":
        """Returns these limits with the paths of layers in place of layers.

        They then hold for copies of the model, such as trimmed ones.

        Args:
            graph: of the model that the layers are in.

        Raises:
            InputError: a layer is not in the model.
        """
        places = _Places(graph)
        picks: list[Pick] = []
        for pick in self._picks():
            if isinstance(pick, keras.Layer):
                picks += [glob.escape(path) for path in places.paths(pick)]
            else:
                picks.append(pick)
        return replace(self, keep=tuple(dict.fromkeys(picks)))

    def _picks(self) -> Sequence[Pick]:
        keep = self.keep
        if isinstance(keep, str | keras.Layer) or callable(keep):
            return (keep,)
        return keep

    def bounds(self, graph: ChannelGraph) -> list[Bound]:
        """Returns how many units stay at least, of groups and parts of them.

        Args:
            graph: of the model that is to be pruned.

        Raises:
            InputError: a name matches nothing, a layer is not in the model, a
                number is out of range, or two limits contradict each other.
        """
        rates = _numbers("max_rate", self.max_rate, _rate)
        widths = _numbers("min_width", self.min_width, _width)
        _check("round_to", self.round_to, _width)
        places = _Places(graph)
        locked = self._locked(places)
        bounds = [Bound(g, units, units.sum()) for g, units in locked.items()]
        unnamed = dict(places.whole)
        for pattern, rate in rates.items():
            found = places.counted("max_rate", pattern)
            if pattern and rate and _covers(locked, found):
                raise InputError(
                    "Two limits contradict each other: keep says that all "
                    f"units of {pattern!r} stay, max_rate that some may go. "
                    f"Received: max_rate[{pattern!r}]={rate}. Leave one out."
                )
            for group, units in found:
                bounds.append(_share(group, units, rate))
                if units.all():
                    unnamed.pop(group, None)
        bounds += [_share(g, units, MAX_RATE) for g, units in unnamed.items()]
        for pattern, width in widths.items():
            for group, units in places.counted("min_width", pattern):
                bounds.append(Bound(group, units, min(width, units.sum())))
        bounds += [Bound(group, units, 1) for group, units in parts(graph)]
        for g in graph.groups:
            bounds.append(Bound(g.name, np.ones(g.n_units, bool), g.minimum))
        return _strictest(bounds)

    def _locked(self, places: "_Places") -> Units:
        """Returns the units that `keep` names."""
        locked: dict[str, Bools] = {}
        for pick in self._picks():
            for group, units in places.kept(pick):
                locked[group] = locked.get(group, False) | units
        return locked


class _Places:
    """Where names, layers and predicates point to in a graph."""

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph = graph
        self.whole = {g.name: np.ones(g.n_units, bool) for g in graph.groups}

    def kept(self, pick: Pick) -> list[tuple[str, Bools]]:
        """Returns the units of what an entry of `keep` points to.

        Raises:
            InputError: that is nothing.
        """
        calls = self.graph.walk.calls
        groups: list[str] = []
        if isinstance(pick, str):
            groups = fnmatch.filter(self.whole, pick)
            found = [c for c in calls if is_named(c, pick)]
        elif isinstance(pick, keras.Layer):
            found = self.held_by(pick)
        elif callable(pick):
            layers = [c for c in calls if isinstance(c.operation, keras.Layer)]
            found = [call for call in layers if pick(call.operation)]
        else:
            raise InputError(
                "keep takes names, patterns, layers and predicates. "
                f"Received: {pick!r}. Pass, say, keep=['head*']."
            )
        if not groups and not found:
            raise nothing(self.graph, "keep", getattr(pick, "name", pick))
        parts = [(name, self.whole[name]) for name in groups]
        return [*parts, *(p for call in found for p in self.held(call).items())]

    def held_by(self, layer: keras.Layer) -> list[Call]:
        """Returns the calls of what is in a layer, or that it is in."""
        inside = {id(part) for part in sublayers(layer)}
        return [
            call
            for call in self.graph.walk.calls
            if id(call.operation) in inside
            or any(layer is part for part in sublayers(call.operation))
        ]

    def paths(self, layer: keras.Layer) -> list[str]:
        """Returns the paths of the layers that are in a layer.

        Raises:
            InputError: the layer is not in the model.
        """
        found = [call.layer_path for call in self.held_by(layer)]
        if not found:
            raise nothing(self.graph, "keep", layer.name)
        return found

    def counted(self, limit: str, pattern: str) -> list[tuple[str, Bools]]:
        """Returns the units of each group and layer that a number is for.

        Args:
            limit: which number.
            pattern: for whom; every group where empty.

        Raises:
            InputError: no group and no layer with weights is called so.
        """
        if not pattern:
            return list(self.whole.items())
        groups = fnmatch.filter(self.whole, pattern)
        calls = [
            call for call in weighty(self.graph) if is_named(call, pattern)
        ]
        if not groups and not calls:
            raise nothing(self.graph, limit, pattern)
        parts = [(name, self.whole[name]) for name in groups]
        return [*parts, *(p for call in calls for p in self.held(call).items())]

    def held(self, call: Call) -> Units:
        """Returns the removable units that a call makes or passes on."""
        graph = self.graph
        mine = held_labels(graph, call)
        found = {}
        for number in np.unique(graph.group_of[mine]):
            if number >= 0:
                group = graph.groups[number]
                units = np.zeros(group.n_units, bool)
                units[graph.unit_of[mine[graph.group_of[mine] == number]]] = 1
                found[group.name] = units
        return found


def _covers(locked: Units, found: Sequence[tuple[str, Bools]]) -> bool:
    """Says whether all of some units are locked."""
    return bool(found) and all(
        name in locked and not (units & ~locked[name]).any()
        for name, units in found
    )


def _share(group: str, units: Bools, rate: float) -> Bound:
    """Returns the bound that at most a share of some units goes."""
    stays = units.sum() * (1 - rate)
    return Bound(group, units, int(np.ceil(stays - 1e-9)))


def _strictest(bounds: Sequence[Bound]) -> list[Bound]:
    """Leaves one bound for each set of units, the one that asks for most."""
    found: dict[tuple[str, bytes], Bound] = {}
    for bound in bounds:
        key = (bound.group, bound.units.tobytes())
        if key not in found or found[key].least < bound.least:
            found[key] = bound
    return list(found.values())


def _rate(value: Any) -> str:
    good = isinstance(value, Real) and 0 <= float(value) <= 1
    return "" if good else "lie between 0 and 1: it is a share of the units"


def _width(value: Any) -> str:
    good = isinstance(value, Integral) and int(value) >= 1
    return "" if good else "be a whole number of 1 or more"


def _check(limit: str, value: Any, wrong: Callable[[Any], str]) -> None:
    problem = "be a number" if isinstance(value, bool) else wrong(value)
    if problem:
        raise InputError(
            f"{limit} must {problem}. Received: {limit}={value!r}. "
            "No group can be emptied; name those to leave alone in keep."
        )


def _numbers(
    limit: str, value: Any, wrong: Callable[[Any], str]
) -> dict[str, Any]:
    """Returns numbers by pattern; the pattern of a lone number is empty."""
    numbers = dict(value) if isinstance(value, Mapping) else {"": value}
    for name, number in numbers.items():
        _check(f"{limit}[{name!r}]" if name else limit, number, wrong)
    return numbers
