"""How much is gone after each round, in tfmot's protocol.

A schedule is called with a step, here the number of the round, and returns
`(should_prune, sparsity)`: whether to prune at that step, and the share of
the full model's parameters that is gone after it.
"""

from collections.abc import Callable
from dataclasses import dataclass

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
