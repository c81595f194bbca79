# SPDX-License-Identifier: MIT
"""Dense."""

from collections.abc import Sequence

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.rules.activation import pin


@register_rule(keras.layers.Dense)
class DenseRule(Rule):
    """y = activation(x W + b) on the last axis."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `units` units out of the channels of the input."""
        (x,) = inputs
        units = fresh(call.operation.units)
        return Signature(
            outputs=[x.at(-1, units)],
            weights={"kernel": (x.channels, units), "bias": (units,)},
            sizes={"units": units},
            frozen=pin(call.path, call.operation.activation, units),
        )
