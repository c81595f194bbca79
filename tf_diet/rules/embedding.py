"""Embedding."""

from collections.abc import Sequence

import keras

from tf_diet.graph.labels import Labels, Mask
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call


@register_rule(keras.layers.Embedding)
class EmbeddingRule(Rule):
    """A table of vectors; the vector's entries are the units."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `output_dim` units."""
        (x,) = inputs
        units = fresh(call.operation.output_dim)
        return Signature(
            outputs=[Labels((*x.axes, units))],
            weights={"embeddings": (None, units)},
            sizes={"output_dim": units},
        )

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """A look-up computes nothing."""
        return 0
