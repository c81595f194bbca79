"""Surgery: a new model without the dead units, weights sliced by label."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from absl import logging

from tf_diet.errors import PlanError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.composite import sublayers
from tf_diet.graph.labels import Axis, Mask, Vector, take
from tf_diet.graph.rule import Rule, own_variables, rule_for
from tf_diet.graph.walk import Call, replay

Scale = tuple[Vector, float]
Cut = Callable[[Any, tuple[Axis, ...], Mask, Scale | None], Any]
Pair = tuple[Any, Any, tuple[Axis, ...]]


def _cut(
    value: Any, axes: tuple[Axis, ...], alive: Mask, scale: Scale | None
) -> Any:
    """Takes the living positions, and scales them where a layer asks."""
    value = take(value, axes, alive)
    if scale is None:
        return value
    axis, power = scale
    factor = (alive[axis].sum() / len(axis)) ** power
    return value * np.asarray(factor, value.dtype)


def trim(model: keras.Model, graph: ChannelGraph, alive: Mask) -> keras.Model:
    """Returns a smaller copy of a model; the model itself is not touched.

    Nested models come out flat: their layers become layers of the result.
    A Sequential model without nested models stays Sequential. The result is
    not compiled: `tf_diet.pruning.optimizer.compile_like` does that.

    Args:
        model: the model that `graph` was built from.
        graph: its channel graph.
        alive: which labels live.

    Raises:
        PlanError: a layer cannot be made again from its config.
    """
    return trim_pairs(model, graph, alive)[0]


def trim_pairs(
    model: keras.Model, graph: ChannelGraph, alive: Mask
) -> tuple[keras.Model, list[Pair]]:
    """Trims a model and says which of its weights became which.

    Returns:
        The smaller model, and for each variable of the full one its
        successor and the labels of its axes.
    """
    small, made = remake(model, graph, alive)
    pairs = []
    for call in graph.walk.calls:
        pairs += fill(call, made[call.index], graph, alive, _cut)
    logging.info(
        "%s: %d -> %d parameters",
        model.name,
        model.count_params(),
        small.count_params(),
    )
    return small, pairs


def remake(
    model: keras.Model, graph: ChannelGraph, alive: Mask
) -> tuple[keras.Model, dict[int, Any]]:
    """Builds the smaller model with its weights at zero.

    Returns:
        The model, and its operations by the index of the call.
    """
    names = _Names()
    made: dict[int, Any] = {}
    shared: dict[int, Any] = {}

    def apply(call: Call, args: Any, kwargs: Any) -> Any:
        rule = rule_for(call.operation)
        inputs = [graph.labels[key] for key in call.inputs]
        new = shared.get(id(call.operation))
        if new is None:
            new = _remake(graph, call, alive, names)
            if _is_shared(call, rule):
                shared[id(call.operation)] = new
        made[call.index] = new
        if rule is not None:
            args, kwargs = rule.arguments(call, args, kwargs, inputs, alive)
        return new(*args, **kwargs)

    values = replay(graph.walk, fresh_inputs(graph), apply)
    small = _assemble(model, graph, made, values)
    for call in graph.walk.calls:
        _restore(call.operation, made[call.index])
    return small, made


def _is_shared(call: Call, rule: Rule | None) -> bool:
    """Says whether all calls of an operation can go on sharing one.

    Without weights to share, one whose sizes follow the labels of a call,
    such as Reshape, becomes one for each call.
    """
    if rule is None or own_variables(call.operation):
        return True
    kind = type(rule)
    return kind.config is Rule.config and kind.rebuild is Rule.rebuild


def fresh_inputs(graph: ChannelGraph) -> list[Any]:
    """Returns symbolic inputs like those of the graph's model."""
    walked = graph.walk
    return [
        keras.Input(
            batch_shape=walked.tensors[key].shape,
            dtype=walked.tensors[key].dtype,
            name=name,
        )
        for key, name in zip(walked.inputs, walked.input_names, strict=True)
    ]


