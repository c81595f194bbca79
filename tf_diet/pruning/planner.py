# SPDX-License-Identifier: MIT
"""How a plan is made: rank, order, cut where the goal is met, report."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Floats
from tf_diet.criteria.criterion import Criterion
from tf_diet.criteria.criterion import get as criterion_of
from tf_diet.criteria.ranking import rank as rank_units
from tf_diet.criteria.scores import Scores
from tf_diet.errors import InputError
from tf_diet.extensions import scalings, scopes
from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Pinned
from tf_diet.graph.labels import Mask
from tf_diet.pruning.budget import Budget, most_parameters
from tf_diet.pruning.chosen import kept_without
from tf_diet.pruning.limits import Bound, Limits
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.scaling import Scaling
from tf_diet.pruning.selection import (
    Kept,
    Order,
    Scope,
    Values,
    check_order,
    select,
)
from tf_diet.pruning.shortfall import (
    RATE_WORDS,
    Seen,
    below_least,
    dearest_first,
    holding,
    refused,
    short_of_budget,
    short_of_rate,
)
from tf_diet.pruning.units import finite
from tf_diet.registry import name_of

Goal = float | Budget | Mapping[str, Sequence[int]]
# Which goals a plan may fall short of without an error.
RATES, BUDGETS = "rates", "budgets"


@dataclass(frozen=True, eq=False)
class Ranked:
    """What was found out of a model's units.

    Args:
        scores: of the criterion.
        values: by group, as scopes compare them; infinite where a unit must
            stay.
        scaled: the same, also of units that limits keep.
        order: the units that may go, those that go first in front.
    """

    scores: Scores
    values: Mapping[str, Floats]
    scaled: Mapping[str, Floats]
    order: Order

    def seen(self) -> Seen:
        """Returns which units the criterion could score."""
        return {n: np.isfinite(v) for n, v in self.scores.values.items()}

    def locked(self) -> dict[str, tuple[int, ...]]:
        """Returns the units that stay although they have a score, by group."""
        found = {}
        for name, seen in self.seen().items():
            held = np.flatnonzero(seen & ~np.isfinite(self.values[name]))
            if len(held):
                found[name] = tuple(held.tolist())
        return found

    def spared(self, kept: Kept, *, met: bool) -> dict[str, tuple[int, ...]]:
        """Returns the units that were passed over, by group.

        Args:
            kept: what stays, of all groups.
            met: whether the goal is; all units came up if not.
        """
        stays = {name: set(units.tolist()) for name, units in kept.items()}
        passed: dict[str, list[int]] = {}
        waiting: list[tuple[str, int]] = []
        for name, unit in self.order:
            if unit in stays[name]:
                waiting.append((name, unit))
                continue
            for group, other in waiting:
                passed.setdefault(group, []).append(other)
            waiting.clear()
        for group, other in () if met else waiting:
            passed.setdefault(group, []).append(other)
        return {name: tuple(sorted(mine)) for name, mine in passed.items()}


@dataclass(frozen=True, eq=False)
class Planner:
    """How units are chosen.

    Args:
        goal: the share of the parameters that goes, a budget, or the units
            that go by name.
        criterion: how much a unit matters.
        scope: whom a unit is ranked against.
        scaling: how scores are made comparable.
        limits: what must be respected; where units are given, None asks for
            no more than that no layer is emptied.
        seed: of every random choice.
    """

    goal: Goal
    criterion: str | Criterion
    scope: str | Scope
    scaling: str | Scaling
    limits: Limits | None
    seed: int

    def decide(
        self, model: keras.Model, data: Any, short: Collection[str] = (RATES,)
    ) -> tuple[PruningPlan, ChannelGraph]:
        """Returns the plan, and the graph that it was made on.

        Args:
            model: it is not touched.
            data: calibration data.
            short: which goals may be fallen short of: `RATES`, `BUDGETS`.

        Raises:
            InputError: a goal that must be reached cannot be.
        """
        goal, limits = self.goal, self.limits or Limits()
        order_of = scopes.resolve(self.scope)
        scale = scalings.resolve(self.scaling)
        graph = build(model, limits.options())
        if isinstance(goal, Mapping):
            return self.given(graph, goal), graph
        # Ranking may take long: what cannot be met is said before.
        bounds = limits.bounds(graph)
        strict = (BUDGETS if isinstance(goal, Budget) else RATES) not in short
        if strict and isinstance(goal, Budget):
            self.check_least(graph, goal, bounds)
        if strict and isinstance(goal, float):
            self.check_rate(graph, model.name)
        scores = rank_units(model, graph, data, self.criterion, seed=self.seed)
        scaled = _checked(scores, scale(scores.values, graph))
        values = _comparable(scores, scaled, bounds)
        order = order_of(values, graph)
        check_order(order, graph)
        order = [u for u in order if np.isfinite(values[u[0]][u[1]])]
        ranked = Ranked(scores, values, scaled, order)
        met = self.met(graph)
        kept, done = select(graph, order, bounds, met, limits.round_to)
        if not done and isinstance(goal, Budget):
            # Where units of a group differ in cost, the dear ones can do it.
            order = dearest_first(graph, ranked.seen())
            ranked = replace(ranked, order=order)
            kept, done = select(graph, order, bounds, met, limits.round_to)
        plan = self.report(graph, ranked, kept, met=done)
        if strict and not done:
            if isinstance(goal, Budget):
                raise below_least(goal, plan.spent, plan.held, plan.constants)
            raise refused(plan, model.name)
        return plan, graph

    def met(self, graph: ChannelGraph) -> Callable[[Mask], bool]:
        """Returns a function that says whether what lives meets the goal."""
        goal = self.goal
        if isinstance(goal, Budget):
            budget = goal
            return lambda alive: budget.met(budget.costs(graph, alive))
        assert isinstance(goal, float)
        counted = graph.counted
        most = graph.parameters() - counted + most_parameters(counted, goal)

        def met(alive: Mask) -> bool:
            return counted > 0 and graph.parameters(alive) <= most

        return met

    def check_least(
        self, graph: ChannelGraph, goal: Budget, bounds: Sequence[Bound]
    ) -> None:
        """Checks a budget against a model of which all goes that may.

        Where the criterion looks at weights alone, that is found out as soon
        by ranking.

        Raises:
            InputError: a bound is below that.
        """
        needs = criterion_of(self.criterion).needs
        if not needs - {"weights"}:
            return
        limits = self.limits or Limits()
        seen = _shown(graph, watched=bool(needs & {"activations", "inputs"}))
        order = dearest_first(graph, seen)
        met = self.met(graph)
        kept, done = select(graph, order, bounds, met, limits.round_to)
        if not done:
            costs = goal.costs(graph, graph.alive(kept))
            held = holding(graph, limits, kept, seen)
            raise below_least(goal, costs, held, graph.constants)

    def check_rate(
        self,
        graph: ChannelGraph,
        model: str,
        words: tuple[str, str] = RATE_WORDS,
    ) -> None:
        """Checks a rate against a model of which all goes that may.

        How many units of a group that are does not hang on their order. What
        is offered in place of the rate can be reached by the cheapest of
        them, whatever the criterion says.

        Args:
            graph: the channel graph.
            model: its name, for messages.
            words: how a rate is given, and how less is allowed.

        Raises:
            InputError: the rate is above that.
        """
        needs = criterion_of(self.criterion).needs
        if graph.groups and not needs - {"weights"}:
            # Ranking finds that out as soon, and exactly.
            return
        limits = self.limits or Limits()
        bounds = limits.bounds(graph)
        seen = _shown(graph, watched=bool(needs & {"activations", "inputs"}))
        order = dearest_first(graph, seen)
        met = self.met(graph)
        if select(graph, order, bounds, met, limits.round_to)[1]:
            return
        kept, _ = select(graph, order[::-1], bounds, met, limits.round_to)
        plan = self.report(graph, None, kept, met=False, seen=seen)
        raise refused(plan, model, words)

    def given(
        self, graph: ChannelGraph, remove: Mapping[str, Sequence[int]]
    ) -> PruningPlan:
        """Returns the plan of units of one's own choice."""
        limits = self.limits or Limits(max_rate=1.0)
        bounds = limits.bounds(graph)
        kept = kept_without(graph, remove, bounds, limits.round_to)
        return self.report(graph, None, kept, met=True)

    def report(
        self,
        graph: ChannelGraph,
        ranked: Ranked | None,
        kept: Kept,
        met: bool,
        seen: Seen | None = None,
    ) -> PruningPlan:
        """Returns what was chosen as a plan.

        Args:
            graph: the channel graph.
            ranked: what ranking found out; None without one.
            kept: what stays, of all groups.
            met: whether the goal is.
            seen: which units can be scored, where nothing was ranked.
        """
        goal, limits = self.goal, self.limits or Limits()
        alive = graph.alive(kept)
        gone = graph.parameters() - graph.parameters(alive)
        settings: dict[str, Any] = {}
        if isinstance(goal, Mapping):
            settings["remove"] = {n: list(units) for n, units in goal.items()}
        else:
            settings = {
                "criterion": criterion_of(self.criterion).name,
                "scope": name_of(self.scope),
                "scaling": name_of(self.scaling),
                "seed": self.seed,
            }
        spent: Mapping[str, float] = {}
        not_reached = ""
        if isinstance(goal, Budget):
            settings["budget"] = goal.settings()
            spent = goal.costs(graph, alive)
            if not met:
                not_reached = short_of_budget(goal, spent)
        elif isinstance(goal, float) and not met:
            not_reached = short_of_rate(goal, gone, graph)
        scores = ranked.scores if ranked else None
        if ranked:
            seen = ranked.seen()
        return PruningPlan(
            fingerprint=graph.fingerprint,
            kept_units={n: tuple(k.tolist()) for n, k in kept.items()},
            widths={group.name: group.n_units for group in graph.groups},
            rate=goal if isinstance(goal, float) else None,
            reached=gone / max(graph.counted, 1),
            settings=settings,
            cost_before=graph.cost(),
            cost_after=graph.cost(alive),
            barriers=graph.barriers,
            pinned=(*graph.pinned, *(_unseen(scores) if scores else ())),
            alignment=dict(scores.alignment) if scores else {},
            not_reached=not_reached,
            options=graph.options,
            inexact=graph.inexact,
            spent=spent,
            constants=dict(graph.constants),
            scores=_plain(scores.values) if scores else {},
            scaled=_plain(ranked.scaled) if ranked else {},
            locked=ranked.locked() if ranked else {},
            spared=ranked.spared(kept, met=met) if ranked else {},
            held=holding(graph, limits, kept, seen or {})
            if not_reached
            else (),
        )


