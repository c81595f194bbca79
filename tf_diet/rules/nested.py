# SPDX-License-Identifier: MIT
"""Layers around layers: their rules are made of those of the inner layers."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from tf_diet.errors import UnsupportedModelError
from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.graph.labels import Axis, Labels, Mask, Vector, meet, shrunk
from tf_diet.graph.operation import Args, Kwargs, Operation, Variable
from tf_diet.graph.rule import Fresh, Rule, Signature, own_variables, stopped
from tf_diet.graph.rule_table import rule_for
from tf_diet.graph.walk import functional, walk


@dataclass(frozen=True, eq=False)
class Part:
    """One call of an inner layer by the layer around it.

    Args:
        name: stands before the names of its weights.
        call: the inner call.
        rule: of the inner layer.
        inputs: the labels of what it is given.
        signature: what the rule said.
    """

    name: str
    call: Call
    rule: Rule
    inputs: Sequence[Labels]
    signature: Signature


@dataclass(frozen=True, eq=False)
class Composed(Signature):
    """The signature of a layer that is made of others.

    Args:
        parts: the calls of the inner layers, in order.
    """

    parts: Sequence[Part] = ()


class Inside(Fresh):
    """Makes labels for an inner layer in the name of the outer one.

    Args:
        fresh: what the outer layer makes its labels with.
        part: what the inner layer is to the outer one; empty where it is the
            only one.
    """

    def __init__(self, fresh: Fresh, part: str) -> None:
        self._fresh = fresh
        self._part = part

    def __call__(self, count: int, part: str = "") -> Vector:
        """Returns labels for `count` new units; see `Fresh`."""
        return self._fresh(count, ".".join(filter(None, (self._part, part))))

    def fixed(self, count: int, reason: str) -> Vector:
        """Returns labels that always live."""
        return self._fresh.fixed(count, reason)

    def free(self, count: int) -> Vector:
        """Returns labels that no layer owns."""
        return self._fresh.free(count)


def inner_rule(layer: Operation) -> Rule | None:
    """Returns the rule of an inner layer; models have one as such."""
    rule = rule_for(layer)
    if rule is None and isinstance(layer, keras.Model):
        return _MODEL
    return rule


def enter(
    name: str, call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Part:
    """Returns what the rule of an inner layer says of its call.

    Args:
        name: of the part.
        call: the inner call.
        inputs: the labels of its inputs.
        fresh: makes its units.
    """
    rule = inner_rule(call.operation)
    assert rule is not None
    return Part(name, call, rule, inputs, rule.signature(call, inputs, fresh))


def missing(layer: Operation) -> str:
    """Returns why an inner layer stops the graph; empty if it does not."""
    rule = inner_rule(layer)
    if rule is None:
        kind, name = type(layer).__name__, getattr(layer, "name", "")
        return f"the {kind} {name!r} inside it has no pruning rule"
    return rule.missing(layer) if isinstance(rule, ComposedRule) else ""


def compose(
    outputs: Sequence[Labels],
    parts: Sequence[Part],
    *,
    weights: Mapping[str, tuple[Axis, ...]] | None = None,
    ties: Sequence[tuple[Vector, Vector]] = (),
    frozen: Sequence[tuple[Vector, str]] = (),
    sizes: Mapping[str, Axis] | None = None,
) -> Composed:
    """Joins the signatures of parts to that of the layer around them.

    Args:
        outputs: of the outer layer.
        parts: its inner calls.
        weights: of the outer layer itself.
        ties: that the outer layer adds.
        frozen: that the outer layer adds.
        sizes: entries of the outer layer's config.
    """
    named = dict(weights or {})
    scales = {}
    for part in parts:
        for name, axes in part.signature.weights.items():
            named[_join(part.name, name)] = axes
        for name, scale in part.signature.scales.items():
            scales[_join(part.name, name)] = scale
    signatures = [part.signature for part in parts]
    return Composed(
        outputs=outputs,
        weights=named,
        sizes=sizes or {},
        ties=[*ties, *(tie for s in signatures for tie in s.ties)],
        frozen=[*frozen, *(entry for s in signatures for entry in s.frozen)],
        inexact=[entry for s in signatures for entry in s.inexact],
        scales=scales,
        parts=parts,
    )


def match(
    expected: Labels, given: Labels, reason: str
) -> tuple[list[tuple[Vector, Vector]], list[tuple[Vector, str]]]:
    """Makes two descriptions of one tensor agree.

    Returns:
        Ties where both have labels on an axis, and frozen labels where only
        one has: the other side cannot shrink there.
    """
    return meet(zip(expected.axes, given.axes, strict=True), reason)


class ComposedRule(Rule):
    """A layer that hands its work to inner layers."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Joins the signatures of the inner layers, if all have a rule."""
        why = self.missing(call.operation)
        if why:
            return Composed(**vars(stopped(call, inputs, why)))
        return self.joined(call, inputs, fresh)

    @abstractmethod
    def joined(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Composed:
        """Returns the signature where every inner layer has a rule."""

    @abstractmethod
    def inner(self, operation: Operation) -> dict[str, Operation]:
        """Returns the inner layers by the names of the parts."""

    def missing(self, operation: Operation) -> str:
        """Returns why the layer stops the graph; empty if it does not."""
        reasons = map(missing, self.inner(operation).values())
        return next(filter(None, reasons), "")

    def entries(self, made: Mapping[str, Operation]) -> Kwargs:
        """Returns the arguments of the constructor that hold inner layers.

        Args:
            made: the new inner layers by the names of the parts.
        """
        return dict(made)

    def times(self, call: Call) -> int:
        """Returns how often one call runs the inner layers."""
        return 1

    def weights(self, operation: Operation) -> dict[str, Variable]:
        """Returns the variables of all parts, their names in front."""
        found: dict[str, Variable] = {}
        for part, layer in self.inner(operation).items():
            rule = inner_rule(layer)
            named = rule.weights(layer) if rule else own_variables(layer)
            found |= {_join(part, name): v for name, v in named.items()}
        inside = {id(variable) for variable in found.values()}
        own = own_variables(operation).items()
        return found | {name: v for name, v in own if id(v) not in inside}

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Operation:
        """Rebuilds the inner layers and puts a new layer around them.

        The constructor takes them as they are, as `from_config` calls it. A
        serialised inner layer would bring along the shapes it was built for.
        """
        operation = call.operation
        if signature.stop:
            return type(operation).from_config(operation.get_config())
        config = dict(operation.get_config())
        return type(operation)(
            **config | self.entries(remade(signature, alive))
        )

    def settle(self, operation: Operation) -> None:
        """Lets the inner layers derive what they keep."""
        for layer in self.inner(operation).values():
            rule = inner_rule(layer)
            if rule is not None:
                rule.settle(layer)

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Adds up the operations of the parts."""
        return self.times(call) * sum(
            part.rule.flops(part.call, part.signature, alive)
            for part in parts_of(signature)
        )


def parts_of(signature: Signature) -> Sequence[Part]:
    """Returns the inner calls behind a signature."""
    assert isinstance(signature, Composed)
    return signature.parts


def remade(signature: Signature, alive: Mask) -> dict[str, Operation]:
    """Returns the new inner layers by part; a shared one stays shared."""
    made: dict[int, Operation] = {}
    for part in parts_of(signature):
        key = id(part.call.operation)
        if key not in made or not own_variables(part.call.operation):
            made[key] = part.rule.rebuild(
                part.call, part.inputs, part.signature, alive
            )
    return {
        part.name: made[id(part.call.operation)] for part in parts_of(signature)
    }


def _join(part: str, name: str) -> str:
    return f"{part}/{name}" if part else name


class ModelRule(ComposedRule):
    """A model inside a wrapper; elsewhere the walk goes into models."""

    def joined(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Composed:
        """Runs the labels through the calls of the model."""
        walked = _walked(call.operation)
        assert isinstance(walked, Walk)
        labels = dict(zip(walked.inputs, inputs, strict=True))
        parts: list[Part] = []

        def apply(inner: Call, args: Args, kwargs: Kwargs) -> Sequence[Labels]:
            seen = [labels[key] for key in inner.inputs]
            path = f"{call.path}/{inner.path}"
            part = enter(
                str(inner.index),
                replace(inner, path=path),
                seen,
                Inside(fresh, inner.layer_path),
            )
            parts.append(part)
            made = part.signature.outputs
            labels.update(zip(inner.outputs, made, strict=True))
            return made

        replay(walked, inputs, apply)
        return compose([labels[key] for key in walked.outputs], parts)

    def missing(self, operation: Operation) -> str:
        """Returns why the model cannot be walked, or what in it stops."""
        walked = _walked(operation)
        return walked if isinstance(walked, str) else super().missing(operation)

    def inner(self, operation: Operation) -> dict[str, Operation]:
        """Returns the layers and operations by the number of their call."""
        walked = _walked(operation)
        if isinstance(walked, str):
            return {}
        return {str(call.index): call.operation for call in walked.calls}

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Operation:
        """Rebuilds the model around its new layers."""
        model = call.operation
        walked = _walked(model)
        assert isinstance(walked, Walk)
        made = remade(signature, alive)
        spec = call.input_specs[0]
        x = keras.Input(
            batch_shape=shrunk(inputs[0].axes, spec.shape, alive),
            dtype=spec.dtype,
            name=walked.input_names[0],
        )
        if isinstance(model, keras.Sequential):
            return keras.Sequential([x, *made.values()], name=model.name)
        by_index = dict(zip(made, parts_of(signature), strict=True))

        def apply(inner: Call, args: Args, kwargs: Kwargs) -> Any:
            part = by_index[str(inner.index)]
            args, kwargs = part.rule.arguments(
                inner, args, kwargs, part.inputs, alive
            )
            return made[part.name](*args, **kwargs)

        values = replay(walked, [x], apply)
        return keras.Model(
            walked.pack(walked.input_structure, values),
            walked.pack(walked.output_structure, values),
            name=model.name,
        )


def _walked(model: keras.Model) -> Walk | str:
    """Returns the calls of an inner model, or why it stays whole."""
    name = f"the model {model.name!r} inside it"
    try:
        plain = isinstance(model, keras.Sequential)
        if not plain and functional(model) is not model:
            return f"{name} is a subclass of keras.Model"
        walked = walk(model)
    except UnsupportedModelError:
        return f"{name} is neither functional nor Sequential"
    if any("/" in call.path for call in walked.calls):
        return f"{name} holds another model"
    if len(walked.inputs) > 1 or len(walked.outputs) > 1:
        return f"{name} has several inputs or outputs"
    return walked


_MODEL = ModelRule()
