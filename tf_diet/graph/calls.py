# SPDX-License-Identifier: MIT
"""A model as a list of calls, and replay: any function over that list.

Label propagation, masking, trimming, observation and streaming are replays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import keras

from tf_diet.graph.operation import Args, Kwargs, Operation, Shape

Value = TypeVar("Value")


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

    shape: Shape
    dtype: str


def _filled(
    args: Args, kwargs: Mapping[str, Any], values: Mapping[int, object]
) -> tuple[Args, Kwargs]:
    """Returns arguments with values in place of their slots."""

    def place(x: object) -> object:
        return values[x.key] if isinstance(x, Slot) else x

    filled: tuple[Args, Kwargs] = keras.tree.map_structure(
        place, (args, dict(kwargs))
    )
    return filled


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
        training: what the nested model that holds it was told of training.
        time: in a step model, the axis of time of its inputs.
    """

    index: int
    path: str
    operation: Operation
    args: Args
    kwargs: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_specs: tuple[TensorSpec, ...]
    output_specs: tuple[TensorSpec, ...]
    closed: str = ""
    training: bool | None = None
    time: int | None = None

    @property
    def layer_path(self) -> str:
        """The path without the number of the call."""
        return self.path.split(":")[0]

    @property
    def step_name(self) -> str:
        """The path as the name of a layer in a step model."""
        return self.path.replace("/", "_").replace(":", "_")

    def fill(self, values: Mapping[int, object]) -> tuple[Args, Kwargs]:
        """Returns the arguments with values in place of the slots."""
        return _filled(self.args, self.kwargs, values)

    def told(self, kwargs: Mapping[str, Any]) -> Kwargs:
        """Adds what the nested model around it says of training.

        Keras passes that on to all that is inside, whatever they were told.
        """
        takes = getattr(self.operation, "_call_has_training_arg", False)
        if self.training is None or not takes:
            return dict(kwargs)
        return {**kwargs, "training": self.training}

    def untrained(self, kwargs: Mapping[str, Any]) -> Kwargs:
        """Says that nothing is trained, whatever the call was told."""
        takes = getattr(self.operation, "_call_has_training_arg", False)
        return {**kwargs, "training": False} if takes else dict(kwargs)

    def __repr__(self) -> str:
        kind = type(self.operation).__name__
        return f"<Call {self.index} {self.path} ({kind})>"


@dataclass(frozen=True, eq=False)
class Nest:
    """One application of a nested model, of which the calls are inlined.

    Args:
        path: its name after those of the models around it.
        model: the nested model itself.
        args: the positional arguments, a `Slot` for each tensor.
        kwargs: the keyword arguments, likewise.
        inputs: keys of its inputs, in the order of `model.inputs`.
        outputs: keys of its outputs, flattened.
        start: index of the first call in it.
        stop: index after the last one.
        whole: whether all that it computes is read.
    """

    path: str
    model: keras.Model
    args: Args
    kwargs: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    start: int
    stop: int
    whole: bool = True

    def __contains__(self, thing: "Call | Nest") -> bool:
        index = thing.index if isinstance(thing, Call) else thing.start
        inside = thing.path.startswith(f"{self.path}/")
        return inside and self.start <= index < self.stop

    def __repr__(self) -> str:
        return f"<Nest {self.path} of calls {self.start} to {self.stop}>"


# What calls and models return: values in any nesting.
Apply = Callable[[Call, Args, Kwargs], Any]
Inside = Callable[[Sequence[Value]], Mapping[int, Value]]
Enter = Callable[[Nest, Args, Kwargs, Inside[Value]], Any]


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
        nests: the nested models, each before those that are in it.
    """

    inputs: tuple[int, ...]
    input_names: tuple[str, ...]
    outputs: tuple[int, ...]
    input_structure: Any
    output_structure: Any
    tensors: Mapping[int, TensorSpec]
    calls: tuple[Call, ...]
    nests: tuple[Nest, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<Walk of {len(self.calls)} calls, inputs "
            f"{', '.join(self.input_names)}>"
        )

    def pack(self, structure: Any, values: Mapping[int, object]) -> Any:
        """Returns `structure` with values in place of its slots."""
        return keras.tree.map_structure(lambda s: values[s.key], structure)

    @cached_property
    def producers(self) -> Mapping[int, Call]:
        """The call that made each tensor; model inputs are not in it."""
        return {key: call for call in self.calls for key in call.outputs}


def replay(
    walked: Walk,
    values: Sequence[Value],
    apply: Apply,
    enter: Enter[Value] | None = None,
) -> dict[int, Value]:
    """Runs `apply` over the calls and returns the value of every tensor.

    Args:
        walked: the calls.
        values: one value for each model input, in the order of
            `walked.inputs`: arrays, symbolic tensors, labels, anything.
        apply: gets a call and its arguments with values in place of tensors;
            returns what `call.operation(*args, **kwargs)` would.
        enter: gets a nested model, its arguments likewise, and a function
            that replays what is in it on other inputs and returns the values
            by key; returns what the nested model would, or None to have its
            calls replayed in its place, as they are where it is left out.

    Returns:
        The values by tensor key.
    """
    known = dict(zip(walked.inputs, values, strict=True))
    nests = walked.nests if enter else ()
    _replay(walked, (0, len(walked.calls)), nests, known, (apply, enter))
    return known


def _replay(
    walked: Walk,
    span: tuple[int, int],
    nests: Sequence[Nest],
    known: dict[int, Value],
    how: tuple[Apply, Enter[Value] | None],
) -> None:
    """Replays the calls of a span; `nests` are those that lie in it."""
    apply, enter = how
    index, stop = span
    while index < stop:
        if nests and enter and nests[0].start == index:
            nest, *nests = nests
            inner = [n for n in nests if n.start < nest.stop]
            nests = nests[len(inner) :]
            index = nest.stop
            whole = (nest.start, nest.stop)

            def inside(
                values: Sequence[Value],
                nest: Nest = nest,
                inner: Sequence[Nest] = inner,
                whole: tuple[int, int] = whole,
            ) -> Mapping[int, Value]:
                apart = dict(zip(nest.inputs, values, strict=True))
                _replay(walked, whole, inner, apart, how)
                return apart

            result = enter(
                nest, *_filled(nest.args, nest.kwargs, known), inside
            )
            if result is None:
                _replay(walked, whole, inner, known, how)
                continue
            keys = nest.outputs
        else:
            call = walked.calls[index]
            index += 1
            result = apply(call, *call.fill(known))
            keys = call.outputs
        results = keras.tree.flatten(result)
        known.update(zip(keys, results, strict=True))
