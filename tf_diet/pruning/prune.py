# SPDX-License-Identifier: MIT
"""The front door: plan a removal, or do it in one go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tf_diet.criteria.criterion import Criterion
from tf_diet.criteria.ranking import rank as rank_units
from tf_diet.criteria.scores import Scores
from tf_diet.errors import InputError
from tf_diet.extensions import scalings, scopes
from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Pinned
from tf_diet.graph.labels import Mask
from tf_diet.graph.savings import savings
from tf_diet.pruning.budget import Budget, most_parameters
from tf_diet.pruning.limits import Bound, Limits, listed
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.repair.methods import Repair
from tf_diet.pruning.repair.repair import check_repair
from tf_diet.pruning.repair.repair import repair as repaired
from tf_diet.pruning.scaling import Scaling
from tf_diet.pruning.selection import (
    Kept,
    Order,
    Scope,
    Values,
    check_order,
    select,
    whole_model,
)


def plan(
    model: keras.Model,
    data: Any = None,
    *,
    rate: float | None = None,
    to: Budget | None = None,
    criterion: str | Criterion = "mutual_information",
    scope: str | Scope = "global",
    scaling: str | Scaling = "rank",
    limits: Limits | None = None,
    seed: int = 0,
) -> PruningPlan:
    """Decides which units of a model go.

    Args:
        model: a functional or Sequential Keras model; it is not touched.
        data: calibration data, `(x, y)` as `fit` takes them, a `PyDataset`
            or a `tf.data.Dataset`; criteria that look at weights alone need
            none. Sample weights, if any, count for criteria of gradients.
        rate: the share of the model's parameters to remove, in (0, 1); this
            or `to`, not both.
        to: what the smaller model may cost: units go until every bound of
            the budget is met.
        criterion: how much a unit matters: a registered name or an instance.
        scope: whom a unit is ranked against: "global", "local",
            "isomorphic", "global_then_local", or a function.
        scaling: how scores are made comparable: "rank", "none", "max" (the
            paper's), "dimension", "z_score", "fan_in", "fan_out",
            "per_parameter", "per_flop", "per_byte", or a function.
        limits: what must be respected.
        seed: of every random choice.

    Returns:
        The plan; `plan.apply(model)` makes the smaller model.

    Raises:
        InputError: rate or budget, a name, a limit or the data cannot be
            used, or the budget is below the least that the limits allow.
        UnsupportedModelError: the model cannot be walked.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3 (global trimming, information criterion).
    """
    goal = _goal(rate, to)
    how = _How(goal, criterion, scope, scaling, limits or Limits(), seed)
    return how.decide(model, data)[0]


def prune(
    model: keras.Model,
    data: Any = None,
    *,
    rate: float | None = None,
    to: Budget | None = None,
    criterion: str | Criterion = "mutual_information",
    scope: str | Scope = "global",
    scaling: str | Scaling = "rank",
    limits: Limits | None = None,
    repair: str | Repair | None = None,
    seed: int = 0,
) -> keras.Model:
    """Returns a smaller model; see `plan` for the other arguments.

    Args:
        model: the model; it is not touched.
        data: calibration data; a repair needs it whatever the criterion.
        rate: see `plan`.
        to: see `plan`.
        criterion: see `plan`.
        scope: see `plan`.
        scaling: see `plan`.
        limits: see `plan`.
        repair: how removed units are made up for before any retraining:
            "bias", "least_squares", a registered name or an instance.
        seed: of every random choice.

    Raises:
        InputError: as `plan`, and where a repair is unknown or has no data.

    Example:
        >>> small = tf_diet.prune(model, (x, y), rate=0.5)
        >>> small = tf_diet.prune(model, (x, y), to=Budget(flops=1e6))
    """
    goal = _goal(rate, to)
    how = _How(goal, criterion, scope, scaling, limits or Limits(), seed)
    if repair is not None:
        # Ranking may take long: what is wrong is said before.
        check_repair(repair, data)
    made, graph = how.decide(model, data)
    small = made.cut(model, graph)
    if repair is not None:
        repaired(model, small, made, data, repair, seed)
    return small


def _goal(rate: float | None, to: Budget | None) -> float | Budget:
    """Checks that one goal is given, and that it can be meant."""
    if (rate is None) == (to is None):
        raise InputError(
            "Pruning needs one goal: rate, the share of the parameters to "
            "remove, or to, a Budget of what may be left. Received: "
            f"rate={rate!r}, to={to!r}. Pass one, such as rate=0.5 or "
            "to=Budget(parameters=50_000)."
        )
    if to is not None:
        if not isinstance(to, Budget):
            raise InputError(
                f"to is what the model may cost. Received: to={to!r}. Pass a "
                "Budget, such as to=Budget(parameters=50_000)."
            )
        to.bounds()
        return to
    if not isinstance(rate, int | float) or not 0 < rate < 1:
        raise InputError(
            "rate is the share of the parameters to remove. "
            f"Received: rate={rate!r}. Pass a number between 0 and 1, both "
            "excluded, such as 0.5."
        )
    return float(rate)


@dataclass(frozen=True, eq=False)
class _How:
    """How units are chosen."""

    goal: float | Budget
    criterion: str | Criterion
    scope: str | Scope
    scaling: str | Scaling
    limits: Limits
    seed: int

    def decide(
        self, model: keras.Model, data: Any
    ) -> tuple[PruningPlan, ChannelGraph]:
        """Returns the plan, and the graph that it was made on."""
        scope, scaling, limits = self.scope, self.scaling, self.limits
        order_of = scopes.resolve(scope)
        scale = scalings.resolve(scaling)
        graph = build(model, limits.options())
        # Ranking may take long: what cannot be met is said before.
        bounds = limits.bounds(graph)
        if isinstance(self.goal, Budget):
            self.least(graph, bounds)
        scores = rank_units(model, graph, data, self.criterion, seed=self.seed)
        values = _comparable(scores, scale(scores.values, graph), bounds)
        order = order_of(values, graph)
        check_order(order, graph)
        order = [u for u in order if np.isfinite(values[u[0]][u[1]])]
        kept, met = self.select(graph, order, bounds)
        return self.report(graph, scores, kept, met), graph

    def select(
        self, graph: ChannelGraph, order: Order, bounds: Sequence[Bound]
    ) -> tuple[Kept, bool]:
        """Cuts an order where the goal is met."""
        goal = self.goal

        def met(alive: Mask) -> bool:
            if isinstance(goal, Budget):
                return goal.met(goal.costs(graph, alive))
            return graph.parameters(alive) <= most

        if not isinstance(goal, Budget):
            most = most_parameters(graph.parameters(), goal)
        return select(graph, order, bounds, met, self.limits.round_to)

    def least(self, graph: ChannelGraph, bounds: Sequence[Bound]) -> None:
        """Checks a budget against a model of which all goes that may.

        Where units of a group differ in cost, the dear ones go first.

        Raises:
            InputError: a bound is below that.
        """
        assert isinstance(self.goal, Budget)
        saved = savings(graph).parameters
        dear = {n: -mine.astype(np.float64) for n, mine in saved.items()}
        order = whole_model(dear, graph)
        kept, met = self.select(graph, order, bounds)
        if not met:
            raise self.unreachable(graph, kept)

    def unreachable(self, graph: ChannelGraph, kept: Kept) -> InputError:
        """Returns the error of a budget that the least does not meet."""
        assert isinstance(self.goal, Budget)
        asked = self.goal.bounds()
        costs = self.goal.costs(graph, graph.alive(kept))
        least = [
            f"{name} {costs[name]:,} (asked for {top:,})"
            for name, top in asked.items()
        ]
        return InputError(
            "The budget is below the least that can be reached under these "
            f"limits. Received: {self.goal!r}. Least: {', '.join(least)}. "
            "Ask for no less, relax the limits (max_rate, min_width, keep, "
            "round_to), or start from a smaller model."
        )

    def report(
        self, graph: ChannelGraph, scores: Scores, kept: Kept, met: bool
    ) -> PruningPlan:
        """Returns what was chosen as a plan."""
        alive = graph.alive(kept)
        total, left = graph.parameters(), graph.parameters(alive)
        reached = (total - left) / max(total, 1)
        settings = {
            "criterion": scores.criterion,
            "scope": _name(self.scope),
            "scaling": _name(self.scaling),
            "seed": self.seed,
        }
        spent: Mapping[str, float] = {}
        rate, not_reached = None, ""
        if isinstance(self.goal, Budget):
            if not met:
                raise self.unreachable(graph, kept)
            settings["budget"] = self.goal.settings()
            spent = self.goal.costs(graph, alive)
        else:
            rate = self.goal
            if not met:
                not_reached = _short(rate, reached, kept)
        return PruningPlan(
            fingerprint=graph.fingerprint,
            kept_units={n: tuple(k.tolist()) for n, k in kept.items()},
            widths={group.name: group.n_units for group in graph.groups},
            rate=rate,
            reached=reached,
            settings=settings,
            cost_before=graph.cost(),
            cost_after=graph.cost(alive),
            barriers=graph.barriers,
            pinned=(*graph.pinned, *_unseen(scores)),
            alignment=dict(scores.alignment),
            not_reached=not_reached,
            options=graph.options,
            inexact=graph.inexact,
            spent=spent,
        )


def _short(rate: float, reached: float, kept: Kept) -> str:
    """Says why a rate is not reached."""
    widths = [f"{name} ({len(units)})" for name, units in kept.items()]
    return (
        f"asked to remove {rate:.1%} of the parameters, only "
        f"{reached:.1%} can go: every group is at its minimum: "
        f"{listed(widths) if widths else 'there is no removable group'}"
    )


def _comparable(
    scores: Scores, scaled: Values, bounds: Sequence[Bound]
) -> dict[str, NDArray[np.float64]]:
    """Checks scaled scores; those of units that must stay become infinite.

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
        value[~np.isfinite(raw)] = np.inf
        found[name] = value
    for bound in bounds:
        if bound.least >= bound.units.sum():
            found[bound.group][bound.units] = np.inf
    return found


def _unseen(scores: Scores) -> list[Pinned]:
    """Says which units stay because a criterion cannot see what they do."""
    reason = f"{scores.criterion!r} cannot score them: {scores.reason}"
    return [Pinned(name, n, reason) for name, n in scores.unseen.items()]


def _name(thing: Any) -> str:
    return (
        thing
        if isinstance(thing, str)
        else getattr(thing, "__name__", repr(thing))
    )
