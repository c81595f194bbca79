"""How much is gone after each round, in tfmot's protocol.

A schedule is called with a step, here the number of the round, and returns
`(should_prune, sparsity)`: whether to prune at that step, and the share of
the full model's parameters that is gone after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tf_diet.errors import InputError
from tf_diet.registry import Registry

Schedule = Callable[[int], tuple[bool, float]]

schedules: Registry[Callable[..., Schedule]] = Registry("schedule")
register_schedule = schedules.register


@register_schedule()
@dataclass(frozen=True)
class ConstantRate:
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
class Polynomial:
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
class Listed:
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
