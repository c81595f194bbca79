# SPDX-License-Identifier: MIT
"""Making scores of different groups comparable before they are ranked.

A scaling is any function of the scores of all groups and the channel graph.
One that looks at a group's scores alone is made one by `each_group`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from tf_diet.arrays import Floats, Ints
from tf_diet.errors import InputError
from tf_diet.extensions import register_scaling, scalings
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Group
from tf_diet.graph.savings import savings
from tf_diet.registry import name_of

Values = Mapping[str, Floats]
Scaling = Callable[[Values, ChannelGraph], Values]


# A unit that saves nothing counts as if it saved this share of the mean.
_NEXT_TO_NOTHING = 1e-9


def each_group(scale: Callable[[Floats], Floats]) -> Scaling:
    """Makes a scaling of a function of the scores of one group.

    Args:
        scale: is given the scores of the units of one group that could be
            seen, shape (units,), and returns as many numbers.

    Example:
        >>> @tf_diet.register_scaling("softmax")
        ... @each_group
        ... def softmax(values):
        ...     return np.exp(values) / np.exp(values).sum()
    """

    @wraps(scale)
    def scaled(values: Values, graph: ChannelGraph) -> Values:
        found = {}
        for name, mine in values.items():
            seen = np.isfinite(mine)
            found[name] = np.array(mine, np.float64)
            if seen.any():
                found[name][seen] = scale(found[name][seen])
        return found

    return scaled


@register_scaling("none")
@each_group
def none(values: Floats) -> Floats:
    """Leaves the scores of a group as they are."""
    return values


@register_scaling("max")
@each_group
def maximum(values: Floats) -> Floats:
    """Divides by the largest score of the group (the paper's choice)."""
    top = float(np.abs(values).max(initial=0.0))
    return values / top if top > 0 else values


@register_scaling("dimension")
@each_group
def dimension(values: Floats) -> Floats:
    """Divides by the number of units in the group."""
    return values / max(len(values), 1)


@register_scaling("rank")
@each_group
def rank(values: Floats) -> Floats:
    """Puts the share of the group that scores no better in a score's place.

    Equal scores share the mean of their ranks.
    """
    return rankdata(values) / len(values)


@register_scaling("z_score")
@each_group
def z_score(values: Floats) -> Floats:
    """Subtracts the mean of the group and divides by its deviation.

    Source:
        An et al., "Fluctuation-based adaptive structured pruning for large
        language models", AAAI 2024, section 3.3.
    """
    spread = float(values.std())
    # Sums of equal scores round: their deviation is not quite nothing.
    if spread <= 1e-12 * float(np.abs(values).max(initial=0.0)):
        return np.zeros_like(values)
    return (values - values.mean()) / spread


@register_scaling("fan_in")
def fan_in(values: Values, graph: ChannelGraph) -> Values:
    """Divides by the root of the number of weights that make a unit.

    Under Glorot's initialisation a sum over n weights grows as the root of n.

    Source:
        Esling et al., DAFx-20, section 3 (Xavier scaling); Glorot and Bengio,
        "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010, eq. 12.
    """
    return _by_fan(values, graph, "out")


@register_scaling("fan_out")
def fan_out(values: Values, graph: ChannelGraph) -> Values:
    """Divides by the root of the number of weights that read a unit.

    Source:
        As `fan_in`.
    """
    return _by_fan(values, graph, "in")


def _by_fan(values: Values, graph: ChannelGraph, role: str) -> Values:
    return {
        name: mine / np.sqrt(_fan(graph, graph.group(name), role))
        for name, mine in values.items()
    }


def _fan(graph: ChannelGraph, group: Group, role: str) -> float:
    """Returns how many elements of kernels a unit has in a role."""
    elements = 0
    for member in group.members:
        shape = graph.shapes[member.path]
        if member.role == role and len(shape) > 1:
            others = np.prod(shape) // shape[member.axis]
            elements += int((member.units >= 0).sum() * others)
    return max(elements / group.n_units, 1.0)


@dataclass(frozen=True)
class PerSaving:
    """Divides a score by what the unit saves: the cheap ones must be good.

    A negative score is multiplied, so that of two harmful units the one that
    saves more goes first.

    Args:
        saved: a function of the full model's graph that returns, per group,
            what each unit saves when it alone goes, in any measure. From a
            cost model of a board it makes a score per microsecond.

    Example:
        >>> def microseconds(graph):
        ...     flops = savings(graph).flops  # measured: 8 ns each
        ...     return {name: 0.008 * mine for name, mine in flops.items()}
        >>> tf_diet.prune(model, data, rate=0.5,
        ...               scaling=PerSaving(microseconds))
    """

    saved: Callable[[ChannelGraph], Mapping[str, ArrayLike]]

    def __call__(self, values: Values, graph: ChannelGraph) -> Values:
        """Scales the scores of all groups.

        Raises:
            InputError: `saved` does not give a number a unit.
        """
        saved = self.saved(graph)
        figures = {n: _checked(saved, n, len(v)) for n, v in values.items()}
        units = sum(map(len, figures.values()))
        mean = sum(float(f.sum()) for f in figures.values()) / max(units, 1)
        scaled = {}
        for name, mine in values.items():
            share = np.maximum(figures[name] / (mean or 1), _NEXT_TO_NOTHING)
            with np.errstate(over="ignore"):
                scaled[name] = np.where(mine >= 0, mine / share, mine * share)
        return scaled

    def __repr__(self) -> str:
        return f"PerSaving({name_of(self.saved)})"


def _checked(saved: Mapping[str, ArrayLike], name: str, units: int) -> Floats:
    figures = np.asarray(saved.get(name, ()), np.float64)
    good = figures.shape == (units,)
    if not (good and np.isfinite(figures).all() and (figures >= 0).all()):
        raise InputError(
            f"What the units of {name!r} save must be {units} finite numbers "
            f"of 0 or more. Received: shape {figures.shape}, smallest "
            f"{figures.min() if figures.size else 'none'}. Return, per group "
            "of the graph, an array of shape (group.n_units,)."
        )
    return figures


def _parameters(graph: ChannelGraph) -> Mapping[str, Ints]:
    return savings(graph).parameters


def _flops(graph: ChannelGraph) -> Mapping[str, Ints]:
    return savings(graph).flops


def _bytes(graph: ChannelGraph) -> Mapping[str, Ints]:
    return savings(graph).reads_writes


scalings.register("per_parameter")(PerSaving(_parameters))
scalings.register("per_flop")(PerSaving(_flops))
# Every element has as many bytes, so that they need no factor.
scalings.register("per_byte")(PerSaving(_bytes))
