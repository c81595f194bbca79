# SPDX-License-Identifier: MIT
"""Reductions, cumulative operations and sorting."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector, meet
from tf_diet.graph.operation import Args, Kwargs, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, axis_of_time, check_apart
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


def reduced_in_time(call: Call, axes: Axes) -> StepForm:
    """Time stays where it is, less the axes before it that are dropped."""
    operation = call.operation
    over = axis_numbers(
        getattr(operation, "axis", getattr(operation, "axes", None)),
        len(call.input_specs[0].shape),
    )
    axis = check_apart(call, axes, over)
    if not getattr(operation, "keepdims", False):
        axis -= sum(place < axis for place in over)
    after = len(call.output_specs[0].shape)
    kept = len(call.input_specs[0].shape)
    kept -= 0 if getattr(operation, "keepdims", False) else len(set(over))
    # Several quantiles come along an axis of their own, in front.
    return StepForm(outputs=(axis + after - kept,) * len(call.outputs))


@register_rule(
    "ops.Any",
    "ops.CountNonzero",
    "ops.Nansum",
    "ops.Sum",
    in_time=reduced_in_time,
)
def sum_over(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Drops axes; units on them can be removed, since zeros add nothing."""
    outputs, _ = _reduced(call, inputs)
    return Signature(outputs)


@register_rule("ops.Norm", in_time=reduced_in_time)
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
    in_time=reduced_in_time,
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
    in_time=reduced_in_time,
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


def along_in_time(call: Call, axes: Axes) -> StepForm:
    """Time stays where it is, unless the call works along it."""
    rank = len(call.input_specs[0].shape)
    over = axis_numbers(call.operation.axis, rank)
    return StepForm(
        outputs=(check_apart(call, axes, over),) * len(call.outputs)
    )


def last_in_time(call: Call, axes: Axes) -> StepForm:
    """Time stays where it is, unless it is the last axis."""
    rank = len(call.input_specs[0].shape)
    axis = check_apart(call, axes, [rank - 1])
    return StepForm(outputs=(axis,) * len(call.outputs))


@register_rule(
    "ops.Argpartition",
    "ops.Argsort",
    "ops.Cumprod",
    "ops.Diff",
    "ops.Nancumprod",
    "ops.Sort",
    in_time=along_in_time,
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
    in_time=last_in_time,
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
class CumsumRule(Rule):
    """A running sum, whose state is the sum so far."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Labels pass: zeros add nothing to a running sum."""
        if call.operation.axis is None:
            return pinned(call, inputs, "runs over all axes at once")
        return Signature(outputs=[inputs[0]])

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is; a sum along it goes on from call to call."""
        axis = axis_of_time(call, axes)
        rank = len(call.input_specs[0].shape)
        if call.operation.axis is None:
            check_apart(call, axes, range(rank))
        along = axis_numbers(call.operation.axis, rank) == [axis]
        return StepForm(outputs=(axis,), carries=along)

    def _along(self, call: Call) -> bool:
        rank = len(call.input_specs[0].shape)
        return axis_numbers(call.operation.axis, rank) == [call.time]

    def state_spec(self, call: Call, batch: int) -> dict[str, tuple[int, ...]]:
        """Names the sum so far."""
        if not self._along(call):
            return {}
        shape = [int(size or 1) for size in call.input_specs[0].shape]
        shape[call.time or 0] = 1
        return {"sum": (batch, *shape[1:])}

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Adds the steps of one call to the sum."""
        if not state:
            return call.operation(*args, **kwargs), {}
        axis = call.time or 0
        x, before = args[0], state["sum"]
        steps = x.shape[axis]
        if steps == 1:
            total = keras.ops.add(x, before)
            return total, {"sum": total}
        total = keras.ops.add(keras.ops.cumsum(x, axis=axis), before)
        last = (*(slice(None),) * axis, slice(steps - 1, steps))
        return total, {"sum": total[last]}


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


@register_rule("ops.Glu", in_time=along_in_time)
def glu(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Ties each unit of the first half of an axis to its gate."""
    (x,) = inputs
    axis = call.operation.axis
    vector = x.axes[axis]
    if vector is None:
        return Signature(outputs=[x])
    values, gates = np.split(vector, 2)
    return Signature(outputs=[x.at(axis, values)], ties=[(values, gates)])
