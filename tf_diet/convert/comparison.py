# SPDX-License-Identifier: MIT
"""Runs a converted model and Keras side by side."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tf_diet import optional
from tf_diet.arrays import Array
from tf_diet.convert.calibration import Calibration
from tf_diet.convert.fed_back import outputs_over, runner_of
from tf_diet.convert.fidelity import Fidelity, differences
from tf_diet.convert.lowering import Lowered
from tf_diet.convert.runtime import LiteRTRunner
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError

# Calls that are compared: of real data, and where none was given.
_CALLS = 64
_STEPS = 2000
_DRAWN = 8
_DRAWN_STEPS = 32


def measure(
    model: StreamingModel | keras.Model,
    lowered: Lowered,
    lite: TFLiteModel,
    calibration: Calibration | None,
) -> Fidelity:
    """Runs a converted model and Keras side by side.

    Args:
        model: what was converted.
        lowered: the same as a function.
        lite: what it became.
        calibration: real calls; random ones are drawn where there are none.

    Raises:
        ConversionError: LiteRT cannot run the converted model.
    """
    if isinstance(model, StreamingModel):
        names, wanted, got, shown = _steps(model, lite, calibration)
    else:
        names, wanted, got, shown = _calls(lowered, lite, calibration)
    worst = (-1.0, -1.0, "")
    for name, one, other in zip(names, wanted, got, strict=True):
        if one.shape != other.shape:
            raise ConversionError(
                f"The converted model {lowered.name!r} gives another shape at "
                f"{name!r}. Received: {other.shape[1:]} for {one.shape[1:]}. "
                "This is a fault of tf_diet: please report it with the model."
            )
        largest, rms = differences(one, other)
        worst = max(worst, (rms, largest, name))
    return Fidelity(
        max_error=worst[1],
        rms_error=worst[0],
        output=worst[2],
        calls=len(wanted[0]) if wanted else 0,
        real=calibration is not None,
        clipped=_clipped(lite, shown),
    )


def _calls(
    lowered: Lowered, lite: TFLiteModel, calibration: Calibration | None
) -> tuple[tuple[str, ...], list[Array], list[Array], list[list[Array]]]:
    runner = LiteRTRunner(lite)
    if calibration is None:
        rng = np.random.default_rng(0)
        calls = [
            [random_input(rng, a.shape, a.dtype) for a in lowered.arguments]
            for _ in range(_DRAWN)
        ]
    else:
        stride = max(1, len(calibration.steps) // _CALLS)
        calls = calibration.steps[::stride][:_CALLS]
    shaped = [
        [
            np.reshape(x, a.shape).astype(a.dtype)
            for x, a in zip(call, lowered.arguments, strict=True)
        ]
        for call in calls
    ]
    got: list[list[Array]] = []
    for call in shaped:
        stored = [d.encode(x) for d, x in zip(runner.inputs, call, strict=True)]
        made = runner.invoke(stored)
        got.append(
            [d.decode(y) for d, y in zip(runner.outputs, made, strict=True)]
        )
    return (
        lowered.output_names,
        _offline(lowered, shaped),
        [np.concatenate(row) for row in zip(*got, strict=True)],
        calls,
    )


def _offline(lowered: Lowered, calls: Sequence[Sequence[Array]]) -> list[Array]:
    """Returns what Keras makes of all calls, by output: (calls, ...)."""
    run = lowered.offline
    if keras.backend.backend() == "tensorflow":
        # Eager loops over time take seconds.
        tf = optional.require("tensorflow", "convert")
        run = tf.function(run, autograph=False)
    batched = all(x.shape[0] is None for x in lowered.model.inputs)
    batches = [[np.concatenate(column) for column in zip(*calls, strict=True)]]
    made = [
        run([keras.ops.convert_to_tensor(x) for x in batch])
        for batch in (batches if batched else calls)
    ]
    return [
        np.concatenate([keras.ops.convert_to_numpy(y) for y in row])
        for row in zip(*made, strict=True)
    ]


def _steps(
    model: StreamingModel,
    lite: TFLiteModel,
    calibration: Calibration | None,
) -> tuple[tuple[str, ...], list[Array], list[Array], list[list[Array]]]:
    if calibration is None:
        rng = np.random.default_rng(0)
        calls = {
            d.name: np.stack(
                [
                    random_input(rng, d.shape, d.dtype)
                    for _ in range(_DRAWN_STEPS)
                ]
            )
            for d in model.free_inputs
        }
    else:
        calls = _loudest(calibration.recordings)
    fed_back = calibration.runner if calibration else runner_of(model)
    if fed_back is None:
        # A call at a time takes long.
        calls = {name: x[:_CALLS] for name, x in calls.items()}
    made = outputs_over(model, calls, fed_back)
    runner = LiteRTRunner(lite)
    count = min(map(len, calls.values()))
    rows = [
        runner.step({name: x[i] for name, x in calls.items()})
        for i in range(count)
    ]
    names = tuple(d.name for d in model.free_outputs)
    shown = [
        [calls[d.name][i] for d in model.free_inputs] for i in range(count)
    ]
    found = [
        np.stack([np.reshape(row[d.name], d.shape) for row in rows])
        for d in model.free_outputs
    ]
    return names, made, found, shown


def _loudest(recordings: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Returns the beginning of the recording that reaches furthest."""

    def reach(recording: Mapping[str, Array]) -> float:
        return max(
            float(np.abs(x[:_STEPS]).max(initial=0.0))
            for x in recording.values()
        )

    chosen = max(recordings, key=reach)
    return {name: x[:_STEPS] for name, x in chosen.items()}


def _clipped(
    lite: TFLiteModel, calls: Sequence[Sequence[Array]]
) -> tuple[str, ...]:
    """Returns the inputs whose numbers leave what can be stored."""
    states = {source for source, _ in lite.states}
    free = [d for d in lite.inputs if d.index not in states]
    found = []
    for place, details in enumerate(free):
        if not details.scale or not calls or len(calls[0]) != len(free):
            continue
        limits = np.iinfo(details.dtype)
        lowest = (limits.min - details.zero_point - 1) * details.scale
        highest = (limits.max - details.zero_point + 1) * details.scale
        values = np.concatenate([np.ravel(call[place]) for call in calls])
        if values.min() < lowest or values.max() > highest:
            found.append(details.name)
    return tuple(found)


def random_input(
    rng: np.random.Generator, shape: Sequence[int], dtype: str
) -> Array:
    """Returns normal numbers, or zeros and ones where integers are taken."""
    if dtype.startswith("float"):
        return rng.standard_normal(tuple(shape)).astype(dtype)
    return rng.integers(0, 2, tuple(shape)).astype(dtype)
