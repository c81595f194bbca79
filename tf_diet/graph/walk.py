# SPDX-License-Identifier: MIT
"""Reads Keras' private graph: calls in order.

With `composite`, the one place where private names of Keras are used.

`walk(model)` lists every application of an operation in the order in which
data meets them. Nested models are inlined; a layer that is called twice gives
two calls.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
from keras.src.models.functional import Functional
from keras.src.ops.node import Node

from tf_diet.errors import UnsupportedModelError
from tf_diet.graph import composite
from tf_diet.graph.calls import Call, Nest, Slot, TensorSpec, Walk
from tf_diet.graph.operation import Kwargs, Operation, Variable

Opens = Callable[[Operation], bool]


def functional(model: keras.Model) -> Functional:
    """Returns the functional graph behind a model.

    Raises:
        UnsupportedModelError: the model is neither functional nor Sequential,
            or it has not been built.
    """
    if isinstance(model, keras.Sequential):
        if model._functional is None:
            raise UnsupportedModelError(
                f"The Sequential model {model.name!r} has no input shape yet. "
                "Received: an unbuilt model. Add keras.Input(...) as its "
                "first layer, or call model.build(input_shape)."
            )
        return model._functional
    if isinstance(model, Functional):
        return model
    opened = (
        composite.open_model(model)
        if isinstance(model, keras.Model)
        else "it is not a Keras model"
    )
    if isinstance(opened, Functional):
        return opened
    raise UnsupportedModelError(
        "Only functional and Sequential Keras models can be walked, and "
        "subclassed ones that can be opened. Received: "
        f"{type(model).__name__}: {opened}. Build it as "
        "keras.Model(inputs, outputs) instead of subclassing keras.Model."
    )


def compile_arguments(model: keras.Model) -> Kwargs:
    """Returns what a compiled model was compiled with, the objects as such."""
    return dict(model._compile_config.config)


def trained_by(optimizer: keras.optimizers.Optimizer) -> list[Variable]:
    """Returns the weights of an optimizer, in the order of its slots."""
    return list(optimizer._trainable_variables)


def keeps_class(model: keras.Model) -> bool:
    """Says whether its class can be called on inputs and outputs alone.

    A subclass that keeps the constructor, or hands on whatever it is given,
    brings its `train_step` along.
    """
    kind = type(model)
    if kind.__init__ is Functional.__init__:
        return True
    if not isinstance(model, Functional) or kind.call is not Functional.call:
        return False
    taken = inspect.signature(kind).parameters.values()
    kinds = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return {parameter.kind for parameter in taken} == kinds


class _Walker:
    def __init__(self, opens: Opens) -> None:
        self.opens = opens
        self.tensors: dict[int, TensorSpec] = {}
        self.calls: list[Call] = []
        self.times: dict[int, int] = {}
        self.nests: list[Nest] = []
        self.training: bool | None = None
        # Tensors are told apart by their ids, which must not be used again.
        self.opened: list[Functional] = []

    def new(self, tensor: keras.KerasTensor) -> int:
        key = len(self.tensors)
        self.tensors[key] = TensorSpec(tuple(tensor.shape), str(tensor.dtype))
        return key

    def visit(
        self, model: Functional, keys: Sequence[int], parents: tuple[str, ...]
    ) -> dict[int, int]:
        """Walks one model; returns the key of each of its tensors by id."""
        known = {
            id(tensor): key
            for tensor, key in zip(model._inputs, keys, strict=True)
        }
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input or not node.operation:
                    continue
                if all(id(t) in known for t in node.input_tensors):
                    self.visit_node(node, known, parents)
        return known

    def visit_node(
        self, node: Node, known: dict[int, int], parents: tuple[str, ...]
    ) -> None:
        operation = node.operation
        inputs = tuple(known[id(t)] for t in node.input_tensors)

        def slot(x: object) -> object:
            return Slot(known[id(x)]) if id(x) in known else x

        given = dict(node.arguments.kwargs)
        if isinstance(operation, Functional | keras.Sequential):
            _check_mask(node, given.pop("mask", None))
        args, kwargs = keras.tree.map_structure(
            slot, (node.arguments.args, given)
        )
        if isinstance(operation, Functional | keras.Sequential):
            inner = functional(operation)
            ordered = self.order_inputs(inner, node, known)
            start = len(self.calls)
            around = self.training
            if around is None:
                self.training = kwargs.get("training")
            place = len(self.nests)
            self.enter(inner, ordered, node, known, parents)
            self.training = around
            nest = Nest(
                path="/".join((*parents, operation.name)),
                model=operation,
                args=args,
                kwargs=kwargs,
                inputs=tuple(ordered),
                outputs=tuple(known[id(t)] for t in node.outputs),
                start=start,
                stop=len(self.calls),
            )
            self.nests.insert(place, nest)
            return
        closed = ""
        if self.opens(operation) and composite.is_composite(operation):
            opened = composite.open_node(node)
            if isinstance(opened, Functional):
                self.enter(opened, inputs, node, known, parents)
                return
            closed = opened
        for tensor in node.outputs:
            known[id(tensor)] = self.new(tensor)
        outputs = tuple(known[id(t)] for t in node.outputs)
        time = self.times.get(id(operation), 0)
        self.times[id(operation)] = time + 1
        self.calls.append(
            Call(
                index=len(self.calls),
                path="/".join((*parents, operation.name))
                + (f":{time}" if time else ""),
                operation=operation,
                args=args,
                kwargs=kwargs,
                inputs=inputs,
                outputs=outputs,
                input_specs=tuple(self.tensors[k] for k in inputs),
                output_specs=tuple(self.tensors[k] for k in outputs),
                closed=closed,
                training=self.training,
            )
        )

    def enter(
        self,
        inner: Functional,
        keys: Sequence[int],
        node: Node,
        known: dict[int, int],
        parents: tuple[str, ...],
    ) -> None:
        """Walks a model in place of the node that calls it."""
        inside = self.visit(inner, keys, (*parents, node.operation.name))
        self.opened.append(inner)
        for outer, tensor in zip(node.outputs, inner._outputs, strict=True):
            known[id(outer)] = inside[id(tensor)]

    def order_inputs(
        self, inner: Functional, node: Node, known: Mapping[int, int]
    ) -> list[int]:
        # A dict input may be given in any key order: let the nested model
        # flatten what it was called with as it would its own inputs.
        given = node.arguments.args[0] if node.arguments.args else None
        struct = inner._inputs_struct
        if isinstance(given, dict) and isinstance(struct, dict):
            names = {t.name: t for t in inner._inputs}
            by_tensor = {id(struct[k]): given[k] for k in struct}
            return [known[id(by_tensor[id(t)])] for t in names.values()]
        return [known[id(t)] for t in node.input_tensors][: len(inner._inputs)]


def _check_mask(node: Node, mask: Any) -> None:
    """Checks that a nested model gets the masks that its inputs carry.

    Those need no mention, since calls pass them on wherever they are made.

    Raises:
        UnsupportedModelError: it was given others.
    """
    carried = [
        getattr(tensor, "_keras_mask", None)
        for tensor in keras.tree.flatten(node.arguments.args[:1])
    ]
    given = keras.tree.flatten(mask)
    strange = [m for m in given if not any(m is other for other in carried)]
    if any(m is not None for m in strange):
        raise UnsupportedModelError(
            f"The nested model {node.operation.name!r} is called with a mask "
            f"of its own. Received: mask={mask!r}. Let its input carry the "
            "mask, as what Embedding(mask_zero=True) and Masking return does."
        )


def walk(model: keras.Model, opens: Opens = lambda operation: False) -> Walk:
    """Lists the calls of a functional or Sequential model.

    Args:
        model: the model; a subclassed one is opened like a layer.
        opens: says of an operation that it should be opened, if it is a layer
            that does nothing but call other layers and operations.

    Raises:
        UnsupportedModelError: the model cannot be walked.
    """
    graph = functional(model)
    walker = _Walker(opens)
    inputs = [walker.new(t) for t in graph._inputs]
    known = walker.visit(graph, inputs, ())

    def slot(tensor: keras.KerasTensor) -> Slot:
        return Slot(known[id(tensor)])

    outputs = tuple(known[id(t)] for t in graph._outputs)
    calls, nests = _needed(walker.calls, walker.nests, outputs)
    return Walk(
        inputs=tuple(inputs),
        input_names=tuple(t.name for t in graph._inputs),
        outputs=outputs,
        input_structure=keras.tree.map_structure(slot, graph._inputs_struct),
        output_structure=keras.tree.map_structure(slot, graph._outputs_struct),
        tensors=walker.tensors,
        calls=calls,
        nests=nests,
    )


def _needed(
    calls: Sequence[Call], nests: Sequence[Nest], outputs: Sequence[int]
) -> tuple[tuple[Call, ...], tuple[Nest, ...]]:
    """Leaves out what only outputs of nested models need that nobody reads.

    Keras would not put it into a flat model.
    """
    read = set(outputs)
    needed: list[Call] = []
    for call in reversed(calls):
        if not read.isdisjoint(call.outputs):
            read.update(call.inputs)
            needed.append(call)
    # How many of the calls before each one are needed.
    wanted = {call.index for call in needed}
    places = [0]
    for call in calls:
        places.append(places[-1] + (call.index in wanted))
    left = []
    for nest in nests:
        start, stop = places[nest.start], places[nest.stop]
        whole = stop - start == nest.stop - nest.start
        left.append(replace(nest, start=start, stop=stop, whole=whole))
    return (
        tuple(
            replace(call, index=index)
            for index, call in enumerate(needed[::-1])
        ),
        tuple(nest for nest in left if nest.start < nest.stop),
    )
