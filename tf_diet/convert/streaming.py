# SPDX-License-Identifier: MIT
"""From a model of whole sequences to a model of one frame with states."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet import files
from tf_diet.arrays import Array
from tf_diet.convert.step_runner import StepRunner
from tf_diet.convert.tensor_spec import NEXT, TensorDetails
from tf_diet.errors import StreamingError
from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.graph.rule_table import rule_for
from tf_diet.graph.walk import walk

_CHECKED_FRAMES = 8


class StreamingModel(StepRunner):
    """A step model and its states.

    The step model is an ordinary Keras model of batch 1 with a list of
    inputs and a list of outputs. An output that is called like an input plus
    "_next" is the next value of that input: a state. Any such model can be
    wrapped, one made by hand too.

    Args:
        step_model: one frame in, one frame out, states in and out.
        frame: time steps in one call.
        sample_rate: samples of audio a second, where known.
    """

    runtime = "Keras"

    def __init__(
        self,
        step_model: keras.Model,
        frame: int = 1,
        sample_rate: int | None = None,
    ) -> None:
        self.step_model = step_model
        self.sample_rate = sample_rate
        super().__init__(
            _details([t.name for t in step_model.inputs], step_model.inputs),
            _details(step_model.output_names, step_model.outputs),
            frame,
        )

    def invoke(self, stored: Sequence[Array]) -> list[Array]:
        """Calls the step model once."""
        results = self.step_model.predict_on_batch(list(stored))
        return results if isinstance(results, list) else [results]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the step model as a `.keras` file in one move."""
        with files.replacing(path) as temporary:
            self.step_model.save(temporary)
        return Path(path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        frame: int = 1,
        sample_rate: int | None = None,
    ) -> "StreamingModel":
        """Reads a step model from a `.keras` file."""
        return cls(keras.models.load_model(path), frame, sample_rate)

    def __repr__(self) -> str:
        def listed(details: Sequence[TensorDetails]) -> str:
            return ", ".join(f"{d.name}{list(d.shape)}" for d in details)

        states = listed([self.inputs[source] for source, _ in self.states])
        return (
            f"<StreamingModel {self.step_model.name!r}, frame {self.frame}: "
            f"{listed(self.free_inputs)} -> {listed(self.free_outputs)}; "
            f"states {states or 'none'}>"
        )


def _details(
    names: Sequence[str], tensors: Sequence[Any]
) -> list[TensorDetails]:
    return [
        TensorDetails(
            name, index, (1, *map(int, tensor.shape[1:])), str(tensor.dtype)
        )
        for index, (name, tensor) in enumerate(zip(names, tensors, strict=True))
    ]


def to_streaming(
    model: keras.Model, frame: int = 1, *, sample_rate: int | None = None
) -> StreamingModel:
    """Turns a causal model of sequences into a step model with states.

    Every layer becomes the step form that its rule knows. An input whose time
    steps the model repeats (UpSampling1D), such as frames beside samples, is
    read at every step: pass the frame that the step belongs to. The result is
    run against the model on a few random frames before it is returned.

    Args:
        model: functional or Sequential, with time on axis 1 of its inputs
            and outputs. It is left as it is; the step model has weights of
            its own.
        frame: time steps in one call.
        sample_rate: samples of audio a second, kept for later.

    Returns:
        The step model, its inputs and outputs named as in `model`.

    Raises:
        UnsupportedModelError: the model cannot be walked.
        StreamingError: a layer looks ahead, mixes time steps or has no step
            form; it is named with the reason.
    """
    walked = _own_copy(model)
    inputs = [
        keras.Input(
            batch_shape=_step_shape(walked.tensors[key].shape, frame),
            dtype=walked.tensors[key].dtype,
            name=name,
        )
        for key, name in zip(walked.inputs, walked.input_names, strict=True)
    ]
    replayer = _Replayer()
    known = replay(walked, inputs, replayer.apply)
    names = [_output_name(walked, key) for key in walked.outputs]
    step_model = _named_model(
        [*inputs, *replayer.inputs.values()],
        [known[key] for key in walked.outputs]
        + [replayer.outputs[name] for name in replayer.inputs],
        [*names, *(name + NEXT for name in replayer.inputs)],
        f"{model.name}_step",
    )
    streaming = StreamingModel(step_model, frame, sample_rate)
    _check(model, streaming, _lasting(walked))
    return streaming


def _lasting(walked: Walk) -> list[int]:
    """Returns for how many steps a time step of each input lasts."""
    found = []
    for key in walked.inputs:
        times = {key: 1}
        for call in walked.calls:
            reached = [times[k] for k in call.inputs if k in times]
            rule = rule_for(call.operation)
            if reached and rule is not None:
                longest = max(reached) * rule.repeats(call)
                times.update(dict.fromkeys(call.outputs, longest))
        ends = [times[k] for k in walked.outputs if k in times]
        found.append(max(ends, default=1))
    return found


