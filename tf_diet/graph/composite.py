"""Opening composite layers and subclassed models.

A layer that owns no weights and only calls other layers and operations can be
called on symbolic tensors: what it calls then leaves ordinary nodes behind.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.models.functional import Functional

_SHIPPED = ("keras.src.layers", "keras.layers")


def is_composite(operation: Any) -> bool:
    """Says whether an operation is a user's layer made of other layers.

    Layers of Keras itself are not: those without a rule behave differently in
    training, or have a reason to stay whole.
    """
    return (
        isinstance(operation, keras.Layer)
        and not type(operation).__module__.startswith(_SHIPPED)
        and len(list(operation._flatten_layers())) > 1
    )


def open_node(node: Any) -> Functional | str:
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


def _inputs(shape: Any) -> Any:
    """Returns symbolic inputs in the structure of their shapes."""
    if isinstance(shape, dict):
        return {name: _inputs(s) for name, s in shape.items()}
    if shape and isinstance(shape[0], list | tuple):
        return [_inputs(s) for s in shape]
    return keras.Input(batch_shape=(None, *shape[1:]))


def _open(
    layer: Any, inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Functional | str:
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    if own:
        names = ", ".join(variable.name for variable in own)
        return f"it has weights of its own ({names}) and no pruning rule"
    switches = "training" in inspect.signature(layer.call).parameters
    with _nodes_undone(layer):
        try:
            graph = Functional(inputs, layer.call(*args, **kwargs))
            trained = (
                Functional(
                    inputs, layer.call(*args, **{**kwargs, "training": True})
                )
                if switches
                else graph
            )
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
    if _kinds(graph) != _kinds(trained):
        return "it has no pruning rule and does something else in training"
    for nodes in graph._nodes_by_depth.values():
        for node in nodes:
            leaves = keras.tree.flatten(
                (node.arguments.args, node.arguments.kwargs)
            )
            if any(isinstance(leaf, keras.Variable) for leaf in leaves):
                return "it has no pruning rule and uses a weight directly"
    return graph


def _kinds(graph: Functional) -> list[tuple[int, str]]:
    return sorted(
        (depth, type(node.operation).__name__)
        for depth, nodes in graph._nodes_by_depth.items()
        for node in nodes
    )


@contextmanager
def _nodes_undone(layer: keras.Layer) -> Iterator[None]:
    """Takes away the nodes that calls leave in a layer's parts."""
    parts = list(layer._flatten_layers(include_self=True, recursive=True))
    before = [(list(p._inbound_nodes), list(p._outbound_nodes)) for p in parts]
    try:
        yield
    finally:
        for part, (inbound, outbound) in zip(parts, before, strict=True):
            part._inbound_nodes[:] = inbound
            part._outbound_nodes[:] = outbound
