"""Normalisations that treat every channel alone."""

from collections.abc import Sequence

import keras

from tf_diet.graph.labels import Labels, Mask
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call


@register_rule(keras.layers.BatchNormalization)
class BatchNormalizationRule(Rule):
    """Scale, shift and statistics follow the channels they belong to."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through."""
        x = inputs[0]
        seen = x.axes[call.operation.axis]
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return Signature(outputs=[x], weights=dict.fromkeys(names, (seen,)))

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """A multiply and an add for each value, statistics folded."""
        elements = 1
        for axis, size in zip(
            signature.outputs[0].axes[1:],
            call.output_specs[0].shape[1:],
            strict=True,
        ):
            count = 1 if size is None else size
            elements *= count if axis is None else int(alive[axis].sum())
        return 2 * elements
