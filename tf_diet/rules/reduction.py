# SPDX-License-Identifier: MIT
"""Reducing axes, running over them, and putting them in order."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector, meet
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.rules.outcomes import gone, pinned, places


class _ReduceRule(Rule):
    """Reduces over axes."""

    def reduced(self, call: Call, rank: int) -> list[int]:
        """Returns the axes that are reduced."""
        operation = call.operation
        axis = getattr(operation, "axis", getattr(operation, "axes", None))
        return places(axis, rank)

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Drops the axes that are reduced."""
        x = inputs[0]
        over = self.reduced(call, x.rank)
        keeps = bool(getattr(call.operation, "keepdims", False))
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
        vectors = [v for p in over if (v := x.axes[p]) is not None]
        return self.judged(call, inputs, outputs, vectors)

    def judged(
        self,
        call: Call,
        inputs: Sequence[Labels],
        outputs: list[Labels],
        vectors: list[Vector],
    ) -> Signature:
        """Says what becomes of units that are reduced: zeros change nothing."""
        return Signature(outputs=outputs)


@register_rule("ops.Any", "ops.CountNonzero", "ops.Nansum", "ops.Sum")
class SumRule(_ReduceRule):
    """Zeros change nothing, so that units can go."""


@register_rule("ops.Norm")
class NormRule(_ReduceRule):
    """A norm; of positive order, zeros change nothing."""

    def judged(
        self,
        call: Call,
        inputs: Sequence[Labels],
        outputs: list[Labels],
        vectors: list[Vector],
    ) -> Signature:
        """Pins units under a norm of negative order."""
        order = call.operation.ord
        exact = order in (None, "fro") or (
            isinstance(order, int | float) and order >= 0
        )
        frozen = [] if exact else gone(call, vectors, "takes the least of it")
        return Signature(outputs=outputs, frozen=frozen)


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
class StatisticRule(_ReduceRule):
    """A statistic, in which every value counts, zeros too."""

    def judged(
        self,
        call: Call,
        inputs: Sequence[Labels],
        outputs: list[Labels],
        vectors: list[Vector],
    ) -> Signature:
        """Units it is taken over can go only at the price of the law."""
        if len(inputs) > 1 or np.ndim(self.weight(call)) > 1:
            return pinned(call, inputs, "weighs its values")
        over = gone(call, vectors, "takes a statistic over this axis")
        if np.ndim(self.weight(call)):
            return Signature(outputs, frozen=over)
        return Signature(outputs, inexact=over)

    def weight(self, call: Call) -> Any:
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
class PickRule(_ReduceRule):
    """What a single value decides, or the place of a value."""

    def judged(
        self,
        call: Call,
        inputs: Sequence[Labels],
        outputs: list[Labels],
        vectors: list[Vector],
    ) -> Signature:
        """Pins the units that are reduced."""
        reason = "is decided by each unit of this axis"
        return Signature(outputs, frozen=gone(call, vectors, reason))


class _OverRule(Rule):
    """Works along some axes and lets the others through."""

    reason = "works along this axis"
    last = 0

    def over(self, call: Call, rank: int) -> list[int]:
        """Returns the axes it works along: the last ones, or by `axis`."""
        if self.last:
            return list(range(rank - self.last, rank))
        return places(call.operation.axis, rank)

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes the other axes; ties them where inputs are paired."""
        first = inputs[0]
        over = self.over(call, first.rank)
        if getattr(call.operation, "axis", 0) is None:
            return pinned(call, inputs, "works along all axes at once")
        ties: list[tuple[Vector, Vector]] = []
        frozen: list[tuple[Vector, str]] = []
        reason = f"{call.path!r} pairs it with data"
        for x in inputs[1:]:
            pairs = zip(first.axes, x.axes, strict=True)
            more_ties, more_frozen = meet(pairs, reason)
            ties += more_ties
            frozen += more_frozen
        for x in inputs:
            frozen += gone(call, [x.axes[p] for p in over], self.reason)
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
class OrderRule(_OverRule):
    """Every value has to do with its neighbours along the axis."""


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
class LastAxisRule(_OverRule):
    """Works along the last axis."""

    last = 1


@register_rule("ops.FFT2", "ops.IFFT2", "ops.ISTFT", "ops.Tril", "ops.Triu")
class LastTwoAxesRule(_OverRule):
    """Works on matrices of the last two axes."""

    last = 2


@register_rule("ops.Cumsum", "ops.Nancumsum")
class CumsumRule(Rule):
    """A running sum, to which zeros add nothing."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through, unless all axes are flattened."""
        if call.operation.axis is None:
            return pinned(call, inputs, "runs over all axes at once")
        return Signature(outputs=[inputs[0]])


@register_rule("ops.Diagonal", "ops.Trace")
class DiagonalRule(Rule):
    """Takes the diagonal of two axes."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes the other axes; the diagonal comes last, if at all."""
        (x,) = inputs
        operation = call.operation
        two = places((operation.axis1, operation.axis2), x.rank)
        rest = [a for p, a in enumerate(x.axes) if p not in two]
        missing = len(call.output_specs[0].shape) - len(rest)
        return Signature(
            outputs=[Labels((*rest, *(None,) * missing))],
            frozen=gone(call, [x.axes[p] for p in two], "takes its diagonal"),
        )


@register_rule("ops.Glu")
class GluRule(Rule):
    """Half of an axis, gated by the other half."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties each unit to the one that is its gate."""
        (x,) = inputs
        axis = call.operation.axis
        vector = x.axes[axis]
        if vector is None:
            return Signature(outputs=[x])
        values, gates = np.split(vector, 2)
        return Signature(outputs=[x.at(axis, values)], ties=[(values, gates)])
