# SPDX-License-Identifier: MIT
"""Dropout with a noise shape; the rest of its family is elementwise."""

from collections.abc import Sequence

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Mask
from tf_diet.graph.operation import Config
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule


@register_rule(keras.layers.Dropout, keras.layers.AlphaDropout)
class DropoutRule(Rule):
    """Drops values, or whole slices where `noise_shape` says so."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through."""
        return Signature(outputs=[inputs[0]])

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Recounts the sizes in the noise shape, which training looks at."""
        config = dict(call.operation.get_config())
        noise = config.get("noise_shape")
        if noise is not None:
            axes = signature.outputs[0].axes
            config["noise_shape"] = [
                _recounted(size, axis, alive)
                for size, axis in zip(noise, axes[-len(noise) :], strict=True)
            ]
        return config


def _recounted(size: int | None, axis: Axis, alive: Mask) -> int | None:
    if axis is None or size != len(axis):
        return size
    return int(alive[axis].sum())
