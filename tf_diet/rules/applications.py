# SPDX-License-Identifier: MIT
"""The layers that models of `keras.applications` define for themselves."""

from collections.abc import Sequence

from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels
from tf_diet.graph.operation import Operation, Variable
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.elementwise import broadcast


@register_rule(LayerScale)
class LayerScaleRule(Rule):
    """Multiplies each channel by a learned factor (ConvNeXt)."""

    pointwise_in_time = True

    def weights(self, operation: Operation) -> dict[str, Variable]:
        """Names the factors, which have no name of their own."""
        return {"gamma": operation.gamma}

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through."""
        (x,) = inputs
        return Signature(
            outputs=[x],
            weights={"gamma": (x.channels,)},
            sizes={"projection_dim": x.channels},
        )


@register_rule(StochasticDepth, pointwise_in_time=True)
def stochastic_depth(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Labels pass: whole samples are dropped in training (ConvNeXt)."""
    return Signature(outputs=[inputs[0]])


@register_rule(CustomScaleLayer, pointwise_in_time=True)
def custom_scale(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Ties the two that are added, one of them scaled (InceptionResNet)."""
    return broadcast(call, inputs)
