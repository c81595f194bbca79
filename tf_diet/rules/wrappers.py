# SPDX-License-Identifier: MIT
"""Wrappers: both directions, every time step, spectral normalisation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, TensorSpec
from tf_diet.graph.labels import Labels, Vector
from tf_diet.graph.operation import Args, Kwargs, Operation, Tensor
from tf_diet.graph.rule import Fresh
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, check_apart, refused
from tf_diet.rules.contraction import bound
from tf_diet.rules.nested import (
    Composed,
    ComposedRule,
    Inside,
    Part,
    compose,
    enter,
    inner_rule,
    match,
)
from tf_diet.rules.outcomes import freeze


class _Direction(Inside):
    """Names the units inside one direction; the outputs are one group."""

    def __call__(self, count: int, part: str = "") -> Vector:
        """Returns labels for `count` new units; see `Fresh`."""
        return super().__call__(count, part) if part else self._fresh(count)


@register_rule(keras.layers.Bidirectional)
class BidirectionalRule(ComposedRule):
    """Runs one sequence layer forwards and one backwards.

    Keras works out the shape of the result from the forward layer alone, so
    the two stay equally wide in every merge mode.
    """

    def joined(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Composed:
        """Joins both directions and ties what they return."""
        parts = [
            enter(name, inner, inputs, _Direction(fresh, name))
            for name, inner in self.calls(call).items()
        ]
        forward, backward = (part.signature.outputs for part in parts)
        return self.merged(call, parts, forward, backward)

    def merged(
        self,
        call: Call,
        parts: Sequence[Part],
        forward: Sequence[Labels],
        backward: Sequence[Labels],
    ) -> Composed:
        """Returns the signature of the two together."""
        pairs = list(zip(forward, backward, strict=True))
        if any(not _alike(one, other) for one, other in pairs):
            reason = f"the directions of {call.path!r} differ in width"
            both = [v for pair in pairs for x in pair for v in x.known()]
            return compose(
                [Labels.none(len(s.shape)) for s in call.output_specs],
                parts,
                frozen=[(v, reason) for v in both],
            )
        ties: list[tuple[Vector, Vector]] = []
        frozen: list[tuple[Vector, str]] = []
        for one, other in pairs:
            reason = f"{call.path!r} merges it with what is fixed"
            more_ties, more_frozen = match(one, other, reason)
            ties += more_ties
            frozen += more_frozen
        y, back = pairs[0]
        mode = call.operation.merge_mode
        outputs = [y, back] if mode is None else [y]
        if mode == "concat" and y.channels is not None:
            assert back.channels is not None
            joined = np.concatenate([y.channels, back.channels])
            outputs = [y.at(-1, joined)]
        return compose(
            [*outputs, *forward[1:], *backward[1:]],
            parts,
            ties=ties,
            frozen=frozen,
        )

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Raises StreamingError: one direction starts at the end.

        Raises:
            StreamingError: always.
        """
        raise refused(
            call,
            "which mixes time steps: one of its directions runs from the end "
            "to the start",
            "Use the forward layer alone, which is causal.",
        )

    def calls(self, call: Call) -> dict[str, Call]:
        """Returns the call of each direction."""
        given = bound(call)
        x = given["sequences"]
        spec = call.input_specs[call.inputs.index(x.key)]
        states = keras.tree.flatten(given.get("initial_state"))
        half = len(states) // 2
        shares = {"forward": states[:half], "backward": states[half:]}
        mask = given.get("mask")
        return {
            name: replace(
                call,
                path=f"{call.path}/{layer.name}",
                operation=layer,
                args=(x,),
                kwargs={
                    "initial_state": shares[name] if half else None,
                    "mask": mask,
                },
                output_specs=_output_specs(layer, spec),
            )
            for name, layer in self.inner(call.operation).items()
        }

    def inner(self, operation: Operation) -> dict[str, Operation]:
        """Returns the layer of each direction."""
        return {
            "forward": operation.forward_layer,
            "backward": operation.backward_layer,
        }

    def entries(self, made: Mapping[str, Operation]) -> Kwargs:
        """Returns the two new layers."""
        return {"layer": made["forward"], "backward_layer": made["backward"]}


