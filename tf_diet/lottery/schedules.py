# SPDX-License-Identifier: MIT
"""How much is gone after each round, in tfmot's protocol.

A schedule is called with a step, here the number of the round, and returns
`(should_prune, sparsity)`: whether to prune at that step, and the share of
the parameters that is gone after it, of those of the full model that count
(see `tf_diet.plan`). So what tfmot makes, such as its `PolynomialDecay`, is
one too, and so is a plain function.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from tf_diet.errors import InputError
from tf_diet.extensions import register_schedule, schedules
from tf_diet.pruning.budget import Budget
from tf_diet.registry import name_of

# It may answer in tensors, as tfmot does.
Function = Callable[[int], tuple[Any, Any]]


class Line(Protocol):
    """What a schedule may look at in a finished round; see `Round`."""

    @property
    def parameters(self) -> int:
        """Elements of all weights."""

    @property
    def weights_left(self) -> float:
        """Share of the full model's parameters that count."""

    @property
    def flops(self) -> int:
        """Floating-point operations of one call."""

    @property
    def disk_bytes(self) -> int:
        """About how large a float32 `.tflite` file is."""

    @property
    def ram_bytes(self) -> int:
        """The largest input plus output of one call."""

    @property
    def validation_error(self) -> float:
        """Error on the validation data after training."""


class Schedule(ABC):
    """How much of the full model is gone after each round.

    Subclass and implement `__call__`; a schedule that looks at the finished
    rounds overrides `next` and sets `adaptive`. A function of the number of
    the round does as well where these two are not needed.

    Attributes:
        adaptive: `next` looks at the finished rounds, not only at how many
            there are, so that nobody knows beforehand how many will come.
    """

    adaptive: bool = False

    @abstractmethod
    def __call__(self, step: int) -> tuple[bool, float]:
        """Returns whether round `step` prunes, and the sparsity after it."""

    def next(self, history: Sequence[Line]) -> tuple[bool, float | Budget]:
        """Returns whether another round is due, and what is gone after it.

        Args:
            history: the rounds so far, the full model's first.

        Returns:
            Whether to go on, and the share of the full model's parameters
            that is gone, or a budget to meet.
        """
        due, sparsity = at(self, len(history))
        # One that no longer rises, such as tfmot's constant one, has no end.
        rises = sparsity > at(self, len(history) - 1)[1]
        return due and (rises or len(history) == 1), sparsity

    def budget(self) -> Budget | None:
        """Returns the budget that ends the run; None where none does."""
        return None


class _Given(Schedule):
    """What was given as a schedule and is not derived from `Schedule`.

    Its own `next` is asked, if it has one.
    """

    def __init__(self, given: Any) -> None:
        self.given = given
        self.adaptive = hasattr(given, "next")

    def __call__(self, step: int) -> tuple[bool, float]:
        due, sparsity = self.given(step)
        return bool(np.asarray(due)), float(np.asarray(sparsity))

    def next(self, history: Sequence[Line]) -> tuple[bool, float | Budget]:
        if not self.adaptive:
            return super().next(history)
        answer: tuple[bool, float | Budget] = self.given.next(history)
        return answer

    def __repr__(self) -> str:
        return name_of(self.given)


@register_schedule()
@dataclass(frozen=True)
class ConstantRate(Schedule):
    """Removes the same share of what remains in every round.

    Args:
        rate: the share of the remaining parameters that goes, in (0, 1).
        rounds: how many rounds; the paper does 15 at a rate of 0.3.

    Source:
        Esling et al., DAFx-20, section 4: 30 % in each of 15 iterations.
    """

    rate: float = 0.3
    rounds: int = 15

    def __call__(self, step: int) -> tuple[bool, float]:
        """Returns whether round `step` prunes, and the sparsity after it.

        Raises:
            InputError: rate or rounds is out of range.
        """
        if not 0 < self.rate < 1 or self.rounds < 1:
            raise InputError(
                "A schedule needs a rate in (0, 1) and at least one round. "
                f"Received: rate={self.rate}, rounds={self.rounds}. The paper "
                "uses rate=0.3, rounds=15."
            )
        return 1 <= step <= self.rounds, 1 - (1 - self.rate) ** step


@register_schedule()
@dataclass(frozen=True)
class Polynomial(Schedule):
    """Removes much at first and less and less towards the end.

    Args:
        final: the share of the full model's parameters that is gone after
            the last round, in (0, 1).
        rounds: how many rounds.
        power: 1 removes the same amount in every round.

    Source:
        Zhu and Gupta, "To prune, or not to prune", 2017, section 3 (there
        with power 3).
    """

    final: float = 0.9
    rounds: int = 10
    power: float = 3.0

    def __call__(self, step: int) -> tuple[bool, float]:
        """Returns whether round `step` prunes, and the sparsity after it.

        Raises:
            InputError: an argument is out of range.
        """
        if not 0 < self.final < 1 or self.rounds < 1 or self.power <= 0:
            raise InputError(
                "A schedule needs a final share in (0, 1), at least one round "
                f"and a power above 0. Received: final={self.final}, "
                f"rounds={self.rounds}, power={self.power}. Zhu and Gupta use "
                "power=3."
            )
        to_go = max(1 - step / self.rounds, 0.0)
        sparsity = self.final * (1 - to_go**self.power)
        return 1 <= step <= self.rounds, sparsity


