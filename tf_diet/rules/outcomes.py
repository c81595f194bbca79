# SPDX-License-Identifier: MIT
"""What many rules need: axes as numbers, and axes that must stay."""

from collections.abc import Iterable, Sequence

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector
from tf_diet.graph.rule import Signature


def axis_numbers(axis: int | Sequence[int] | None, rank: int) -> list[int]:
    """Returns axes as numbers from 0, in the order given; None is all.

    Args:
        axis: a number, several, or None; negative ones count from the end.
        rank: how many axes there are.
    """
    if axis is None:
        return list(range(rank))
    given = axis if isinstance(axis, Sequence) else [axis]
    return [int(place) % rank for place in given]


def freeze(
    call: Call, vectors: Iterable[Axis], reason: str
) -> list[tuple[Vector, str]]:
    """Returns `frozen` entries: no unit on these axes can be removed.

    Args:
        call: the application.
        vectors: labels of those axes.
        reason: reads on from the path of the call.
    """
    return [(v, f"{call.path!r} {reason}") for v in vectors if v is not None]


def pinned(call: Call, inputs: Sequence[Labels], reason: str) -> Signature:
    """Returns the signature of a call whose inputs cannot lose any unit.

    Args:
        call: the application.
        inputs: the labels of each input.
        reason: reads on from the path of the call.
    """
    return Signature(
        outputs=[Labels.none(len(spec.shape)) for spec in call.output_specs],
        frozen=freeze(call, (v for x in inputs for v in x.axes), reason),
    )
