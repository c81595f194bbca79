# SPDX-License-Identifier: MIT
"""Normalisations of `keras.ops`, whose statistics and scales are arguments."""

from collections.abc import Sequence

import keras
import numpy as np

from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.labels import (
    Axis,
    Labels,
    Mask,
    Vector,
    meet,
    take_factors,
)
from tf_diet.graph.operation import Args, Config, Kwargs
from tf_diet.graph.rule import Fresh, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.contraction import bind, bound
from tf_diet.rules.elementwise import constant
from tf_diet.rules.normalization import Normalizer, corrected, statistics
from tf_diet.rules.outcomes import axis_numbers, freeze


class _Beside(Normalizer):
    """An operation on x, whose other arguments are vectors along axes of x."""

    vectors: tuple[str, ...] = ()

    def along(self, call: Call, x: Labels, rank: int) -> Sequence[Axis]:
        """Returns the labels that a vector of some rank lies along."""
        return x.axes[x.rank - rank :]

    def beside(self, call: Call, inputs: Sequence[Labels]) -> Signature:
        """Passes x through and ties the vectors to what they lie along."""
        given = bound(call)
        x = self.labels(call, inputs, given["x"])
        ties: list[tuple[Vector, Vector]] = []
        frozen: list[tuple[Vector, str]] = []
        reason = f"{call.path!r} has one value for each of these, out of reach"
        for name in self.vectors:
            value = given.get(name)
            if not isinstance(value, Slot | keras.Variable):
                continue
            rank = len(value.shape) if isinstance(value, keras.Variable) else 0
            theirs: Sequence[Axis] = (None,) * rank
            if isinstance(value, Slot):
                theirs = self.labels(call, inputs, value).axes
            mine = self.along(call, x, len(theirs))
            more_ties, more_frozen = meet(
                zip(mine, theirs, strict=True), reason
            )
            ties += more_ties
            frozen += more_frozen
        return Signature(outputs=[x], ties=ties, frozen=frozen)

    def labels(
        self, call: Call, inputs: Sequence[Labels], slot: Slot
    ) -> Labels:
        """Returns the labels of an argument that is a tensor."""
        return inputs[call.inputs.index(slot.key)]

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Slices the vectors that are constants."""
        x = self.labels(call, inputs, bound(call)["x"])
        given = bind(call.operation, args, kwargs)
        for name in self.vectors:
            value = constant(given.get(name))
            if value is not None:
                axes = self.along(call, x, value.ndim)
                given[name] = take_factors(value, axes, alive)
        return (given.pop("x"),), given


@register_rule("ops.BatchNorm")
class BatchNormRule(_Beside):
    """Normalises by statistics that are arguments."""

    vectors = ("mean", "variance", "offset", "scale")

    def along(self, call: Call, x: Labels, rank: int) -> Sequence[Axis]:
        """Returns the labels of the axis of the channels."""
        return [x.axes[call.operation.axis]]

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties the channels to their statistics."""
        return self.beside(call, inputs)


@register_rule("ops.LayerNorm")
class LayerNormRule(_Beside):
    """Takes mean and variance over axes, which a removed channel changes."""

    vectors = ("gamma", "beta")
    per_value = 8

    def along(self, call: Call, x: Labels, rank: int) -> Sequence[Axis]:
        """Returns the axes of the statistics, unless it has as many as x."""
        axis = call.operation.axis
        given = [axis] if isinstance(axis, int) else sorted(axis)
        if rank == x.rank or given == [x.rank - 1]:
            return x.axes[x.rank - rank :]
        return [x.axes[place] for place in given]

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes x through; the axes of the statistics are inexact."""
        plain = self.beside(call, inputs)
        (x,) = plain.outputs
        seen = [x.axes[place] for place in self.across(call)]
        return Signature(
            outputs=[x],
            ties=plain.ties,
            frozen=plain.frozen,
            inexact=statistics(call, seen),
        )


@register_rule("ops.RMSNorm")
class RMSNormRule(_Beside):
    """Divides by a mean of squares: exact where the scale can be corrected."""

    vectors = ("scale",)
    per_value = 4

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes x through; a scale that the model makes is inexact."""
        plain = self.beside(call, inputs)
        (x,) = plain.outputs
        known = self.counted(call, x)
        reason = "takes its mean over another axis with units"
        frozen = freeze(call, known[:-1], reason)
        made = isinstance(bound(call).get("scale"), Slot | keras.Variable)
        reason = f"{call.path!r} has a scale that cannot be corrected"
        return Signature(
            outputs=[x],
            ties=plain.ties,
            frozen=[*plain.frozen, *frozen],
            inexact=[(axis, reason) for axis in known[-1:] if made],
        )

    def counted(self, call: Call, x: Labels) -> list[Vector]:
        """Returns the labels on the axes that the mean is taken over."""
        seen = [x.axes[place] for place in self.across(call)]
        return [axis for axis in seen if axis is not None]

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Corrects epsilon, which is added to the mean."""
        config = dict(call.operation.get_config())
        for axis in self.counted(call, signature.outputs[0])[-1:]:
            epsilon = corrected(call.operation.epsilon, axis, alive)
            config["epsilon"] = epsilon
        return config

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Corrects the scale for the removed units, or adds one."""
        args, given = super().arguments(call, args, kwargs, inputs, alive)
        x = self.labels(call, inputs, bound(call)["x"])
        scale = given.get("scale")
        for axis in self.counted(call, x)[-1:]:
            factor = float((alive[axis].sum() / len(axis)) ** -0.5)
            if scale is None or isinstance(scale, int | float):
                given["scale"] = factor * (1 if scale is None else scale)
            elif constant(scale) is not None:
                given["scale"] = scale * np.asarray(factor, scale.dtype)
        return args, given


@register_rule("ops.Normalize")
class NormalizeRule(Normalizer):
    """Divides by a norm, to which zeros add nothing, whatever its order."""

    per_value = 3

    def across(self, call: Call) -> list[int]:
        """Returns the axes of the norm; None means all of them."""
        return axis_numbers(
            call.operation.axis, len(call.output_specs[0].shape)
        )

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through."""
        return Signature(outputs=[inputs[0]])
