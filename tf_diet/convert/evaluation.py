# SPDX-License-Identifier: MIT
"""How good a converted model is at its task, on data of the user's."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert.runtime import LiteRTRunner, MicroRunner
from tf_diet.convert.step_runner import StepRunner
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.data.inputs import Inputs
from tf_diet.data.reader import read
from tf_diet.errors import InputError

_MOST = 1000


@dataclass(frozen=True)
class Evaluation:
    """How good a model is at its task.

    Args:
        metric: "accuracy" where targets are classes, else "mean squared
            error".
        value: of it.
        examples: how many were run.
        runtime: that ran them.
    """

    metric: str
    value: float
    examples: int
    runtime: str

    def __str__(self) -> str:
        value = (
            f"{self.value:.2%}"
            if self.metric == "accuracy"
            else f"{self.value:.4g}"
        )
        return (
            f"{self.metric} {value} over {self.examples:,} examples "
            f"({self.runtime})"
        )


def evaluate(
    model: TFLiteModel | bytes | StreamingModel | StepRunner,
    data: Any,
    *,
    runtime: str = "LiteRT",
    most: int = _MOST,
) -> Evaluation:
    """Runs a converted model over examples and compares with their targets.

    Args:
        model: a converted model or its bytes; a step model, which Keras runs;
            or a runner.
        data: inputs and targets in any form that `fit` takes. Of a step model
            examples are sequences, (time, features).
        runtime: "LiteRT" or "TFLite Micro".
        most: how many examples are run; the first ones.

    Raises:
        InputError: there are no targets, or they do not fit the output; the
            model has several outputs; or the runtime is unknown.
        ConversionError: the runtime cannot run the model.
    """
    runner = _runner(model, runtime)
    if len(runner.free_outputs) != 1:
        outputs = ", ".join(d.name for d in runner.free_outputs)
        raise InputError(
            "A model with one output is evaluated. Received: the outputs "
            f"{outputs}. Compare them yourself with what runner.run() returns."
        )
    timed = bool(runner.states)
    shapes = tuple(
        (None, None, *d.row_shape(runner.frame))
        if timed
        else (None, *d.shape[1:])
        for d in runner.free_inputs
    )
    names = tuple(d.name for d in runner.free_inputs)
    inputs = Inputs(names, shapes, what="Data", exact=True, targets=True)
    held = read(data, inputs, targets=True, most_examples=most)
    if held.y is None:
        raise InputError(
            "Data to evaluate on has targets. Received: inputs alone. Pass "
            "(x, y), or an .npz file with x and y."
        )
    count = min(most, len(held.x[0]))
    run = runner.run if timed else runner.step
    made: list[Array] = []
    for at in range(count):
        example = {name: x[at] for name, x in zip(names, held.x, strict=True)}
        found: Any = run(example)
        made.append(found if timed else next(iter(found.values()))[0])
    metric, value = _judged(np.stack(made), np.asarray(held.y)[:count])
    return Evaluation(metric, value, count, runner.runtime)


def _runner(model: Any, runtime: str) -> StepRunner:
    if isinstance(model, StepRunner):
        return model
    runners = {"LiteRT": LiteRTRunner, "TFLite Micro": MicroRunner}
    if runtime not in runners:
        raise InputError(
            f"Unknown runtime. Received: {runtime!r}. Known: "
            f"{', '.join(runners)}."
        )
    return runners[runtime](model)


def _judged(made: Array, wanted: Array) -> tuple[str, float]:
    """Returns the metric that targets of this kind ask for, and its value."""
    classes = made.shape[-1]
    labels = wanted
    if wanted.shape == made.shape and classes > 1 and _one_hot(wanted):
        labels = wanted.argmax(axis=-1)
    if labels.shape == (*made.shape[:-1], 1):
        labels = labels[..., 0]
    whole = np.issubdtype(labels.dtype, np.integer) or bool(
        np.array_equal(labels, np.round(labels)) and labels is not wanted
    )
    if classes > 1 and whole and labels.shape == made.shape[:-1]:
        return "accuracy", float(np.mean(made.argmax(axis=-1) == labels))
    if wanted.size != made.size:
        raise InputError(
            "The targets do not fit the output of the model. Received: "
            f"targets {wanted.shape} for outputs {made.shape}. Pass one class "
            "for each example, or values as the model gives them."
        )
    apart = made.reshape(wanted.shape).astype(np.float64) - wanted
    return "mean squared error", float(np.mean(apart**2))


def _one_hot(values: Array) -> bool:
    zeros_and_ones = np.isin(values, (0, 1)).all()
    return bool(zeros_and_ones and (values.sum(axis=-1) == 1).all())
