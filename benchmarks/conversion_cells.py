# SPDX-License-Identifier: MIT
"""One architecture of `conversion.py`: converted, run, weighed and timed."""

import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from audio_models import AUDIO
from long_runs import apart
from streaming_models import CASES, built
from whole_models import WHOLE

import tf_diet
from tf_diet.convert import (
    LiteRTRunner,
    MicroRunner,
    QuantizationWarning,
    StreamingModel,
    TFLiteModel,
    flatbuffer,
    in_form,
    to_streaming,
    to_tflite,
)
from tf_diet.convert.arena import smallest_arena
from tf_diet.convert.arithmetic import products
from tf_diet.convert.board_arena import board_arena
from tf_diet.convert.fidelity import differences
from tf_diet.convert.runs_on_micro import check_runs
from tf_diet.convert.step_runner import StepRunner
from tf_diet.errors import DietError
from tf_diet.testing import randomise

RATE = 0.7
# Those that TFLite Micro can run, and those for LiteRT alone.
MICRO = ("float32", "wi8", "int8", "int16x8")
LITERT = ("float16", "dynamic")
CALIBRATED = ("int8", "int16x8")
# Steps that a step model is compared over with the model of sequences.
STEPS = 2000
# Calls that a step model is calibrated on, in two sequences, and a whole one.
CALLS, EXAMPLES = 500, 100
# Calls of the other form, and those that both interpreters make in a row.
OTHER, COMPARED = 16, 20


@dataclass(frozen=True)
class Subject:
    """An architecture, and the form that it is made for.

    Args:
        build: makes it, its weights drawn at random.
        form: "stream" or "whole".
        frame: time steps in one call.
        settings: other arguments of `to_streaming`.
        classes: of integer inputs.
        refused: it cannot stream, and should say so.
    """

    build: Callable[[], keras.Model]
    form: str
    frame: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 2
    refused: bool = False


