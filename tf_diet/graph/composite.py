# SPDX-License-Identifier: MIT
"""Opening composite layers and subclassed models.

A layer that owns no weights and only calls other layers and operations can be
called on symbolic tensors: what it calls then leaves ordinary nodes behind.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.models.functional import Functional
from keras.src.ops.node import Node

from tf_diet.graph.operation import Args, Kwargs, Operation, Tensor, Variable

_SHIPPED = ("keras.src.layers", "keras.layers")


def is_composite(operation: Operation) -> bool:
    """Says whether an operation is a user's layer made of other layers.

    Layers of Keras itself are not: those without a rule behave differently in
    training, or have a reason to stay whole.
    """
    return (
        isinstance(operation, keras.Layer)
        and not type(operation).__module__.startswith(_SHIPPED)
        and len(sublayers(operation)) > 1
    )


def sublayers(operation: Operation) -> list[keras.Layer]:
    """Returns a layer and all layers inside it; nothing for an operation."""
    if not isinstance(operation, keras.Layer):
        return []
    return list(operation._flatten_layers(include_self=True, recursive=True))


def open_node(node: Node) -> Functional | str:
    """Opens the layer of a node.

    Returns:
        A functional model from the node's input tensors to its outputs, or
        the reason why there is none.
    """
    layer = node.operation
    inputs = [
        keras.Input(batch_shape=t.shape, dtype=t.dtype)
        for t in node.input_tensors
    ]
    places = {id(t): x for t, x in zip(node.input_tensors, inputs, strict=True)}
    args, kwargs = keras.tree.map_structure(
        lambda x: places.get(id(x), x),
        (node.arguments.args, node.arguments.kwargs),
    )
    return _open(layer, inputs, args, dict(kwargs))


def open_model(model: keras.Model) -> Functional | str:
    """Opens a subclassed model that has been built.

    Returns:
        A functional model, or the reason why there is none.
    """
    shapes = getattr(model, "_build_shapes_dict", None)
    if not model.built or not shapes:
        return "it has not been called on data yet, so its inputs are unknown"
    if len(shapes) > 1:
        return "it takes more than one argument"
    (shape,) = shapes.values()
    try:
        inputs = _inputs(shape)
    except (TypeError, ValueError) as error:
        return f"its inputs are unknown ({error})"
    return _open(model, inputs, (inputs,), {})


def _inputs(shape: Any, name: str | None = None) -> Any:
    """Returns symbolic inputs in the structure of their shapes."""
    if isinstance(shape, dict):
        return {key: _inputs(s, str(key)) for key, s in shape.items()}
    if shape and isinstance(shape[0], list | tuple):
        return [_inputs(s) for s in shape]
    return keras.Input(batch_shape=(None, *shape[1:]), name=name)


def _open(
    layer: keras.Layer, inputs: Any, args: Args, kwargs: Kwargs
) -> Functional | str:
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    if own:
        names = ", ".join(variable.name for variable in own)
        return f"it has weights of its own ({names}) and no pruning rule"
    taken = inspect.signature(layer.call)
    switches = "training" in taken.parameters
    if switches and "training" not in taken.bind_partial(*args).arguments:
        # A default of False would be passed on, and nothing ever trained.
        kwargs = {"training": None, **kwargs}
    trained = {**kwargs, "training": True} if switches else kwargs
    with _nodes_undone(layer):
        try:
            graph = Functional(inputs, layer.call(*args, **kwargs))
            in_training = Functional(inputs, layer.call(*args, **trained))
            with keras.StatelessScope(state_mapping=_others(layer)):
                elsewhere = Functional(inputs, layer.call(*args, **kwargs))
        except (
            TypeError,
            ValueError,
            AttributeError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            text = str(error).strip().splitlines() or [""]
            return (
                "it has no pruning rule and cannot be opened "
                f"({type(error).__name__}: {text[0][:120]})"
            )
    if kwargs.get("training") is None and _tells(graph):
        return "it has no pruning rule and tells its layers whether they train"
    form = _form(graph)
    if form != _form(in_training):
        return "it has no pruning rule and does something else in training"
    if form != _form(elsewhere) or _reads_variables(graph):
        return "it has no pruning rule and uses a weight directly"
    return graph


def _tells(graph: Functional) -> bool:
    """Says whether layers are told whether they train, come what may.

    A model that trains would tell them otherwise once they are its own.
    """
    return any(
        node.arguments.kwargs.get("training") is not None
        for nodes in graph._nodes_by_depth.values()
        for node in nodes
        if not node.is_input
    )


def _others(layer: keras.Layer) -> list[tuple[Variable, Tensor]]:
    """Returns other values of a layer's weights: what is made of them shows."""
    return [
        (variable, keras.ops.add(variable.value, 1))
        for variable in layer.weights
        if variable.dtype != "bool"
    ]


def _reads_variables(graph: Functional) -> bool:
    """Says whether a weight is an argument of a call."""
    return any(
        isinstance(leaf, keras.Variable)
        for nodes in graph._nodes_by_depth.values()
        for node in nodes
        for leaf in keras.tree.flatten(
            (node.arguments.args, node.arguments.kwargs)
        )
    )


def _form(graph: Functional) -> list[Any]:
    """Returns what a graph computes, to be compared with another opening.

    What every layer is told of training is left out: Keras tells it anew.
    """
    numbers: dict[int, int] = {}

    def plain(x: Any) -> Any:
        if isinstance(x, keras.KerasTensor):
            return "tensor", numbers.setdefault(id(x), len(numbers))
        if isinstance(x, keras.Variable):
            return id(x)
        if hasattr(x, "shape") and hasattr(x, "dtype"):
            value = keras.ops.convert_to_numpy(x)
            return value.shape, str(value.dtype), value.tobytes()
        if isinstance(x, list | tuple):
            return [plain(y) for y in x]
        if isinstance(x, dict):
            return [(str(key), plain(x[key])) for key in x]
        return repr(x)

    form: list[Any] = [plain(graph._inputs)]
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            given = dict(node.arguments.kwargs)
            given.pop("training", None)
            form.append(
                (
                    _facts(node.operation, plain),
                    plain(node.arguments.args),
                    plain(given),
                    plain(node.outputs),
                )
            )
    return [*form, plain(graph._outputs)]


def _facts(operation: Operation, plain: Callable[[Any], Any]) -> Any:
    """Returns which layer it is, or what an operation was made with."""
    if isinstance(operation, keras.Layer):
        return id(operation)
    facts = {
        name: value
        for name, value in vars(operation).items()
        if name != "name" and not name.startswith("_")
    }
    return type(operation).__name__, plain(facts)


@contextmanager
def _nodes_undone(layer: keras.Layer) -> Iterator[None]:
    """Takes away the nodes that calls leave in a layer's parts."""
    parts = sublayers(layer)
    before = [(list(p._inbound_nodes), list(p._outbound_nodes)) for p in parts]
    try:
        yield
    finally:
        for part, (inbound, outbound) in zip(parts, before, strict=True):
            part._inbound_nodes[:] = inbound
            part._outbound_nodes[:] = outbound
