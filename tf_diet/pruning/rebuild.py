# SPDX-License-Identifier: MIT
"""A model made again with the sizes that are left, its weights at zero.

A nested model comes out as its layers where it cannot stay one: an output of
it is read by nobody, one tensor is given to two of its inputs, a second call
of it meets other channels than the first, or it shares weights with what lies
elsewhere, which Keras would read back from a file as two. So does a layer or
a subclassed model that had to be opened.
"""

import posixpath
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
from absl import logging

from tf_diet.errors import PlanError
from tf_diet.graph.calls import Call, Inside, Nest, replay
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.composite import sublayers
from tf_diet.graph.labels import Labels, Mask
from tf_diet.graph.operation import Args, Kwargs, Operation, variables_of
from tf_diet.graph.rule import Rule, own_variables
from tf_diet.graph.rule_table import rule_for
from tf_diet.graph.walk import functional, keeps_class


def rebuild(
    model: keras.Model,
    graph: ChannelGraph,
    alive: Mask,
    nested: bool = True,
) -> tuple[keras.Model, dict[int, Operation]]:
    """Builds the smaller model with its weights at zero.

    Args:
        model: the model that `graph` was built from.
        graph: its channel graph.
        alive: which labels live.
        nested: keep nested models that can be kept; else all come out as
            their layers.

    Returns:
        The model, and its operations by the index of the call.

    Raises:
        PlanError: a layer cannot be made again from its config.
    """
    maker = _Maker(graph, alive, nested)
    walked = graph.walk
    values = replay(walked, fresh_inputs(graph), maker.apply, maker.enter)
    small = _assemble(
        model,
        walked.pack(walked.input_structure, values),
        walked.pack(walked.output_structure, values),
        maker.layers(),
    )
    # Outer layers come first: setting one sets all that is in it.
    small.trainable = model.trainable
    for nest in walked.nests:
        if id(nest.model) in maker.models:
            maker.models[id(nest.model)].trainable = nest.model.trainable
    for call in walked.calls:
        _restore(call.operation, maker.made[call.index])
    return small, maker.made


def fresh_inputs(graph: ChannelGraph) -> list[keras.KerasTensor]:
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


class _Maker:
    """What has been made again so far.

    Args:
        graph: the channel graph.
        alive: which labels live.
        nested: keep nested models that can be kept.
    """

    def __init__(self, graph: ChannelGraph, alive: Mask, nested: bool) -> None:
        self.graph = graph
        self.alive = alive
        self.made: dict[int, Operation] = {}
        self.models: dict[int, keras.Model] = {}
        self.shared: dict[int, Operation] = {}
        self.first: dict[int, Nest] = {}
        walked = graph.walk
        nests = walked.nests if nested else ()
        self.kept = [nest for nest in nests if self._can_stay(nest)]
        while torn := self._torn():
            self.kept = [nest for nest in self.kept if nest.path not in torn]
        self.flat = [nest for nest in walked.nests if nest not in self.kept]
        self.names = _Names(
            [(call.layer_path, self.around(call)) for call in walked.calls]
            + [(nest.path, self.around(nest)) for nest in self.kept]
        )

    def _can_stay(self, nest: Nest) -> bool:
        """Says whether a nested model can be one again in this place."""
        if not nest.whole or len(set(nest.inputs)) < len(nest.inputs):
            return False
        first = self.first.setdefault(id(nest.model), nest)
        return first is nest or _alike(self.graph, first, nest, self.alive)

    def _torn(self) -> set[str]:
        """Returns the paths of nested models that share weights with others.

        Read back from a file they would have weights of their own.
        """
        homes: dict[int, set[str]] = {}
        for call in self.graph.walk.calls:
            if variables_of(call.operation):
                home = self.around(call)
                homes.setdefault(id(call.operation), set()).add(home)
        torn = set()
        for paths in homes.values():
            common = posixpath.commonpath(paths)
            for path in paths:
                while path != common:
                    torn.add(path)
                    path = _parent(path)
        return torn

    def around(self, thing: Call | Nest) -> str:
        """Returns the path of the nested model that something will lie in."""
        return next(
            (nest.path for nest in reversed(self.kept) if thing in nest), ""
        )

    def apply(self, call: Call, args: Args, kwargs: Kwargs) -> Any:
        """Makes the operation of a call again, and calls it."""
        rule = rule_for(call.operation)
        inputs = [self.graph.labels[key] for key in call.inputs]
        new = self.shared.get(id(call.operation))
        if new is None:
            new = _remake(self.graph, call, self.alive)
            new.name = self.names(call.layer_path, self.around(call))
            if _is_shared(call, rule):
                self.shared[id(call.operation)] = new
        self.made[call.index] = new
        if rule is not None:
            args, kwargs = rule.arguments(
                call, args, kwargs, inputs, self.alive
            )
        if any(call in nest for nest in self.flat):
            kwargs = call.told(kwargs)
        return new(*args, **kwargs)

    def enter(
        self,
        nest: Nest,
        args: Args,
        kwargs: Kwargs,
        inside: Inside[keras.KerasTensor],
    ) -> Any:
        """Makes a nested model again, the first time, and calls it."""
        if nest not in self.kept:
            return None
        first = self.first[id(nest.model)]
        calls = self.graph.walk.calls
        if first is nest:
            old = functional(nest.model)
            inputs = self.inputs(nest, old)
            values = inside(inputs)
            place = dict(zip(map(id, old._inputs), inputs, strict=True))
            outputs = [values[key] for key in nest.outputs]
            small = _assemble(
                nest.model,
                keras.tree.map_structure(
                    lambda x: place[id(x)], old._inputs_struct
                ),
                keras.tree.pack_sequence_as(old._outputs_struct, outputs),
                self.layers(nest),
            )
            small.name = self.names(nest.path, self.around(nest))
            self.models[id(nest.model)] = small
        for one, other in zip(
            calls[first.start : first.stop],
            calls[nest.start : nest.stop],
            strict=True,
        ):
            self.made[other.index] = self.made[one.index]
        return self.models[id(nest.model)](*args, **kwargs)

    def inputs(self, nest: Nest, old: keras.Model) -> list[keras.KerasTensor]:
        """Returns symbolic inputs like those of a nested model, cut."""
        inputs = []
        for key, tensor in zip(nest.inputs, old._inputs, strict=True):
            axes = self.graph.labels[key].axes
            shape = [
                size if axis is None else int(self.alive[axis].sum())
                for size, axis in zip(tensor.shape, axes, strict=True)
            ]
            inputs.append(
                keras.Input(
                    batch_shape=shape, dtype=tensor.dtype, name=tensor.name
                )
            )
        return inputs

    def layers(self, nest: Nest | None = None) -> list[Operation] | None:
        """Returns what was made of the layers that lie in a model itself.

        None where something in it is flat that was not.
        """
        calls = self.graph.walk.calls
        path = nest.path if nest else ""
        found: dict[int, Operation] = {}
        for call in calls[nest.start : nest.stop] if nest else calls:
            if self.around(call) == path:
                if _parent(call.layer_path) != path:
                    return None
                found[call.index] = self.made[call.index]
        for inner in self.kept:
            if self.around(inner) == path and (nest is None or inner in nest):
                if _parent(inner.path) != path:
                    return None
                found[inner.start] = self.models[id(inner.model)]
        return [found[index] for index in sorted(found)]


