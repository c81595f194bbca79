# SPDX-License-Identifier: MIT
"""The layer EinsumDense."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Mask, count_alive
from tf_diet.graph.operation import Args, Config, Kwargs, Operation, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm
from tf_diet.rules.activation import mixing
from tf_diet.rules.contraction import Index, Term, contract, parse
from tf_diet.rules.copies import copied
from tf_diet.rules.in_time import carried, check_size


@register_rule(keras.layers.EinsumDense)
class EinsumDenseRule(Rule):
    """y = activation(einsum(equation, x, kernel) + bias)."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes units for each index of the result that the input lacks."""
        layer = call.operation
        (seen, kernel), out = self.indices(call)
        solved = contract(
            call, [Term(inputs[0], call.input_specs[0].shape, seen)]
        )
        axes = dict(solved.axes)
        made = [index for index in out if index not in axes]
        for index in made:
            size = call.output_specs[0].shape[out.index(index)]
            assert size is not None, "the layer made a kernel of this size"
            part = str(index) if len(made) > 1 else ""
            axes[index] = fresh(size, part)
        labels = Labels(tuple(axes[index] for index in out))
        weights = {"kernel": tuple(axes[index] for index in kernel)}
        if layer.bias is not None:
            biased = out[len(out) - len(layer.bias.shape) :]
            weights["bias"] = tuple(
                axes[index] if index in set(layer.bias_axes) else None
                for index in biased
            )
        reasons = [mixing(layer.activation), _misread(layer, labels.rank)]
        return Signature(
            outputs=[labels],
            weights=weights,
            ties=solved.ties,
            frozen=[
                *solved.frozen,
                *(
                    (vector, f"{call.path!r}: {reason}")
                    for reason in reasons
                    for vector in labels.known()
                    if reason
                ),
            ],
        )

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Carries time with its index."""
        (seen, kernel), out = self.indices(call)
        layer = call.operation
        form = carried(
            call,
            [seen, kernel],
            [call.input_specs[0].shape, tuple(layer.kernel.shape)],
            [axes[0], None],
            out,
        )
        if layer.bias is not None:
            (axis,) = form.outputs
            assert axis is not None
            check_size(call, layer.bias.shape, axis - len(out))
        return form

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Writes the number of time steps into the config."""
        layer = call.operation
        (seen, _), out = self.indices(call)
        place = out.index(seen[call.time or 0])
        given = layer.get_config()["output_shape"]
        shape = [given] if isinstance(given, int) else list(given)
        inside = place - (len(out) - len(shape))
        if 0 <= inside < len(shape):
            shape[inside] = call.output_specs[0].shape[place]
            layer = copied(
                layer,
                call.step_name,
                args[0].shape,
                output_shape=tuple(shape),
            )
        return layer(args[0]), {}

    def seen(self, call: Call, signature: Signature) -> Sequence[Axis]:
        """Returns the labels of the input that kernel or result have too."""
        (seen, kernel), out = self.indices(call)
        known = dict(zip(kernel, signature.weights["kernel"], strict=True))
        known |= dict(zip(out, signature.outputs[0].axes, strict=True))
        return [known.get(index) for index in seen]

    def indices(
        self, call: Call
    ) -> tuple[list[tuple[Index, ...]], tuple[Index, ...]]:
        """Returns the indices of input and kernel, and of the result."""
        ranks = [len(call.input_specs[0].shape)]
        return parse(call.operation.equation, ranks)

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Recounts the sizes in the output shape, which has no batch."""
        config = dict(call.operation.get_config())
        given = config["output_shape"]
        shape = [given] if isinstance(given, int) else list(given)
        axes = signature.outputs[0].axes
        trailing = call.operation.equation.replace(" ", "").endswith("...")
        first = 1 if trailing else len(axes) - len(shape)
        for place, size in enumerate(shape):
            axis = axes[first + place]
            if axis is not None and size is not None:
                shape[place] = int(alive[axis].sum())
        config["output_shape"] = tuple(shape)
        return config

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns a multiply and an add for each product of indices."""
        (seen, kernel), out = self.indices(call)
        layer = call.operation
        sizes: dict[Index, int] = {}
        # Keras does not know all sizes of the result, the input does.
        for indices, axes, shape in (
            (kernel, signature.weights["kernel"], layer.kernel.shape),
            (seen, self.seen(call, signature), call.input_specs[0].shape),
        ):
            for index, axis, size in zip(indices, axes, shape, strict=True):
                sizes.setdefault(index, count_alive(axis, size, alive))
        del sizes[out[0]]
        total = 2 * int(np.prod(list(sizes.values())))
        if layer.bias is not None:
            total += int(np.prod([sizes[index] for index in out[1:]]))
        return total


def _misread(layer: Operation, rank: int) -> str:
    """Returns why the sizes of a result must stay, if they must.

    On TensorFlow, Keras takes a bias with one long axis for one along the
    last axis, or axis 1, wherever the sizes happen to agree.
    """
    shape = () if layer.bias is None else tuple(layer.bias.shape)
    long = [rank - len(shape) + p for p, size in enumerate(shape) if size > 1]
    if len(long) != 1 or long[0] == rank - 1:
        return ""
    return "its bias could be taken for one along an axis of the same size"
