# SPDX-License-Identifier: MIT
"""Dealing what must stay together out to the parts of a set."""

from collections.abc import Sequence

import numpy as np


def held_out(groups: int, share: float) -> int:
    """Returns how many groups a share is: one at least, or none of nothing."""
    return max(1, round(groups * share)) if share else 0


def dealt(
    groups: Sequence[str],
    valid: float,
    test: float,
    random: np.random.Generator,
) -> dict[str, str]:
    """Returns the part of each group: "valid", "test" or "train".

    Args:
        groups: what stays together, by name; sorted, for the same deal again.
        valid: the share that is held out for choosing.
        test: the share that is held out for judging.
        random: draws the order.
    """
    held = [held_out(len(groups), share) for share in (valid, test)]
    order = random.permutation(len(groups))
    parts = ["valid"] * held[0] + ["test"] * held[1]
    parts += ["train"] * (len(groups) - sum(held))
    return {groups[i]: part for i, part in zip(order, parts, strict=True)}
