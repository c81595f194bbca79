# SPDX-License-Identifier: MIT
"""The layer Dense."""

from collections.abc import Sequence

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels
from tf_diet.graph.linear_form import LastAxisForm, LinearForm
from tf_diet.graph.operation import Operation
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, check_apart
from tf_diet.rules.activation import is_linear, pin


class DenseForm(LastAxisForm):
    """y = x W + b."""

    def refuses(self, call: Call) -> str:
        """Returns why a kernel that is stored in another form cannot be set."""
        layer = call.operation
        if getattr(layer, "lora_enabled", False):
            return "it has LoRA weights"
        if getattr(layer, "quantization_mode", None):
            return "it is quantised"
        return ""

    def plain(self, layer: Operation) -> bool:
        """Says whether there is no activation."""
        return is_linear(layer)


@register_rule(keras.layers.Dense)
class DenseRule(Rule):
    """y = activation(x W + b) on the last axis."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is, unless it is what is multiplied."""
        last = len(call.input_specs[0].shape) - 1
        return StepForm(outputs=(check_apart(call, axes, [last]),))

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

    def linear_forms(self, call: Call) -> Sequence[LinearForm]:
        """Returns one form: the kernel multiplies the last axis."""
        return (DenseForm(),)