@register_schedule()
@dataclass(frozen=True)
class Listed(Schedule):
    """Removes what a list says.

    Args:
        sparsities: the share of the full model's parameters that is gone
            after each round, rising, in (0, 1).
    """

    sparsities: Sequence[float]

    def __call__(self, step: int) -> tuple[bool, float]:
        """Returns whether round `step` prunes, and the sparsity after it.

        Raises:
            InputError: the list does not rise, or leaves (0, 1).
        """
        steps = [0.0, *self.sparsities, 1.0]
        if len(steps) < 3 or any(a >= b for a, b in pairwise(steps)):
            raise InputError(
                "A listed schedule needs rising shares in (0, 1). Received: "
                f"{list(self.sparsities)}. Pass what is gone in all after "
                "each round, such as [0.5, 0.8, 0.9]."
            )
        inside = 1 <= step <= len(self.sparsities)
        return inside, steps[min(step, len(self.sparsities))]


@register_schedule()
@dataclass(frozen=True)
class UntilError(Schedule):
    """Goes on as another schedule does until the error passes a bound.

    The last ticket below it is `run.best(error_multiplier=...)`.

    Args:
        error_multiplier: the largest validation error allowed, over that of
            the full model.
        schedule: the other one.
        patience: rounds above the bound that are borne before the run ends.
    """

    error_multiplier: float = 1.1
    schedule: Schedule | Function = ConstantRate()
    patience: int = 0
    adaptive = True

    def __call__(self, step: int) -> tuple[bool, float]:
        """Returns what the other schedule says."""
        return self.schedule(step)

    def budget(self) -> Budget | None:
        """Returns that of the other schedule."""
        return schedule_of(self.schedule).budget()

    def next(self, history: Sequence[Line]) -> tuple[bool, float | Budget]:
        """Returns whether to prune again, and the sparsity after it.

        Args:
            history: the rounds so far, the full model's first.
        """
        bound = self.error_multiplier * history[0].validation_error
        last = history[-1 - self.patience :]
        over = [line.validation_error > bound for line in last]
        going, sparsity = schedule_of(self.schedule).next(history)
        return going and not (len(over) > self.patience and all(over)), sparsity


@register_schedule()
@dataclass(frozen=True)
class UntilBudget(Schedule):
    """Removes the same share in every round until a budget is met.

    The last round removes no more than the budget asks for.

    Args:
        to: the budget.
        rate: the share of the remaining parameters that goes, in (0, 1).
    """

    to: Budget
    rate: float = 0.3
    adaptive = True

    def __call__(self, step: int) -> tuple[bool, float]:
        """Returns what it would remove if the budget were never met."""
        return ConstantRate(self.rate, max(step, 1))(step)

    def budget(self) -> Budget | None:
        """Returns the budget."""
        return self.to

    def next(self, history: Sequence[Line]) -> tuple[bool, float | Budget]:
        """Returns whether to prune again, and the share or the budget.

        Args:
            history: the rounds so far, the full model's first.
        """
        last = history[-1]
        costs = {name: getattr(last, name) for name in self.to.bounds()}
        if "flops" in costs:
            costs["flops"] *= self.to.calls_per_second
        if self.to.met(costs):
            return False, 1 - last.weights_left
        over = max(costs[n] / bound for n, bound in self.to.bounds().items())
        if over * (1 - self.rate) <= 1:
            return True, self.to
        left = last.weights_left * (1 - self.rate)
        return True, 1 - left


def ask(
    schedule: Schedule | Function, history: Sequence[Line]
) -> tuple[bool, float | Budget]:
    """Returns what `Schedule.next` says, also of a function.

    Args:
        schedule: what answers.
        history: the rounds so far, the full model's first.
    """
    return schedule_of(schedule).next(history)


def schedule_of(
    given: float | str | Mapping[str, Any] | Schedule | Function,
) -> Schedule:
    """Returns a schedule, or what stands for one.

    Args:
        given: a schedule or a function; a number, the share of what remains
            that goes in each round (`ConstantRate`); or what
            `Registry.resolve` takes.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(given, int | float):
        return ConstantRate(float(given))
    found = schedules.resolve(given)
    return found if isinstance(found, Schedule) else _Given(found)


def at(schedule: Schedule | Function, step: int) -> tuple[bool, float]:
    """Returns what a schedule says of a step, as plain numbers."""
    due, sparsity = schedule(step)
    return bool(np.asarray(due)), float(np.asarray(sparsity))