def drawn(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
    """Returns the same builder, with random weights and statistics."""

    def make() -> keras.Model:
        keras.utils.set_random_seed(0)
        model = build()
        randomise(model)
        return model

    return make


def subjects() -> dict[str, Subject]:
    """Returns every architecture by name."""
    found = {
        name: Subject(drawn(build), "whole") for name, build in WHOLE.items()
    }
    for name, model in AUDIO.items():
        rates = {
            "sample_rate": model.sample_rate,
            "hop": model.hop * model.frame,
        }
        found[name] = Subject(
            drawn(model.build), "stream", model.frame, rates, model.classes
        )
    for name, case in CASES.items():
        found[name] = Subject(
            lambda name=name: built(name),
            "stream",
            case.frame,
            case.settings,
            refused=bool(case.refused),
        )
    return found


def measure(name: str, quick: bool = False) -> dict[str, Any]:
    """Returns all that is known of one architecture, as JSON takes it."""
    subject = subjects()[name]
    model = subject.build()
    row: dict[str, Any] = {
        "name": name,
        "meant_as": subject.form,
        "form": subject.form,
        "refusal_is_right": subject.refused,
        "parameters": {"full": model.count_params()},
    }
    streamed = _streamed(model, subject, row, quick)
    if subject.form == "stream" and streamed is not None:
        forms: dict[str, Any] = {"full": streamed}
        other: Any = _whole(model, streamed)
    else:
        forms, other = {"full": _whole(model)}, streamed
        row["form"] = "whole"
    if not quick:
        forms |= _pruned(model, subject, row, streamed)
    row["cells"] = {
        q: _cells(forms, q, subject)
        for q in (("float32", "int8") if quick else MICRO)
    }
    for quantize in () if quick else LITERT:
        full = {"full": forms["full"]}
        row["cells"][quantize] = _cells(full, quantize, subject, 0.0)
    if other is not None and not quick:
        row["other"] = _cells({"full": other}, "float32", subject, 0.0)
    row["load"] = os.getloadavg()[0]
    return row


def _streamed(
    model: keras.Model, subject: Subject, row: dict[str, Any], quick: bool
) -> StreamingModel | None:
    """Returns the step model, if there is one, and notes how exact it is."""
    steps = 64 if quick else STEPS
    try:
        if subject.form == "stream":
            streamed, error = apart(
                model, steps, subject.frame, **subject.settings
            )
            row["stream"] = {"error": error, "steps": steps}
            row["sample_rate"] = streamed.sample_rate
            row["hop"] = streamed.hop
        else:
            streamed = to_streaming(model)
            row["stream"] = {}
            if not streamed.states:
                # It has no time.
                return None
    except DietError as error:
        row["stream"] = {"refused": short(error)}
        return None
    return streamed


def _whole(model: keras.Model, streamed: StreamingModel | None = None) -> Any:
    """Returns the form of one call, unknown lengths replaced."""
    steps = {}
    if streamed is not None:
        steps = {
            d.name: OTHER * d.shape[1]
            for d in streamed.free_inputs
            if d.has_time(streamed.frame)
        }
    shapes = {
        tensor.name: tuple(
            steps.get(tensor.name, OTHER) if n is None else int(n)
            for n in tensor.shape[1:]
        )
        for tensor in model.inputs
        if None in tensor.shape[1:]
    }
    return in_form(model, "whole", shapes=shapes or None)


def _pruned(
    model: keras.Model,
    subject: Subject,
    row: dict[str, Any],
    streamed: StreamingModel | None,
) -> dict[str, Any]:
    """Returns the form of the pruned model, or nothing where none goes."""
    try:
        small = tf_diet.prune(
            model, rate=RATE, criterion="magnitude", allow_less=True
        )
        row["parameters"]["pruned"] = small.count_params()
        if row["form"] == "whole":
            return {"pruned": _whole(small)}
        assert streamed is not None
        step = to_streaming(small, subject.frame, **subject.settings)
    except DietError as error:
        row["not_pruned"] = short(error)
        return {}
    return {"pruned": step}


def _cells(
    forms: Mapping[str, Any],
    quantize: str,
    subject: Subject,
    seconds: float = 0.2,
) -> dict[str, Any]:
    """Returns one quantization: a row for each stage that there is."""
    cells, lites = {}, {}
    for stage, form in forms.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", QuantizationWarning)
                data = None
                if quantize in CALIBRATED:
                    data = _data(form, subject.classes)
                lite = to_tflite(form, quantize, data)
        except DietError as error:
            cells[stage] = {"refused": short(error)}
            continue
        lites[stage] = lite
        cells[stage] = _facts(lite)
        if quantize in MICRO:
            cells[stage]["micro"] = _micro(lite, subject)
    _time(cells, lites, seconds)
    return cells


def _facts(lite: TFLiteModel) -> dict[str, Any]:
    fidelity = lite.fidelity
    assert fidelity is not None
    return {
        "rms": fidelity.rms_error,
        "max": fidelity.max_error,
        "bytes": len(lite.for_board()),
        "operators": len(flatbuffer.operations(lite.data)),
        "macs": sum(found.count for found in products(lite.data)),
    }


def _data(form: Any, classes: int) -> dict[str, Any]:
    """Returns calibration data: (examples, ...) or (2, time, ...) by input."""
    rng = np.random.default_rng(1)
    if not isinstance(form, StreamingModel):
        form_shapes = form.shapes or {}
        return {
            tensor.name: _random(
                rng,
                (EXAMPLES, *form_shapes.get(tensor.name, tensor.shape[1:])),
                tensor.dtype,
                classes,
            )
            for tensor in form.model.inputs
        }
    data = {}
    for details in form.free_inputs:
        row = details.row_shape(form.frame)
        timed = details.has_time(form.frame)
        time_steps = CALLS * (details.shape[1] if timed else 1)
        shape = (2, time_steps if timed else 1, *row)
        values = _random(rng, shape, details.dtype, classes)
        # What has no time stays as it is over a sequence.
        data[details.name] = np.broadcast_to(values, (2, time_steps, *row))
    return data


def _random(rng: Any, shape: Any, dtype: str, classes: int) -> Any:
    if str(dtype).startswith("int"):
        return rng.integers(0, classes, shape).astype(dtype)
    return rng.standard_normal(shape).astype("float32")


def _call(runner: StepRunner, rng: Any, classes: int) -> dict[str, Any]:
    """Returns one call of a converted model, in real numbers."""
    return {
        d.name: _random(
            rng, d.shape, "float32" if d.scale else d.dtype, classes
        )
        for d in runner.free_inputs
    }


def _micro(lite: TFLiteModel, subject: Subject) -> dict[str, Any]:
    """Returns how far TFLite Micro is from LiteRT, and the arenas."""
    board = TFLiteModel.from_bytes(lite.for_board())
    try:
        check_runs(lite)
        micro = MicroRunner(board)
    except DietError as error:
        return {"refused": short(error)}
    litert = LiteRTRunner(lite)
    rng = np.random.default_rng(2)
    worst = 0.0
    names = [d.name for d in litert.free_outputs]
    made: list[list[Any]] = [[], []]
    for _ in range(COMPARED):
        call = _call(litert, rng, subject.classes)
        for side, runner in zip(made, (litert, micro), strict=True):
            side.append(runner.step(call))
    for name in names:
        one, other = (np.stack([step[name] for step in side]) for side in made)
        worst = max(worst, differences(one, other)[0])
    return {
        "difference": worst,
        "arena": smallest_arena(board.data),
        "board_arena": board_arena(board.data),
    }


def _time(
    cells: dict[str, Any], lites: Mapping[str, TFLiteModel], seconds: float
) -> None:
    """Adds the median microseconds of a call, in both interpreters."""
    if not seconds:
        return
    for stage, us in _medians(
        {s: LiteRTRunner(lite) for s, lite in lites.items()}, seconds
    ).items():
        cells[stage]["us"] = us
    on_micro = {
        s: MicroRunner(lite)
        for s, lite in lites.items()
        if "arena" in cells[s].get("micro", {})
    }
    for stage, us in _medians(on_micro, seconds).items():
        cells[stage]["micro"]["us"] = us


def _medians(
    runners: Mapping[str, StepRunner], seconds: float
) -> dict[str, float]:
    """Times calls, in blocks of 20 ms of each runner in turn.

    Inputs are set and outputs read, as `tf_diet.boards.measure` does; the
    first call of a block is left out.
    """
    stored, blocks = {}, {}
    for stage, runner in runners.items():
        rng = np.random.default_rng(3)
        for _ in range(3):
            call = _call(runner, rng, 2)
            started = time.perf_counter()
            runner.step(call)
            took = time.perf_counter() - started
        stored[stage] = runner.stored_inputs(call)
        blocks[stage] = int(np.clip(0.02 / took, 1, 200))
    found: dict[str, list[float]] = {stage: [] for stage in runners}
    ends = time.perf_counter() + seconds * len(runners)
    while runners and (
        time.perf_counter() < ends or min(map(len, found.values())) < 3
    ):
        for stage, runner in runners.items():
            for number in range(blocks[stage] + 1):
                started = time.perf_counter()
                runner.invoke(stored[stage])
                took = time.perf_counter() - started
                if number or blocks[stage] == 1:
                    found[stage].append(took)
    return {s: float(np.median(t)) * 1e6 for s, t in found.items()}


def short(error: Exception) -> str:
    """Returns what is wrong and what was received, without what to do."""
    what, _, rest = " ".join(str(error).split()).partition(" Received: ")
    said = f"{what} Received: {rest.split('. ')[0]}" if rest else what
    return said if len(said) <= 240 else said[:237].rsplit(" ", 1)[0] + " ..."
