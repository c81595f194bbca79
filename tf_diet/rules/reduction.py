# SPDX-License-Identifier: MIT
"""Reductions, cumulative operations and sorting."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector, meet
from tf_diet.graph.rule import Fresh, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.outcomes import axis_numbers, freeze, pinned


def _reduced(
    call: Call, inputs: Sequence[Labels]
) -> tuple[list[Labels], list[Vector]]:
    """Returns the labels that are left, and those that are reduced."""
    (x, *_), operation = inputs, call.operation
    axis = getattr(operation, "axis", getattr(operation, "axes", None))
    over = axis_numbers(axis, x.rank)
    keeps = bool(getattr(operation, "keepdims", False))
    kept: list[Axis] = []
    for place, axis in enumerate(x.axes):
        if place not in over:
            kept.append(axis)
        elif keeps:
            kept.append(None)
    outputs = [
        # Several quantiles come along an axis of their own, in front.
        Labels((*(None,) * (len(spec.shape) - len(kept)), *kept))
        for spec in call.output_specs
    ]
    return outputs, [v for p in over if (v := x.axes[p]) is not None]


@register_rule("ops.Any", "ops.CountNonzero", "ops.Nansum", "ops.Sum")
def sum_over(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Drops axes; units on them can be removed, since zeros add nothing."""
    outputs, _ = _reduced(call, inputs)
    return Signature(outputs)


@register_rule("ops.Norm")
def norm(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Drops axes, to which zeros add nothing; negative orders pin them."""
    outputs, vectors = _reduced(call, inputs)
    order = call.operation.ord
    exact = order in (None, "fro") or (
        isinstance(order, int | float) and order >= 0
    )
    frozen = [] if exact else freeze(call, vectors, "takes the least of it")
    return Signature(outputs, frozen=frozen)


@register_rule(
    "ops.Amax",
    "ops.Amin",
    "ops.Average",
    "ops.Logsumexp",
    "ops.Max",
    "ops.Mean",
    "ops.Median",
    "ops.Min",
    "ops.Moments",
    "ops.Nanmax",
    "ops.Nanmean",
    "ops.Nanmedian",
    "ops.Nanmin",
    "ops.Nanpercentile",
    "ops.Nanquantile",
    "ops.Nanstd",
    "ops.Nanvar",
    "ops.Percentile",
    "ops.Ptp",
    "ops.Quantile",
    "ops.Std",
    "ops.Var",
)
def statistic(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Drops axes; units on them are inexact, since zeros count too."""
    outputs, vectors = _reduced(call, inputs)
    weight = _weights_of_average(call)
    if len(inputs) > 1 or np.ndim(weight) > 1:
        return pinned(call, inputs, "weighs its values")
    over = freeze(call, vectors, "takes a statistic over this axis")
    if np.ndim(weight):
        return Signature(outputs, frozen=over)
    return Signature(outputs, inexact=over)


def _weights_of_average(call: Call) -> Any:
    """Returns the weights of an average, which are an argument."""
    if type(call.operation).__name__ != "Average":
        return None
    return call.kwargs.get("weights", (*call.args, None, None)[1])


@register_rule(
    "ops.All",
    "ops.Argmax",
    "ops.Argmin",
    "ops.Nanargmax",
    "ops.Nanargmin",
    "ops.Nanprod",
    "ops.Prod",
    "ops.Trapezoid",
)
def decided_by_each(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Drops axes and pins units on them: a single value, or place, decides."""
    outputs, vectors = _reduced(call, inputs)
    reason = "is decided by each unit of this axis"
    return Signature(outputs, frozen=freeze(call, vectors, reason))


def _works_along(
    call: Call, inputs: Sequence[Labels], over: Sequence[int]
) -> Signature:
    """Pins the units on some axes and lets the others pass.

    Where there are several inputs, their other axes are tied.
    """
    first = inputs[0]
    ties: list[tuple[Vector, Vector]] = []
    frozen: list[tuple[Vector, str]] = []
    reason = f"{call.path!r} pairs it with data"
    for x in inputs[1:]:
        pairs = zip(first.axes, x.axes, strict=True)
        more_ties, more_frozen = meet(pairs, reason)
        ties += more_ties
        frozen += more_frozen
    for x in inputs:
        mixed = [x.axes[p] for p in over]
        frozen += freeze(call, mixed, "works along this axis")
    rest = [None if p in over else a for p, a in enumerate(first.axes)]
    outputs = []
    for spec in call.output_specs:
        wider = len(spec.shape) - first.rank
        axes = [*rest, *(None,) * wider] if wider >= 0 else rest[:wider]
        outputs.append(Labels(tuple(axes)))
    return Signature(outputs=outputs, ties=ties, frozen=frozen)


@register_rule(
    "ops.Argpartition",
    "ops.Argsort",
    "ops.Cumprod",
    "ops.Diff",
    "ops.Nancumprod",
    "ops.Sort",
)
def order(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Pins units on the axis whose values depend on their neighbours."""
    if call.operation.axis is None:
        return pinned(call, inputs, "works along all axes at once")
    over = axis_numbers(call.operation.axis, inputs[0].rank)
    return _works_along(call, inputs, over)


@register_rule(
    "ops.ExtractSequences",
    "ops.FFT",
    "ops.IRFFT",
    "ops.RFFT",
    "ops.STFT",
    "ops.TopK",
    "ops.ViewAsComplex",
    "ops.ViewAsReal",
)
def last_axis(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Pins units on the last axis; the other axes pass."""
    return _works_along(call, inputs, [inputs[0].rank - 1])


@register_rule("ops.FFT2", "ops.IFFT2", "ops.ISTFT", "ops.Tril", "ops.Triu")
def last_two_axes(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Pins units on the last two axes; the other axes pass."""
    rank = inputs[0].rank
    return _works_along(call, inputs, [rank - 2, rank - 1])


@register_rule("ops.Cumsum", "ops.Nancumsum")
def cumsum(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Labels pass: zeros add nothing to a running sum."""
    if call.operation.axis is None:
        return pinned(call, inputs, "runs over all axes at once")
    return Signature(outputs=[inputs[0]])


@register_rule("ops.Diagonal", "ops.Trace")
def diagonal(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Pins two axes and lets the others pass.

    Their diagonal comes last, if it is kept at all.
    """
    (x,) = inputs
    operation = call.operation
    two = axis_numbers((operation.axis1, operation.axis2), x.rank)
    rest = [a for p, a in enumerate(x.axes) if p not in two]
    missing = len(call.output_specs[0].shape) - len(rest)
    return Signature(
        outputs=[Labels((*rest, *(None,) * missing))],
        frozen=freeze(call, [x.axes[p] for p in two], "takes its diagonal"),
    )


@register_rule("ops.Glu", pointwise_in_time=True)
def glu(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Ties each unit of the first half of an axis to its gate."""
    (x,) = inputs
    axis = call.operation.axis
    vector = x.axes[axis]
    if vector is None:
        return Signature(outputs=[x])
    values, gates = np.split(vector, 2)
    return Signature(outputs=[x.at(axis, values)], ties=[(values, gates)])
