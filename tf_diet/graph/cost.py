# SPDX-License-Identifier: MIT
"""What a selection of units costs: parameters, FLOPs, memory accesses."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Mask, count_elements
from tf_diet.graph.operation import weights_of
from tf_diet.graph.rule import Rule, Signature

_BYTES = 4


@dataclass(frozen=True)
class Cost:
    """The cost of one call of a model at batch size 1.

    Where a size is unknown (a time axis of None) it counts one, so the cost
    is that of one frame.

    Args:
        parameters: elements of all weights, trainable or not.
        flops: floating-point operations of the layers that have weights; a
            multiply and an add count two. Operations without weights and
            barriers that declare no weights are not counted.
        reads_writes: elements read (weights, inputs) and written (outputs).
        peak_activation_bytes: largest input plus output of one call, float32.
    """

    parameters: int
    flops: int
    reads_writes: int
    peak_activation_bytes: int

    def per_second(self, calls_per_second: float) -> "Cost":
        """Returns the cost of a second of audio.

        Args:
            calls_per_second: frames, hops or samples a second: how often the
                counted call is made.
        """
        return Cost(
            self.parameters,
            round(self.flops * calls_per_second),
            round(self.reads_writes * calls_per_second),
            self.peak_activation_bytes,
        )


def parameters(
    axes: Mapping[str, tuple[Axis, ...]],
    shapes: Mapping[str, tuple[int, ...]],
    alive: Mask,
) -> int:
    """Returns the number of living elements of all variables."""
    return sum(count_elements(axes[p], shapes[p], alive) for p in axes)


def call_cost(
    call: Call,
    rule: Rule | None,
    signature: Signature,
    labels: Mapping[int, Labels],
    alive: Mask,
) -> tuple[int, int, int]:
    """Returns FLOPs, elements moved and bytes of activations of one call."""
    activations = 0
    tensors = list(zip(call.inputs, call.input_specs, strict=True))
    tensors += list(zip(call.outputs, call.output_specs, strict=True))
    for key, spec in tensors:
        activations += count_elements(labels[key].axes, spec.shape, alive)
    weights = 0
    flops = 0
    if rule is not None:
        flops = rule.flops(call, signature, alive)
        for name, variable in rule.weights(call.operation).items():
            none = (None,) * len(variable.shape)
            weights += count_elements(
                signature.weights.get(name, none), variable.shape, alive
            )
    else:
        weights = int(sum(np.prod(v.shape) for v in weights_of(call.operation)))
    return flops, activations + weights, _BYTES * activations
