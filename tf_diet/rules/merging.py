"""Layers that merge several tensors."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.labels import Axis, Labels, Vector
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call
from tf_diet.rules.elementwise import broadcast


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
        """Ties equal axes; operands of unequal rank are pinned."""
        if len({labels.rank for labels in inputs}) > 1:
            # Keras lines such operands up in a way of its own.
            reason = f"{call.path!r} merges tensors of different rank"
            return Signature(
                outputs=[Labels.none(len(call.output_specs[0].shape))],
                frozen=[(v, reason) for x in inputs for v in x.known()],
            )
        return broadcast(call, inputs)


@register_rule(keras.layers.Concatenate, "ops.Concatenate")
class ConcatenateRule(Rule):
    """Units side by side on one axis, tied on the others."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Joins the labels along the axis."""
        rank = inputs[0].rank
        joined = call.operation.axis % rank
        ties: list[tuple[Vector, Vector]] = []
        frozen: list[tuple[Vector, str]] = []
        axes: list[Axis] = []
        for place in range(rank):
            found = [labels.axes[place] for labels in inputs]
            known = [axis for axis in found if axis is not None]
            if not known:
                axes.append(None)
            elif place == joined:
                axes.append(self.join(call, found, place, fresh))
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
        self, call: Call, found: Sequence[Axis], place: int, fresh: Fresh
    ) -> Vector:
        """Returns one vector; data among units gets labels that stay."""
        parts: list[Any] = []
        for axis, spec in zip(found, call.input_specs, strict=True):
            if axis is None:
                size = spec.shape[place] or 0
                axis = fresh.fixed(size, f"data joined by {call.path!r}")
            parts.append(axis)
        return np.concatenate(parts)
