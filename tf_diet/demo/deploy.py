# SPDX-License-Identifier: MIT
"""The demo's last mile: a ticket as bytes that run on a board."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet.audio.synthesis import synthesize
from tf_diet.boards.latency import measure
from tf_diet.convert.form import in_form
from tf_diet.convert.micro import MicroModel, parse_c_array, to_micro
from tf_diet.convert.runtime import LiteRTRunner, MicroRunner
from tf_diet.convert.sketch import write_sketch
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite import to_tflite
from tf_diet.models.ddsp_network import DDSPConfig
from tf_diet.models.deployment import deployable
from tf_diet.models.families.base import Deployable

QUANTIZATIONS = ("float32", "int16x8")
BOARD = "int16x8"


def relative_error(found: Any, expected: Any) -> float:
    """Largest absolute difference over the largest expected output."""
    difference = np.abs(np.asarray(found) - np.asarray(expected)).max()
    return float(difference / np.abs(expected).max())


@dataclass(frozen=True)
class Deployment:
    """What was written and how it did.

    Args:
        tflite: figures by quantisation.
        micro: figures of the TFLite Micro model.
        controls: synthesis controls by where they were computed.
        model: the C++ files.
        sketch: the Arduino sketch folder.
    """

    tflite: Mapping[str, Mapping[str, Any]]
    micro: Mapping[str, Any]
    controls: Mapping[str, Any]
    model: MicroModel
    sketch: Path


def _sequences(
    part: Deployable, clips: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns what the part is fed for each clip."""
    x = part.inputs(clips)
    return [
        {name: values[i] for name, values in x.items()}
        for i in range(len(next(iter(x.values()))))
    ]


def deploy(
    ticket: keras.Model,
    config: DDSPConfig,
    calibration: Mapping[str, Any],
    note: Mapping[str, Any],
    folder: Path,
    runs: int,
) -> Deployment:
    """Converts a ticket, runs the written bytes and measures them.

    Args:
        ticket: a trained DDSP model, pruned or not.
        config: the sizes of its synthesis.
        calibration: inputs of the model, (clips, frames, features), that
            give the ranges of integers.
        note: inputs of the clip that everything is compared on, (frames,
            features).
        folder: where the files go.
        runs: how often a step is timed.
    """
    part = deployable(ticket)
    form = in_form(part.model, sample_rate=part.sample_rate, hop=part.hop)
    assert isinstance(form.model, StreamingModel), "it is recurrent"
    (inputs,) = _sequences(part, {name: x[None] for name, x in note.items()})
    batched = {name: x[None] for name, x in inputs.items()}
    expected = keras.ops.convert_to_numpy(part.model(batched))[0]
    controls = {"Keras": expected, "streaming": form.model.run(inputs)}
    ranges = part.inputs(calibration)
    figures = {}
    for quantize in QUANTIZATIONS:
        lite = to_tflite(form, quantize, ranges)
        path = lite.save(folder / "tflite" / f"ticket_{quantize}.tflite")
        runner = LiteRTRunner(path.read_bytes())
        controls[f"LiteRT {quantize}"] = runner.run(inputs)
        latency = measure(
            runner, runs=runs, hop=config.hop, sample_rate=config.sample_rate
        )
        figures[quantize] = {
            "file": str(path.relative_to(folder)),
            "bytes": path.stat().st_size,
            "max_error": relative_error(
                controls[f"LiteRT {quantize}"], expected
            ),
            "latency_us": latency.p50_us,
            "latency_p95_us": latency.p95_us,
            "latency_p99_us": latency.p99_us,
            "real_time_factor": latency.real_time_factor,
        }
        if quantize == BOARD:
            model = to_micro(
                lite,
                folder / "micro",
                sample_rate=part.sample_rate,
                hop=part.hop,
                settings=part.settings,
            )
    # The bytes a compiler would see, not the ones we hold.
    micro = MicroRunner(parse_c_array(folder / "micro" / "model_data.cc"))
    controls["TFLite Micro"] = micro.run(inputs)
    latency = measure(
        micro, runs=runs, hop=config.hop, sample_rate=config.sample_rate
    )
    return Deployment(
        tflite=figures,
        micro={
            "quantize": BOARD,
            "ops": list(model.ops),
            "arena_bytes": model.arena_bytes,
            "flash_bytes": model.flash_bytes,
            "max_error": relative_error(controls["TFLite Micro"], expected),
            "latency_us": latency.p50_us,
            "real_time_factor": latency.real_time_factor,
        },
        controls=controls,
        model=model,
        sketch=write_sketch(
            folder / "sketch", folder / "micro", overwrite=True
        ),
    )


def sound(f0: Any, controls: Any, config: DDSPConfig) -> Any:
    """Renders controls as sound.

    Shapes:
        f0 (frames, 1), controls (frames, 1 + harmonics + bands); returns
        (samples,).
    """
    noise = np.random.default_rng(0).uniform(
        -1, 1, (1, len(controls) * config.hop)
    )
    audio = synthesize(
        np.asarray(f0)[None],
        np.asarray(controls)[None],
        noise.astype("float32"),
        harmonics=config.harmonics,
        sample_rate=config.sample_rate,
        hop=config.hop,
    )
    return keras.ops.convert_to_numpy(audio)[0]
