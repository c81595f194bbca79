# SPDX-License-Identifier: MIT
"""Embeddings: tables of vectors."""

from collections.abc import Sequence

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels, Mask, count_alive
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule


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
        """Returns 0: a look-up computes nothing."""
        return 0


@register_rule(keras.layers.ReversibleEmbedding)
class ReversibleEmbeddingRule(Rule):
    """A table of vectors, and the way back from vectors to its rows."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `output_dim` units, or takes them on the way back."""
        (x,) = inputs
        back = _reverse(call)
        units = x.channels if back else fresh(call.operation.output_dim)
        outputs = x.at(-1, None) if back else Labels((*x.axes, units))
        return Signature(
            outputs=[outputs],
            weights={
                "embeddings": (None, units),
                "reverse_embeddings": (units, None),
            },
            sizes={"output_dim": units},
        )

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns 0 for a look-up; the way back is a matrix product."""
        if not _reverse(call):
            return 0
        layer = call.operation
        (_, axis) = signature.weights["embeddings"]
        width = count_alive(axis, layer.output_dim, alive)
        positions = self.positions(call, signature, alive)
        return 2 * width * int(layer.input_dim) * positions


def _reverse(call: Call) -> bool:
    given = dict(zip(("inputs", "reverse"), call.args, strict=False))
    return bool({**given, **call.kwargs}.get("reverse", False))
