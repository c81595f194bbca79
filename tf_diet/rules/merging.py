# SPDX-License-Identifier: MIT
"""Merging several tensors: value by value, or side by side."""

from collections.abc import Sequence

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.rules.elementwise import combine, operands
from tf_diet.rules.outcomes import pinned

Shape = Sequence[int | None]


@register_rule(
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
    keras.layers.Subtract,
)
class MergeRule(Rule):
    """A merge value by value: the channels that meet are one unit."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties equal axes; Keras puts what has fewer behind the batch."""
        given = operands(call, inputs)
        rank = max(labels.rank for labels, _ in given)
        return combine(
            call,
            [
                (
                    Labels((axes[0], *(None,) * (rank - len(axes)), *axes[1:])),
                    (shape[0], *(1,) * (rank - len(axes)), *shape[1:]),
                )
                for axes, shape in ((x.axes, shape) for x, shape in given)
            ],
        )


class _BesideRule(Rule):
    """What joining and stacking share."""

    def beside(
        self,
        call: Call,
        given: Sequence[tuple[Labels, Shape]],
        joined: int | None,
        fresh: Fresh,
    ) -> Signature:
        """Ties what is laid side by side; units beside data stay.

        Args:
            call: the application.
            given: labels and shape of each operand, all of one rank.
            joined: the axis that they are laid along, if it is an old one.
            fresh: makes the labels of data.
        """
        ties: list[tuple[Vector, Vector]] = []
        frozen: list[tuple[Vector, str]] = []
        axes: list[Axis] = []
        for place in range(given[0][0].rank):
            found = [labels.axes[place] for labels, _ in given]
            known = [axis for axis in found if axis is not None]
            sizes = [shape[place] for _, shape in given]
            if not known:
                axes.append(None)
            elif place == joined:
                axes.append(self.join(call, found, sizes, fresh))
            else:
                axes.append(known[0])
                ties += [(known[0], other) for other in known[1:]]
                if len(known) < len(found):
                    reason = f"{call.path!r} lays it beside data"
                    frozen.append((known[0], reason))
        return Signature(
            outputs=[Labels(tuple(axes))], ties=ties, frozen=frozen
        )

    def join(
        self, call: Call, found: Sequence[Axis], sizes: Shape, fresh: Fresh
    ) -> Vector:
        """Returns one vector; data among units gets labels that stay."""
        reason = f"data joined by {call.path!r}"
        return np.concatenate(
            [
                fresh.fixed(size or 0, reason) if axis is None else axis
                for axis, size in zip(found, sizes, strict=True)
            ]
        )


@register_rule(
    keras.layers.Concatenate,
    "ops.Append",
    "ops.Concatenate",
    "ops.Dstack",
    "ops.Hstack",
    "ops.Vstack",
)
class ConcatenateRule(_BesideRule):
    """Units side by side on one axis, tied on the others."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Joins the labels along the axis."""
        given = operands(call, inputs)
        rank = len(call.output_specs[0].shape)
        joined = self.axis(call, rank)
        if joined is None or any(x.rank != rank for x, _ in given):
            return pinned(call, inputs, "changes how many axes there are")
        if any(
            shape[joined] is None and x.axes[joined] is not None
            for x, _ in given
            for _, shape in given
        ):
            return pinned(call, inputs, "joins it to data of unknown size")
        return self.beside(call, given, joined, fresh)

    def axis(self, call: Call, rank: int) -> int | None:
        """Returns the axis that is joined; None where all are flattened."""
        kind = type(call.operation).__name__
        fixed = {"Dstack": 2, "Hstack": min(1, rank - 1), "Vstack": 0}
        axis = fixed.get(kind, getattr(call.operation, "axis", None))
        return None if axis is None else int(axis) % rank


@register_rule("ops.Stack")
class StackRule(_BesideRule):
    """Tensors side by side on a new axis."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties all axes and leaves a gap at the new one."""
        found = self.beside(call, operands(call, inputs), None, fresh)
        axes = list(found.outputs[0].axes)
        axes.insert(call.operation.axis % (len(axes) + 1), None)
        return Signature(
            outputs=[Labels(tuple(axes))],
            ties=found.ties,
            frozen=found.frozen,
        )