def _own_copy(model: keras.Model) -> Walk:
    """Walks a copy, so that the caller's layers get no new calls."""
    original = walk(model)
    copy = walk(keras.models.clone_model(model))
    for before, after in zip(original.calls, copy.calls, strict=True):
        if isinstance(before.operation, keras.Layer):
            after.operation.set_weights(before.operation.get_weights())
    return copy


def _step_shape(
    shape: Sequence[int | None], frame: int
) -> tuple[int | None, ...]:
    """Returns the shape of one call: time is axis 1 of a sequence.

    An input of rank 2 is a sequence of classes where its length is unknown,
    and otherwise one vector for the whole sequence.
    """
    if len(shape) > 2 or (len(shape) == 2 and shape[1] is None):
        return (1, frame, *shape[2:])
    return (1, *shape[1:])


def _output_name(walked: Walk, key: int) -> str:
    if key in walked.producers:
        return walked.producers[key].step_name
    return walked.input_names[walked.inputs.index(key)]


class _Replayer:
    """Applies step forms and collects the states that they need."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}

    def apply(
        self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Returns the outputs of one call for one frame."""
        rule = rule_for(call.operation)
        if rule is None:
            raise StreamingError(
                f"The layer {call.path!r} has no step form. Received: "
                f"{type(call.operation).__name__}, for which there is no "
                "rule. Register one with a step method, or convert the part "
                "of the model before it."
            )
        shapes = rule.state_spec(call, 1)
        state = {
            name: keras.Input(
                batch_shape=shape, name=f"{call.step_name}_{name}"
            )
            for name, shape in shapes.items()
        }
        outputs, after = rule.step(call, args, kwargs, state)
        for name, tensor in state.items():
            self.inputs[tensor.name] = tensor
            self.outputs[tensor.name] = after[name]
        return outputs


def _named_model(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    names: Sequence[str],
    title: str,
) -> keras.Model:
    """Returns a model whose outputs go by the given names."""
    try:
        bare = keras.Model(list(inputs), list(outputs), name=title)
    except ValueError as error:
        raise StreamingError(
            "The step model cannot be put together. Received: "
            f"{' '.join(str(error).split())} Give every layer, those of "
            "nested models too, a name of its own."
        ) from error
    taken = {layer.name for layer in bare.layers}
    named = [
        tensor
        if old == name
        else keras.layers.Identity(
            name=name if name not in taken else f"{name}_output"
        )(tensor)
        for tensor, old, name in zip(
            outputs, bare.output_names, names, strict=True
        )
    ]
    return keras.Model(list(inputs), named, name=title)


def _check(
    model: keras.Model, streaming: StreamingModel, lasting: Sequence[int]
) -> None:
    """Compares the step model with the model on random frames."""
    flat = keras.Model(list(model.inputs), list(model.outputs))
    rng = np.random.default_rng(0)
    frame, whole, sequences = streaming.frame, [], {}
    # Whole steps of every input.
    least, unit = _CHECKED_FRAMES * frame, math.lcm(*lasting)
    time = -(-least // unit) * unit
    for tensor, details, steps in zip(
        flat.inputs, streaming.free_inputs, lasting, strict=True
    ):
        values = _random(rng, tensor, time // steps)
        whole.append(values)
        if details.has_time(frame):
            values = np.repeat(values, steps, axis=1)
        if details.has_time(frame):
            calls = min(_CHECKED_FRAMES, values.shape[1] // frame)
            sequences[details.name] = values[0, : calls * frame]
        else:
            sequences[details.name] = np.repeat(values, _CHECKED_FRAMES, 0)
    shortest = min(map(len, sequences.values()))
    stepped = streaming.run(
        {name: values[:shortest] for name, values in sequences.items()}
    )
    streaming.reset()
    offline = keras.tree.flatten(flat(whole, training=False))
    for details, expected in zip(streaming.free_outputs, offline, strict=True):
        several = isinstance(stepped, dict)
        got = stepped[details.name] if several else stepped
        _compare(details, keras.ops.convert_to_numpy(expected), got, frame)


def _random(rng: np.random.Generator, tensor: Any, time: int) -> Array:
    shape = [1, *(time if n is None else n for n in tensor.shape[1:])]
    if str(tensor.dtype).startswith("float"):
        return rng.standard_normal(shape).astype(str(tensor.dtype))
    return rng.integers(0, 2, shape).astype(str(tensor.dtype))


def _compare(
    details: TensorDetails, wanted: Array, got: Array, frame: int
) -> None:
    if details.has_time(frame):
        wanted = wanted[0]
    name = details.name
    if wanted.shape[1:] == got.shape[1:]:
        count = min(len(wanted), len(got))
        wanted, got = wanted[:count], got[:count]
        limit = 1e-3 * np.max(np.abs(wanted), initial=1e-2)
        if np.allclose(got, wanted, rtol=0, atol=limit, equal_nan=True):
            return
        what = f"a difference of {np.max(np.abs(got - wanted)):.3g}"
    else:
        what = f"shape {got.shape} against {wanted.shape}"
    raise StreamingError(
        f"The step model does not give what the model gives at {name!r}. "
        f"Received: {what} on random frames. A layer before it mixes time "
        "steps although its rule calls it pointwise in time: make it causal."
    )
