"""Reads Keras' private graph: calls in order, and replay.

With `composite`, the one place where private names of Keras are used.

`walk(model)` lists every application of an operation in the order in which
data meets them. Nested models are inlined; a layer that is called twice gives
two calls. `replay` runs any function over that list: label propagation,
masking, trimming, observation and streaming are all replays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
from keras.src.models.functional import Functional

from tf_diet.errors import UnsupportedModelError
from tf_diet.graph import composite


@dataclass(frozen=True)
class Slot:
    """Stands for a tensor in the recorded arguments of a call.

    Args:
        key: which tensor of the walk.
    """

    key: int


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a tensor; unknown sizes are None, axis 0 is batch."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Call:
    """One application of a layer or of an operation.

    Args:
        index: its place in the walk.
        path: the name of the operation after those of the nested models that
            hold it, joined by "/"; a repeated call ends in ":1", ":2", ...
        operation: the layer or operation itself, never a copy.
        args: the positional arguments, a `Slot` for each tensor.
        kwargs: the keyword arguments, likewise.
        inputs: keys of the tensors in the arguments, in order.
        outputs: keys of the tensors that it returns, flattened.
        input_specs: shapes and dtypes of the inputs.
        output_specs: shapes and dtypes of the outputs.
        closed: why a composite layer could not be opened; empty otherwise.
    """

    index: int
    path: str
    operation: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_specs: tuple[TensorSpec, ...]
    output_specs: tuple[TensorSpec, ...]
    closed: str = ""

    @property
    def layer_path(self) -> str:
        """The path without the number of the call."""
        return self.path.split(":")[0]

    @property
    def step_name(self) -> str:
        """The path as the name of a layer in a step model."""
        return self.path.replace("/", "_").replace(":", "_")

    def fill(
        self, values: Mapping[int, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments with values in place of the slots."""

        def place(x: Any) -> Any:
            return values[x.key] if isinstance(x, Slot) else x

        args, kwargs = keras.tree.map_structure(
            place, (self.args, dict(self.kwargs))
        )
        return args, kwargs

    def __repr__(self) -> str:
        kind = type(self.operation).__name__
        return f"<Call {self.index} {self.path} ({kind})>"


Apply = Callable[[Call, tuple[Any, ...], dict[str, Any]], Any]
Opens = Callable[[Any], bool]


@dataclass(frozen=True, eq=False)
class Walk:
    """A model as a list of calls.

    Args:
        inputs: keys of the model's inputs, in the order of `model.inputs`.
        input_names: the names of those inputs.
        outputs: keys of the model's outputs, flattened.
        input_structure: how the model takes its inputs, with slots.
        output_structure: how the model returns its outputs, with slots.
        tensors: shape and dtype of each key.
        calls: every application, each after those that it needs.
    """

    inputs: tuple[int, ...]
    input_names: tuple[str, ...]
    outputs: tuple[int, ...]
    input_structure: Any
    output_structure: Any
    tensors: Mapping[int, TensorSpec]
    calls: tuple[Call, ...]

    def __repr__(self) -> str:
        return (
            f"<Walk of {len(self.calls)} calls, inputs "
            f"{', '.join(self.input_names)}>"
        )

    def pack(self, structure: Any, values: Mapping[int, Any]) -> Any:
        """Returns `structure` with values in place of its slots."""
        return keras.tree.map_structure(lambda s: values[s.key], structure)

    @cached_property
    def producers(self) -> Mapping[int, Call]:
        """The call that made each tensor; model inputs are not in it."""
        return {key: call for call in self.calls for key in call.outputs}


def functional(model: Any) -> Functional:
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


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Returns what a compiled model was compiled with, the objects as such."""
    return dict(model._compile_config.config)


class _Walker:
    def __init__(self, opens: Opens) -> None:
        self.opens = opens
        self.tensors: dict[int, TensorSpec] = {}
        self.calls: list[Call] = []
        self.times: dict[int, int] = {}
        # Tensors are told apart by their ids, which must not be used again.
        self.opened: list[Functional] = []

    def new(self, tensor: Any) -> int:
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
        self, node: Any, known: dict[int, int], parents: tuple[str, ...]
    ) -> None:
        operation = node.operation
        inputs = tuple(known[id(t)] for t in node.input_tensors)
        if isinstance(operation, Functional | keras.Sequential):
            inner = functional(operation)
            ordered = self.order_inputs(inner, node, known)
            self.enter(inner, ordered, node, known, parents)
            return
        closed = ""
        if self.opens(operation) and composite.is_composite(operation):
            opened = composite.open_node(node)
            if isinstance(opened, Functional):
                self.enter(opened, inputs, node, known, parents)
                return
            closed = opened

        def slot(x: Any) -> Any:
            return Slot(known[id(x)]) if id(x) in known else x

        args, kwargs = keras.tree.map_structure(
            slot, (node.arguments.args, node.arguments.kwargs)
        )
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
            )
        )

    def enter(
        self,
        inner: Functional,
        keys: Sequence[int],
        node: Any,
        known: dict[int, int],
        parents: tuple[str, ...],
    ) -> None:
        """Walks a model in place of the node that calls it."""
        inside = self.visit(inner, keys, (*parents, node.operation.name))
        self.opened.append(inner)
        for outer, tensor in zip(node.outputs, inner._outputs, strict=True):
            known[id(outer)] = inside[id(tensor)]

    def order_inputs(
        self, inner: Functional, node: Any, known: Mapping[int, int]
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


def walk(model: Any, opens: Opens = lambda operation: False) -> Walk:
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

    def slot(tensor: Any) -> Slot:
        return Slot(known[id(tensor)])

    outputs = tuple(known[id(t)] for t in graph._outputs)
    return Walk(
        inputs=tuple(inputs),
        input_names=tuple(t.name for t in graph._inputs),
        outputs=outputs,
        input_structure=keras.tree.map_structure(slot, graph._inputs_struct),
        output_structure=keras.tree.map_structure(slot, graph._outputs_struct),
        tensors=walker.tensors,
        calls=tuple(_needed(walker.calls, outputs)),
    )


def _needed(calls: Sequence[Call], outputs: Sequence[int]) -> list[Call]:
    """Leaves out what only outputs of nested models need that nobody reads.

    Keras would not put it into a flat model.
    """
    read = set(outputs)
    needed: list[Call] = []
    for call in reversed(calls):
        if not read.isdisjoint(call.outputs):
            read.update(call.inputs)
            needed.append(call)
    return [
        replace(call, index=index) for index, call in enumerate(needed[::-1])
    ]


def replay(walked: Walk, values: Sequence[Any], apply: Apply) -> dict[int, Any]:
    """Runs `apply` over the calls and returns the value of every tensor.

    Args:
        walked: the calls.
        values: one value for each model input, in the order of
            `walked.inputs`: arrays, symbolic tensors, labels, anything.
        apply: gets a call and its arguments with values in place of tensors;
            returns what `call.operation(*args, **kwargs)` would.

    Returns:
        The values by tensor key.
    """
    known = dict(zip(walked.inputs, values, strict=True))
    for call in walked.calls:
        args, kwargs = call.fill(known)
        result = keras.tree.flatten(apply(call, args, kwargs))
        known.update(zip(call.outputs, result, strict=True))
    return known
