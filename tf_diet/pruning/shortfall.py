# SPDX-License-Identifier: MIT
"""A goal that cannot be reached: what holds the rest, and what would do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from tf_diet.arrays import Bools
from tf_diet.errors import InputError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import MINIMUM_WIDTH, Held
from tf_diet.graph.held import held
from tf_diet.graph.savings import savings
from tf_diet.pruning.budget import Budget, nearest_rate
from tf_diet.pruning.limits import MAX_RATE, Limits
from tf_diet.pruning.selection import Kept, Order, select, whole_model

Seen = Mapping[str, Bools]
_SHOWN = 4
# How a rate is given in Python, and how less is allowed.
RATE_WORDS = ("rate=", "allow_less=True")


class Short(Protocol):
    """What is looked at in a plan."""

    @property
    def rate(self) -> float | None:
        """The share that was asked for."""

    @property
    def reached(self) -> float:
        """The share that goes."""

    @property
    def nearest_rate(self) -> float | None:
        """The largest share that works."""

    @property
    def not_reached(self) -> str:
        """What is short."""

    @property
    def held(self) -> Sequence[Held]:
        """What holds the rest."""


def dearest_first(graph: ChannelGraph, seen: Seen | None = None) -> Order:
    """Orders units by the parameters that they save, the most in front.

    Args:
        graph: the channel graph.
        seen: the units to order; all where it is left out.
    """
    saved = savings(graph).parameters
    order = whole_model(
        {n: -mine.astype(np.float64) for n, mine in saved.items()}, graph
    )
    if seen is None:
        return order
    return [unit for unit in order if seen[unit[0]][unit[1]]]


def holding(
    graph: ChannelGraph, limits: Limits, kept: Kept, seen: Seen
) -> tuple[Held, ...]:
    """Returns what holds the parameters that count and are left.

    Barriers and pins hold what lies in no removable unit. What limits hold is
    found by lifting one after the other and counting what more goes.

    Args:
        graph: the channel graph.
        limits: under which units were chosen.
        kept: what is left when all has gone that may.
        seen: which units the criterion could score.
    """
    found = [*held(graph)]
    never = sum(h.parameters for h in found) + sum(graph.constants.values())
    left = graph.parameters(graph.alive(kept))
    everyone = dearest_first(graph)
    scored = [unit for unit in everyone if seen[unit[0]][unit[1]]]
    for reason, order, lifted in _lifted(limits, scored, everyone):
        chosen, _ = select(
            graph,
            order,
            lifted.bounds(graph),
            lambda alive: False,
            lifted.round_to,
        )
        fewer = graph.parameters(graph.alive(chosen))
        if fewer < left:
            found.append(Held(reason, left - fewer))
            left = fewer
    if left > never:
        reason = (
            f"every group keeps {MINIMUM_WIDTH} units at least, every layer one"
        )
        found.append(Held(reason, left - never))
    return tuple(sorted(found, key=lambda h: -h.parameters))


def _lifted(
    limits: Limits, scored: Order, everyone: Order
) -> Iterator[tuple[str, Order, Limits]]:
    """Yields limits of which one more is lifted each time, with its name."""
    yield "the order in which the scope lets units go", scored, limits
    yield "the criterion cannot score them", everyone, limits
    if limits.keep:
        limits = replace(limits, keep=())
        yield "limits: keep", everyone, limits
    if limits.round_to != 1:
        said = f"limits: round_to={limits.round_to}"
        limits = replace(limits, round_to=1)
        yield said, everyone, limits
    if limits.max_rate != 1:
        said = "limits: max_rate"
        if limits.max_rate == MAX_RATE:
            said = (
                f"{1 - MAX_RATE:.0%} of every group stay by default, which "
                "Limits(max_rate=1.0) lifts"
            )
        limits = replace(limits, max_rate=1.0)
        yield said, everyone, limits
    if limits.min_width != MINIMUM_WIDTH:
        yield (
            "limits: min_width",
            everyone,
            replace(limits, min_width=MINIMUM_WIDTH),
        )


def said(held_by: Sequence[Held]) -> str:
    """Returns what holds parameters as one sentence, the most in front."""
    shown = [
        f"{h.reason} ({h.parameters:,} parameters)" for h in held_by[:_SHOWN]
    ]
    if len(held_by) > _SHOWN:
        rest = sum(h.parameters for h in held_by[_SHOWN:])
        more = len(held_by) - _SHOWN
        shown.append(f"{more} reasons more ({rest:,} parameters)")
    return "; ".join(shown)


def short_of_rate(rate: float, gone: int, graph: ChannelGraph) -> str:
    """Says in a sentence that less goes than was asked for.

    Args:
        rate: the share that was asked for.
        gone: how many parameters go.
        graph: the channel graph of the full model.
    """
    asked = f"asked to remove {percent(rate)} of the parameters"
    nearest = nearest_rate(gone, graph.counted)
    if nearest is None:
        why = (
            "every group stays whole"
            if graph.groups
            else ("there is no removable group")
        )
        return f"{asked}, none can go: {why}"
    return (
        f"{asked}, only {percent(nearest)} can go: every group is at its "
        "minimum"
    )


def short_of_budget(budget: Budget, costs: Mapping[str, float]) -> str:
    """Says in a sentence that more is left than was allowed."""
    over = [
        f"{name} {costs[name]:,} of {top:,}"
        for name, top in budget.bounds().items()
        if costs[name] > top
    ]
    return (
        f"the budget cannot be met, left are {', '.join(over)}: every group "
        "is at its minimum"
    )


def percent(share: float) -> str:
    """Returns a share as a percentage with as many digits as it has."""
    return f"{round(100 * share, 10):.10g}%"


def refused(
    plan: Short,
    model: str,
    words: tuple[str, str] = RATE_WORDS,
) -> InputError:
    """Returns the error of a rate that cannot be reached.

    Args:
        plan: of all that may go.
        model: its name.
        words: how a rate is given, and how less is allowed.
    """
    how, less = words
    nearest = plan.nearest_rate
    remedy = (
        f"Pass {how}{nearest!r}, relax what holds the rest, or pass {less} to "
        "remove what can go."
        if nearest is not None
        else "Relax what holds it, give layers of your own a rule "
        "(tf_diet.register_rule), or try Limits(exact=False) or "
        f"Limits(probe=True); {less} returns the model as it is."
    )
    return InputError(
        f"The goal cannot be reached: {plan.not_reached}. Received: "
        f"{how}{plan.rate!r} for the model {model!r}. What holds the rest: "
        f"{said(plan.held)}. {remedy}"
    )


def below_least(
    budget: Budget,
    costs: Mapping[str, float],
    held_by: Sequence[Held],
    constants: Mapping[str, int],
) -> InputError:
    """Returns the error of a budget that cannot be met.

    Args:
        budget: what was asked for.
        costs: of all that is left, for each bound.
        held_by: what holds it.
        constants: what no rate counts, and budgets do.
    """
    if constants:
        # A budget is of all parameters.
        count = sum(constants.values())
        held_by = [*held_by, Held("constants, on which no unit lies", count)]
        held_by = sorted(held_by, key=lambda h: -h.parameters)
    asked = budget.bounds()
    least = [
        f"{name} {costs[name]:,} (asked for {top:,})"
        for name, top in asked.items()
    ]
    enough: dict[str, Any] = {n: max(costs[n], top) for n, top in asked.items()}
    given = replace(budget, **enough).settings()
    enough_said = ", ".join(f"{name}={value}" for name, value in given.items())
    return InputError(
        "The budget is below the least that can be reached under these "
        f"limits. Received: {budget!r}. Least: {', '.join(least)}. What holds "
        f"it: {said(held_by)}. Pass to=Budget({enough_said}), relax the limits "
        "(max_rate, min_width, keep, round_to), or start from a smaller model."
    )
