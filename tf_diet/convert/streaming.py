# SPDX-License-Identifier: MIT
"""From a model of whole sequences to a model of one frame with states."""

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from tf_diet import files
from tf_diet.arrays import Array
from tf_diet.convert.offline import check
from tf_diet.convert.schedule import Schedule, Timing, schedule
from tf_diet.convert.step_runner import StepRunner
from tf_diet.convert.stepping import Stepper
from tf_diet.convert.tensor_spec import NEXT, TensorDetails
from tf_diet.errors import InputError, StreamingError
from tf_diet.graph.calls import Walk
from tf_diet.graph.rule_table import rule_for
from tf_diet.graph.walk import walk

# Within the archive that a `.keras` file is.
_SETTINGS = "tf_diet_streaming.json"


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
        hop: samples of audio in one call; `frame` where there is a sample
            rate and this is left out, and otherwise unknown.
        latency: by how many time steps the outputs lag behind those of the
            model of whole sequences.
        steps: time steps in one call of inputs and outputs by name, where
            they are not told from the shape; 0 for those without time.
    """

    runtime = "Keras"

    def __init__(
        self,
        step_model: keras.Model,
        frame: int = 1,
        sample_rate: int | None = None,
        *,
        hop: int | None = None,
        latency: int = 0,
        steps: Mapping[str, int] | None = None,
    ) -> None:
        self.step_model = step_model
        self.sample_rate = sample_rate
        self.hop = frame if hop is None and sample_rate is not None else hop
        self.latency = latency
        self.steps = dict(steps or {})
        super().__init__(
            self._details(
                [t.name for t in step_model.inputs], step_model.inputs
            ),
            self._details(step_model.output_names, step_model.outputs),
            frame,
        )

    def _details(
        self, names: Sequence[str], tensors: Sequence[Any]
    ) -> list[TensorDetails]:
        return [
            TensorDetails(
                name,
                index,
                (1, *map(int, tensor.shape[1:])),
                str(tensor.dtype),
                steps=self.steps.get(name),
            )
            for index, (name, tensor) in enumerate(
                zip(names, tensors, strict=True)
            )
        ]

    def invoke(self, stored: Sequence[Array]) -> list[Array]:
        """Calls the step model once."""
        results = self.step_model.predict_on_batch(list(stored))
        return results if isinstance(results, list) else [results]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the step model as a `.keras` file in one move.

        Keras reads it as any other; `load` finds the settings in it too.
        """
        settings = {
            "frame": self.frame,
            "sample_rate": self.sample_rate,
            "hop": self.hop,
            "latency": self.latency,
            "steps": self.steps,
        }
        with files.replacing(path) as temporary:
            self.step_model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(_SETTINGS, json.dumps(settings))
        return Path(path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        frame: int | None = None,
        sample_rate: int | None = None,
        hop: int | None = None,
    ) -> "StreamingModel":
        """Reads a step model from a `.keras` file.

        Args:
            path: of the file.
            frame: in place of what `save` noted; files without a note, such
                as those of older versions, have frames of 1.
            sample_rate: likewise, unknown without a note.
            hop: likewise.
        """
        step_model = keras.models.load_model(path)
        kept: dict[str, Any] = {}
        with zipfile.ZipFile(path) as archive:
            if _SETTINGS in archive.namelist():
                kept = json.loads(archive.read(_SETTINGS))
        given = {"frame": frame, "sample_rate": sample_rate, "hop": hop}
        kept.update((k, v) for k, v in given.items() if v is not None)
        return cls(step_model, **kept)

    def __repr__(self) -> str:
        def listed(details: Sequence[TensorDetails]) -> str:
            return ", ".join(f"{d.name}{list(d.shape)}" for d in details)

        states = listed([self.inputs[source] for source, _ in self.states])
        late = f", latency {self.latency}" if self.latency else ""
        return (
            f"<StreamingModel {self.step_model.name!r}, frame {self.frame}"
            f"{late}: {listed(self.free_inputs)} -> "
            f"{listed(self.free_outputs)}; states {states or 'none'}>"
        )


