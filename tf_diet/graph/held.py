# SPDX-License-Identifier: MIT
"""What holds the parameters that no choice of units can remove."""

from collections import Counter

import numpy as np

from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Held
from tf_diet.graph.labels import Axis, Vector
from tf_diet.graph.operation import variables_of

_LOOSE = "no layer makes the channels that they lie on"
_DATA = "they act on data, not on units"


def held(graph: ChannelGraph) -> tuple[Held, ...]:
    """Returns what holds the parameters that lie in no removable unit.

    Constants, which no share counts, are left out. Each parameter is put down
    to one reason, that of its last axis that has one, so that the figures add
    up to what stays when every unit that may go has gone.

    Args:
        graph: the channel graph of the full model.

    Returns:
        The reasons, the one that holds most in front.
    """
    barriers = {
        id(variable): f"{stop.path!r} ({stop.kind}): {stop.reason}"
        for stop in graph.barriers
        for call in graph.walk.calls
        if call.path == stop.path
        for variable in variables_of(call.operation)
    }
    found: Counter[str] = Counter()
    for path, axes in graph.axes.items():
        if path in graph.constants:
            continue
        shape = graph.shapes[path]
        fixed = [_fixed(graph, a, n) for a, n in zip(axes, shape, strict=True)]
        sizes = [
            n if f is None else len(f)
            for n, f in zip(shape, fixed, strict=True)
        ]
        stays = int(np.prod(sizes, dtype=np.int64))
        if not stays:
            continue
        labelled = [f for f in fixed if f is not None]
        known = [f for f in labelled if (graph.reason_of[f] >= 0).any()]
        if not known:
            other = _LOOSE if labelled else _DATA
            found[barriers.get(id(graph.variables[path]), other)] += stays
            continue
        each = stays // len(known[-1])
        reasons, counts = np.unique(
            graph.reason_of[known[-1]], return_counts=True
        )
        for number, count in zip(
            reasons.tolist(), counts.tolist(), strict=True
        ):
            reason = graph.reasons[number] if number >= 0 else _LOOSE
            found[reason] += each * count
    return tuple(Held(reason, count) for reason, count in found.most_common())


def _fixed(graph: ChannelGraph, axis: Axis, size: int) -> Vector | None:
    """Returns the labels of an axis that must live, None where it has none."""
    return None if axis is None else axis[graph.group_of[axis] < 0]