def _output_specs(layer: Operation, spec: TensorSpec) -> tuple[TensorSpec, ...]:
    """Returns shapes and dtypes of what a layer makes of one tensor."""
    result = layer.compute_output_spec(
        keras.KerasTensor(spec.shape, dtype=spec.dtype)
    )
    return tuple(
        TensorSpec(tuple(tensor.shape), str(tensor.dtype))
        for tensor in keras.tree.flatten(result)
    )


def _alike(one: Labels, other: Labels) -> bool:
    """Says whether axes that both have labels are equally long."""
    return all(
        a is None or b is None or len(a) == len(b)
        for a, b in zip(one.axes, other.axes, strict=True)
    )


@register_rule(keras.layers.TimeDistributed)
class TimeDistributedRule(ComposedRule):
    """A layer that is applied to every time step alone."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is: the layer inside never sees it."""
        rank = len(call.input_specs[0].shape)
        over = [place for place in range(rank) if place != 1]
        return StepForm(outputs=(check_apart(call, axes, over),))

    def joined(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Composed:
        """Takes the signature of the layer without time, and puts time back."""
        key = bound(call)["inputs"].key
        place = call.inputs.index(key)
        x = inputs[place]
        layer = call.operation.layer
        inner = replace(
            call,
            path=f"{call.path}/{layer.name}",
            operation=layer,
            args=(bound(call)["inputs"],),
            kwargs={},
            inputs=(key,),
            input_specs=(_frame(call.input_specs[place]),),
            output_specs=tuple(_frame(spec) for spec in call.output_specs),
        )
        frame = Labels((x.axes[0], *x.axes[2:]))
        part = enter("layer", inner, [frame], fresh)
        outputs = [
            Labels((y.axes[0], x.axes[1], *y.axes[1:]))
            for y in part.signature.outputs
        ]
        others = [labels for n, labels in enumerate(inputs) if n != place]
        axes = (axis for labels in others for axis in labels.axes)
        masks = freeze(call, axes, "skips steps by it")
        return compose(outputs, [part], frozen=masks)

    def inner(self, operation: Operation) -> dict[str, Operation]:
        """Returns the layer inside."""
        return {"layer": operation.layer}

    def times(self, call: Call) -> int:
        """Returns the number of time steps."""
        return int(call.output_specs[0].shape[1] or 1)


def _frame(spec: TensorSpec) -> TensorSpec:
    return replace(spec, shape=(spec.shape[0], *spec.shape[2:]))


@register_rule(keras.layers.SpectralNormalization)
class SpectralNormalizationRule(ComposedRule):
    """Divides a kernel by its largest singular value, in training alone.

    Columns of zeros change neither that value nor the vector that tracks it,
    so the rule is exact in training too.
    """

    def joined(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Composed:
        """Passes the call on; the vector follows the kernel's last axis."""
        part = enter("layer", self.passed_on(call), inputs, fresh)
        normalised = call.operation.kernel
        axis = next(
            (
                part.signature.weights[name][-1]
                for name, variable in part.rule.weights(
                    call.operation.layer
                ).items()
                if variable is normalised and name in part.signature.weights
            ),
            None,
        )
        return compose(
            part.signature.outputs, [part], weights={"vector_u": (None, axis)}
        )

    def passed_on(self, call: Call) -> Call:
        """Returns the call of the layer inside."""
        layer = call.operation.layer
        return replace(call, path=f"{call.path}/{layer.name}", operation=layer)

    def inner(self, operation: Operation) -> dict[str, Operation]:
        """Returns the layer inside."""
        return {"layer": operation.layer}

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns the form of the layer inside."""
        rule = inner_rule(call.operation.layer)
        if rule is None:
            return super().in_time(call, axes)
        return rule.in_time(self.passed_on(call), axes)

    def state_spec(self, call: Call, batch: int) -> dict[str, tuple[int, ...]]:
        """Names the states of the layer inside."""
        rule = inner_rule(call.operation.layer)
        return (
            {} if rule is None else rule.state_spec(self.passed_on(call), batch)
        )

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Runs the layer inside: the kernel is normalised already."""
        rule = inner_rule(call.operation.layer)
        if rule is None:
            return super().step(call, args, kwargs, state)
        return rule.step(self.passed_on(call), args, kwargs, state)
