# SPDX-License-Identifier: MIT
"""Pooling, padding, cropping and up-sampling over positions."""

from collections.abc import Mapping, Sequence

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels
from tf_diet.graph.operation import Args, Kwargs, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.convolution import channels, other_axes, spatial
from tf_diet.rules.outcomes import pinned


@register_rule(
    "ops.AdaptiveAveragePool",
    "ops.AdaptiveMaxPool",
    "ops.AveragePool",
    "ops.MaxPool",
    keras.layers.AdaptiveAveragePooling1D,
    keras.layers.AdaptiveAveragePooling2D,
    keras.layers.AdaptiveAveragePooling3D,
    keras.layers.AdaptiveMaxPooling1D,
    keras.layers.AdaptiveMaxPooling2D,
    keras.layers.AdaptiveMaxPooling3D,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling3D,
    keras.layers.CenterCrop,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.Resizing,
    keras.layers.UpSampling2D,
    keras.layers.UpSampling3D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
def positions(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Channels pass: only the number of positions changes."""
    (x,) = inputs
    layer = call.operation
    rank = len(call.output_specs[0].shape)
    if rank != x.rank:
        # Keras computes a wrong output shape for some adaptive pooling.
        return pinned(call, inputs, f"has {x.rank} axes and claims {rank}")
    return Signature(
        outputs=[spatial(layer, x, channels(layer, x))],
        frozen=other_axes(layer, call, x),
    )


@register_rule(keras.layers.UpSampling1D)
class UpSampling1DRule(Rule):
    """Repeats time steps: a step reads the one that it would repeat."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes the channels through."""
        return positions(call, inputs, fresh)

    def repeats(self, call: Call) -> int:
        """Returns the layer's size."""
        return int(call.operation.size)

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Passes on what it is given, at every step."""
        return args[0], {}


@register_rule(
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
)
def global_pooling(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Channels pass, and positions go: one value is left for each channel."""
    x = inputs[0]
    layer = call.operation
    seen = channels(layer, x)
    outputs = (
        spatial(layer, x, seen) if layer.keepdims else Labels((None, seen))
    )
    return Signature(outputs=[outputs], frozen=other_axes(layer, call, x))