def _checked(scores: Scores, scaled: Values) -> dict[str, Floats]:
    """Returns scaled scores as arrays.

    Raises:
        InputError: a scaling did not return one number a unit.
    """
    found = {}
    for name, raw in scores.values.items():
        value = np.array(scaled.get(name, ()), np.float64)
        if value.shape != raw.shape or np.isnan(value).any():
            raise InputError(
                "A scaling must return one number a unit, for every group. "
                f"Received: shape {value.shape} with "
                f"{int(np.isnan(value).sum())} NaN for the {len(raw)} units "
                f"of {name!r}. Return a dict of arrays by the names of groups."
            )
        found[name] = value
    return found


def _comparable(
    scores: Scores, scaled: Values, bounds: Sequence[Bound]
) -> dict[str, Floats]:
    """Returns scores of which those of units that must stay are infinite."""
    found = {}
    for name, raw in scores.values.items():
        found[name] = np.where(np.isfinite(raw), scaled[name], np.inf)
    for bound in bounds:
        if bound.least >= bound.units.sum():
            found[bound.group][bound.units] = np.inf
    return found


def _plain(values: Values) -> dict[str, tuple[float | None, ...]]:
    return {name: finite(mine) for name, mine in values.items()}


def _shown(graph: ChannelGraph, *, watched: bool) -> Seen:
    """Returns which units can be scored; of those watched, what tensors show.

    Args:
        graph: the channel graph.
        watched: the criterion looks at what units do.
    """
    found = {}
    for group in graph.groups:
        seen = np.full(group.n_units, not watched)
        for site in group.sites:
            seen[site.units[site.units >= 0]] = True
        found[group.name] = seen
    return found


def _unseen(scores: Scores) -> list[Pinned]:
    """Says which units stay because a criterion cannot see what they do."""
    reason = f"{scores.criterion!r} cannot score them: {scores.reason}"
    return [Pinned(name, n, reason) for name, n in scores.unseen.items()]