class _Names:
    """Keeps layer names, with the parents in front where two clash."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def __call__(self, call: Call) -> str:
        parts = call.layer_path.split("/")
        for start in range(len(parts) - 1, -1, -1):
            name = "_".join(parts[start:])
            if name not in self.taken:
                break
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def _remake(graph: ChannelGraph, call: Call, alive: Mask, names: _Names) -> Any:
    operation = call.operation
    rule = rule_for(operation)
    inputs = [graph.labels[key] for key in call.inputs]
    try:
        if rule is not None:
            signature = graph.signatures[call.index]
            new = rule.rebuild(call, inputs, signature, alive)
        else:
            new = type(operation).from_config(operation.get_config())
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        said = textwrap.shorten(str(error), 200, placeholder=" ...").rstrip(".")
        raise PlanError(
            f"The layer {call.path!r} cannot be made again from its config. "
            f"Received: {type(operation).__name__}: {said}. "
            "Give the class get_config and an __init__ that takes what it "
            "returns, and a registered function in place of a Python lambda."
        ) from error
    new.name = names(call)
    if isinstance(new, keras.Layer):
        for owner, attribute, _ in _initializers(new):
            setattr(owner, attribute, keras.initializers.Zeros())
    return new


def _initializers(layer: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yields owner, attribute and value of every initializer of a layer."""
    for owner in sublayers(layer):
        for attribute, value in list(vars(owner).items()):
            if attribute.endswith("_initializer") and value is not None:
                yield owner, attribute, value


def _restore(old: Any, new: Any) -> None:
    """Gives the copy the initializers back that zeros stood in for."""
    pairs = zip(_initializers(old), _initializers(new), strict=True)
    for (_, _, value), (owner, attribute, _) in pairs:
        setattr(owner, attribute, value)


def _assemble(
    model: keras.Model,
    graph: ChannelGraph,
    made: Mapping[int, Any],
    values: Mapping[int, Any],
) -> keras.Model:
    walked = graph.walk
    inputs = walked.pack(walked.input_structure, values)
    outputs = walked.pack(walked.output_structure, values)
    flat = all("/" not in call.path for call in walked.calls)
    if isinstance(model, keras.Sequential) and flat:
        first = keras.tree.flatten(inputs)[0]
        small = keras.Sequential(
            [
                keras.Input(batch_shape=first.shape, dtype=first.dtype),
                *(made[call.index] for call in walked.calls),
            ],
            name=model.name,
        )
    else:
        small = keras.Model(inputs, outputs, name=model.name)
    small.trainable = model.trainable
    for call in walked.calls:
        # Outer layers come first: setting one sets all that is in it.
        for old, new in zip(
            sublayers(call.operation), sublayers(made[call.index]), strict=True
        ):
            new.trainable = old.trainable
    return small


def fill(
    call: Call, new: Any, graph: ChannelGraph, alive: Mask, cut: Cut
) -> list[Pair]:
    """Copies the weights of one call, each cut along the labels of its axes.

    Args:
        call: whose weights.
        new: the operation that gets them.
        graph: where the labels are.
        alive: which of them live.
        cut: makes the new value.

    Returns:
        Old and new variables in pairs, with the labels of their axes.
    """
    old = call.operation
    if not isinstance(old, keras.Layer):
        return []
    signature = graph.signatures[call.index]
    rule = rule_for(old)
    named = rule.weights(old) if rule else own_variables(old)
    axes_of = {
        id(variable): signature.weights.get(name)
        for name, variable in named.items()
    }
    scale_of = {
        id(named[name]): scale for name, scale in signature.scales.items()
    }
    pairs = []
    for source, target in zip(old.variables, new.variables, strict=True):
        value = np.asarray(keras.ops.convert_to_numpy(source.value))
        axes = axes_of.get(id(source)) or (None,) * value.ndim
        scale = scale_of.get(id(source))
        target.assign(cut(value, axes, alive, scale))
        pairs.append((source, target, axes))
    if rule is not None:
        rule.settle(new)
    return pairs