class _Names:
    """Keeps layer names, with the parents in front where two clash.

    Args:
        places: paths of what is to be named, and what each will lie in.
    """

    def __init__(self, places: Iterable[tuple[str, str]]) -> None:
        direct = [path for path, around in places if _parent(path) == around]
        self.taken = {path.rpartition("/")[2] for path in direct}
        self.given: set[str] = set()

    def __call__(self, path: str, around: str) -> str:
        *parents, name = path.split("/")
        if "/".join(parents) == around and path not in self.given:
            self.given.add(path)
            return name
        for parent in reversed(parents):
            if name not in self.taken:
                break
            name = f"{parent}_{name}"
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _alike(graph: ChannelGraph, first: Nest, nest: Nest, alive: Mask) -> bool:
    """Says whether the same positions live in two calls of a nested model."""

    def living(labels: Labels) -> list[list[bool] | None]:
        return [None if a is None else alive[a].tolist() for a in labels.axes]

    def tensors(nest: Nest) -> list[int]:
        calls = graph.walk.calls[nest.start : nest.stop]
        return [
            *nest.inputs,
            *nest.outputs,
            *(key for call in calls for key in call.outputs),
        ]

    one, other = tensors(first), tensors(nest)
    return len(one) == len(other) and all(
        living(graph.labels[k]) == living(graph.labels[j])
        for k, j in zip(one, other, strict=True)
    )


def _is_shared(call: Call, rule: Rule | None) -> bool:
    """Says whether all calls of an operation can go on sharing one.

    Without weights to share, one whose sizes follow the labels of a call,
    such as Reshape, becomes one for each call.
    """
    if rule is None or own_variables(call.operation):
        return True
    kind = type(rule)
    return kind.config is Rule.config and kind.rebuild is Rule.rebuild


def _remake(graph: ChannelGraph, call: Call, alive: Mask) -> Operation:
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
    if isinstance(new, keras.Layer):
        for owner, attribute, _ in _initializers(new):
            setattr(owner, attribute, keras.initializers.Zeros())
    return new


def _initializers(
    layer: Operation,
) -> Iterator[tuple[keras.Layer, str, object]]:
    """Yields owner, attribute and value of every initializer of a layer."""
    for owner in sublayers(layer):
        for attribute, value in list(vars(owner).items()):
            if attribute.endswith("_initializer") and value is not None:
                yield owner, attribute, value


def _restore(old: Operation, new: Operation) -> None:
    """Gives a copy what zeros and outer layers stood in for."""
    pairs = zip(_initializers(old), _initializers(new), strict=True)
    for (_, _, value), (owner, attribute, _) in pairs:
        setattr(owner, attribute, value)
    for one, other in zip(sublayers(old), sublayers(new), strict=True):
        other.trainable = one.trainable


def _assemble(
    model: keras.Model,
    inputs: Any,
    outputs: Any,
    layers: Sequence[Operation] | None,
) -> keras.Model:
    """Returns a model of the class of another one.

    Args:
        model: the other one.
        inputs: symbolic, in its structure.
        outputs: likewise.
        layers: of a Sequential model, if it can stay one.
    """
    if isinstance(model, keras.Sequential) and layers is not None:
        first = keras.tree.flatten(inputs)[0]
        given = keras.Input(
            batch_shape=first.shape, dtype=first.dtype, name=first.name
        )
        return keras.Sequential([given, *layers], name=model.name)
    if keeps_class(model):
        return type(model)(inputs, outputs, name=model.name)
    if not isinstance(model, keras.Sequential):
        logging.warning(
            "%r is a %s that cannot be made from inputs and outputs alone: "
            "what is left of it is a plain keras.Model",
            model.name,
            type(model).__name__,
        )
    return keras.Model(inputs, outputs, name=model.name)
