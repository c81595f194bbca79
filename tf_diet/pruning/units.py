# SPDX-License-Identifier: MIT
"""A plan unit by unit: who goes, with which score, and what keeps the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_diet.arrays import Floats, Ints

Numbers = tuple[float | None, ...]

UNSCORED = "the criterion cannot score it"
LOCKED = "the limits keep it"
FLOOR = "so many units of its group must stay"


@dataclass(frozen=True)
class PlannedUnit:
    """What a plan says of one unit.

    Args:
        group: the group that it is of.
        unit: its number there, from 0.
        goes: whether it is removed.
        score: what the criterion gave it; None where it could not be scored,
            or where nothing was ranked.
        scaled: the score as the scope compared it with others.
        held_by: why it stays whatever its score; empty where its score
            decided.
    """

    group: str
    unit: int
    goes: bool
    score: float | None = None
    scaled: float | None = None
    held_by: str = ""


def finite(values: Floats) -> Numbers:
    """Returns numbers of which None stands for those that are not finite."""
    seen = np.isfinite(values)
    if seen.all():
        return tuple(values.tolist())
    pairs = zip(values.tolist(), seen.tolist(), strict=True)
    return tuple(value if good else None for value, good in pairs)


def gone(kept: Sequence[int], width: int) -> Ints:
    """Returns the units that are not kept, in order."""
    stays = np.zeros(width, bool)
    stays[np.asarray(kept, np.int64)] = True
    return np.flatnonzero(~stays)


def rows(
    name: str,
    going: Ints,
    score: Floats,
    scaled: Floats,
    held_by: Mapping[str, Sequence[int]],
) -> list[PlannedUnit]:
    """Returns what is to be said of each unit of a group.

    Args:
        name: of the group.
        going: the units that go.
        score: of each unit, NaN where it has none.
        scaled: likewise.
        held_by: by the reason, units that stay whatever their score.
    """
    goes = np.zeros(len(score), bool)
    goes[going] = True
    why = np.full(len(score), "", object)
    for reason, units in held_by.items():
        why[list(units)] = reason
    numbers = zip(finite(score), finite(scaled), strict=True)
    return [
        PlannedUnit(name, unit, bool(goes[unit]), one, other, why[unit])
        for unit, (one, other) in enumerate(numbers)
    ]