def to_streaming(
    model: keras.Model,
    frame: int = 1,
    *,
    sample_rate: int | None = None,
    hop: int | None = None,
    latency: int | bool = 0,
    attention_window: int | None = None,
) -> StreamingModel:
    """Turns a causal model of sequences into a step model with states.

    Every layer becomes the step form that its rule knows. The result is run
    against the model on a few random frames before it is returned.

    Where the inputs have several rates, `frame` counts steps of the fastest.
    A slower input that the model only treats step by step before it repeats
    its steps (UpSampling1D), such as frames beside samples, is read at every
    step: pass the frame that the step belongs to. Strides need a frame that is
    a multiple of them; outputs of another rate have as many steps a call as
    follow from it.

    Args:
        model: functional or Sequential, with time on axis 1 of its inputs
            and outputs. It is left as it is; the step model has weights of
            its own.
        frame: time steps in one call.
        sample_rate: samples of audio a second, kept for later.
        hop: samples of audio in one call; `frame` where there is a sample
            rate and this is left out.
        latency: by how many time steps the outputs may lag, for layers that
            look ahead; True is as many as they need. The step model says how
            many it took.
        attention_window: how many time steps, the present one included,
            causal attention sees. From the first step after that on, results
            differ from those of the whole sequence.

    Returns:
        The step model, its inputs and outputs named as in `model`. An output
        that is one answer for a sequence is, in each call, the answer for
        what came so far.

    Raises:
        InputError: `frame`, `hop` or `attention_window` is no positive
            number, or `latency` is negative.
        UnsupportedModelError: the model cannot be walked.
        StreamingError: a layer looks ahead, mixes time steps or has no step
            form; it is named with the reason.
    """
    _check_numbers(frame=frame, hop=hop, attention_window=attention_window)
    allowed = _allowed(latency)
    walked = walk(model, lambda operation: rule_for(operation) is None)
    plan = schedule(walked, frame, allowed, attention_window)
    inputs = [
        keras.Input(
            batch_shape=_step_shape(walked.tensors[key].shape, timing, frame),
            dtype=walked.tensors[key].dtype,
            name=name,
        )
        for key, name, timing in zip(
            walked.inputs, walked.input_names, plan.inputs, strict=True
        )
    ]
    stepper = Stepper(walked, plan, frame)
    outputs = stepper.run(inputs)
    names = [_output_name(walked, key) for key in walked.outputs]
    step_model = _named_model(
        [*inputs, *stepper.inputs.values()],
        [*outputs, *(stepper.outputs[name] for name in stepper.inputs)],
        [*names, *(name + NEXT for name in stepper.inputs)],
        f"{model.name}_step",
    )
    streaming = StreamingModel(
        step_model,
        frame,
        sample_rate,
        hop=hop,
        latency=plan.latency,
        steps=_steps(step_model, plan, frame),
    )
    check(model, streaming, plan)
    return streaming


def _check_numbers(**given: int | None) -> None:
    for name, value in given.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (whole and value > 0):
            raise InputError(
                f"{name} is a positive whole number. Received: "
                f"{name}={value!r}. Pass 1 or more."
            )


def _allowed(latency: int | bool) -> int | None:
    if latency is True:
        return None
    if not isinstance(latency, int) or latency < 0:
        raise InputError(
            "latency is the number of time steps by which the outputs may "
            f"lag. Received: latency={latency!r}. Pass 0 or more, or True for "
            "as many as the model needs."
        )
    return int(latency)


def _steps(
    step_model: keras.Model, plan: Schedule, frame: int
) -> dict[str, int]:
    """Returns the steps that inputs and outputs have in one call, by name."""
    named = [
        *zip((t.name for t in step_model.inputs), plan.inputs, strict=False),
        *zip(step_model.output_names, plan.outputs, strict=False),
    ]
    return {name: t.steps(frame) if t.timed else 0 for name, t in named}


def _step_shape(
    shape: Sequence[int | None], timing: Timing, frame: int
) -> tuple[int | None, ...]:
    """Returns the shape of an input in one call."""
    if timing.timed:
        return (1, timing.steps(frame), *shape[2:])
    return (1, *shape[1:])


def _output_name(walked: Walk, key: int) -> str:
    if key in walked.producers:
        return walked.producers[key].step_name
    return walked.input_names[walked.inputs.index(key)]


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
    taken = {operation.name for operation in bare.operations}
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
