# SPDX-License-Identifier: MIT
"""Units of one's own choice: which they are, and whether they may go."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from tf_diet.arrays import Bools
from tf_diet.errors import InputError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.labels import Vector
from tf_diet.graph.names import channels_of
from tf_diet.pruning.limits import Bound
from tf_diet.pruning.selection import Kept

Remove: TypeAlias = Mapping[str, int | Iterable[int]]
_SHOWN = 12


def numbers_of(remove: Remove) -> dict[str, list[int]]:
    """Returns the units to remove as plain numbers, each once.

    Raises:
        InputError: it is no mapping of names to whole numbers, or empty.
    """
    if not isinstance(remove, Mapping):
        raise InputError(
            "remove says which units go, by the name of their group or "
            f"layer. Received: remove={remove!r}. Pass, say, "
            "remove={'conv1d': [0, 3, 7]}."
        )
    found = {str(name): _whole(name, units) for name, units in remove.items()}
    if not any(found.values()):
        raise InputError(
            f"remove names no unit. Received: remove={dict(remove)!r}. Pass, "
            "say, remove={'conv1d': [0, 3, 7]}."
        )
    return found


def _whole(name: str, units: Any) -> list[int]:
    """Returns the numbers of some units.

    Raises:
        InputError: they are none.
    """
    given = [units] if isinstance(units, Integral) else units
    array = np.asarray(list(given) if isinstance(given, Iterable) else given)
    whole = array.size == 0 or np.issubdtype(array.dtype, np.integer)
    if array.ndim != 1 or not whole:
        raise InputError(
            f"The units of {name!r} to remove must be whole numbers. "
            f"Received: {units!r}. Pass, say, {{{name!r}: [0, 3, 7]}}; of a "
            "mask of booleans, np.flatnonzero(mask)."
        )
    return list(dict.fromkeys(array.tolist()))


def kept_without(
    graph: ChannelGraph,
    remove: Mapping[str, Sequence[int]],
    bounds: Sequence[Bound],
    round_to: int = 1,
) -> Kept:
    """Returns the units that stay when some of one's own choice go.

    Args:
        graph: the channel graph.
        remove: numbers of units by the name of a group; or, by the name of a
            layer, of the channels that it puts out.
        bounds: what must stay.
        round_to: the number of units that stay in a group is a multiple.

    Raises:
        InputError: a name or number stands for nothing, a unit cannot be
            removed, or too few would stay.
    """
    lives = {g.name: np.ones(g.n_units, bool) for g in graph.groups}
    for name, numbers in remove.items():
        if name in lives:
            _check_range(name, numbers, len(lives[name]), "units")
            lives[name][list(numbers)] = False
            continue
        vector = channels_of(graph, name, "remove")
        _check_range(name, numbers, len(vector), "channels")
        labels = vector[list(numbers)]
        _check_free(graph, name, numbers, labels)
        for group, unit in zip(
            graph.group_of[labels], graph.unit_of[labels], strict=True
        ):
            lives[graph.groups[group].name][unit] = False
    for bound in bounds:
        _check_bound(bound, lives[bound.group])
    for name, mine in lives.items():
        stays = int(mine.sum())
        if stays < len(mine) and stays % round_to:
            raise InputError(
                "The number of units that stay in a group must be a multiple "
                f"of {round_to}. Received: {stays} of the {len(mine)} units of "
                f"{name!r} would stay, round_to={round_to}. Remove more or "
                "fewer of them, or leave round_to out."
            )
    return {name: np.flatnonzero(mine) for name, mine in lives.items()}


def _check_range(
    name: str, numbers: Sequence[int], width: int, what: str
) -> None:
    wrong = [number for number in numbers if not 0 <= number < width]
    if wrong:
        raise InputError(
            f"{name!r} has no such {what} to remove. Received: "
            f"{_few(wrong)}. It has {width}: pass numbers from 0 to "
            f"{width - 1}."
        )


def _check_free(
    graph: ChannelGraph, name: str, numbers: Sequence[int], labels: Vector
) -> None:
    fixed = np.flatnonzero(graph.group_of[labels] < 0).tolist()
    if not fixed:
        return
    reason = graph.reason_of[labels[fixed[0]]]
    why = graph.reasons[reason] if reason >= 0 else "no layer makes them"
    raise InputError(
        f"Channels of {name!r} cannot be removed: {why}. Received: "
        f"{_few([numbers[place] for place in fixed])}. Leave them out; "
        "tf_diet.describe(model) shows what can go."
    )


def _check_bound(bound: Bound, lives: Bools) -> None:
    stays = int(lives[bound.units].sum())
    if stays >= bound.least or lives[bound.units].all():
        return
    part = "" if bound.units.all() else "a part of "
    raise InputError(
        f"Too many units of {part}the group {bound.group!r} are to be "
        f"removed: no layer can be emptied, and limits hold. Received: "
        f"{int(bound.units.sum()) - stays} of {int(bound.units.sum())}. Leave "
        f"{int(bound.least)} or more of them, or relax the limits."
    )


def _few(numbers: Sequence[int]) -> str:
    """Returns numbers as text, those past a dozen as a count."""
    more = len(numbers) - _SHOWN
    text = ", ".join(map(str, numbers[:_SHOWN]))
    return f"{text} and {more} more" if more > 0 else text
