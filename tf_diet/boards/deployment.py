# SPDX-License-Identifier: MIT
"""From any model to files that a board runs, in one call."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from tf_diet import files
from tf_diet.boards.board import Board, get
from tf_diet.boards.fit import Fit, fits
from tf_diet.boards.profiling import Profile, profile
from tf_diet.convert.form import Form, in_form
from tf_diet.convert.micro import MicroModel, to_micro
from tf_diet.convert.sketch import write_sketch
from tf_diet.convert.streaming import StreamingModel
from tf_diet.convert.tflite import to_tflite
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError
from tf_diet.extensions import toolchains
from tf_diet.models.deployment import deployable
from tf_diet.models.families.base import Deployable

MICRO = "TFLite Micro"
REPORT = "deployment.json"


@dataclass(frozen=True)
class Deployment:
    """What was written, and what is known of it.

    Args:
        folder: that holds everything.
        form: what was converted, a whole call or a step, and why.
        tflite: the path of the `.tflite` file.
        model: its content.
        profile: what one call costs.
        micro: the C++ files; None where TFLite Micro cannot run the model.
        micro_problem: why it cannot, else "".
        sketch: the folder of a sketch or C++ project around them, if any.
        fit: whether the model fits on the board, where one was named.
    """

    folder: Path
    form: str
    tflite: Path
    model: TFLiteModel
    profile: Profile
    micro: MicroModel | None = None
    micro_problem: str = ""
    sketch: Path | None = None
    fit: Fit | None = None

    def __repr__(self) -> str:
        lines = [
            self.form,
            f"{self.tflite.name}: {self.model.quantize}, "
            f"{len(self.model):,} bytes",
        ]
        if self.model.fidelity is not None:
            lines.append(f"beside Keras: {self.model.fidelity}")
        if self.micro is not None:
            lines.append(
                f"C++ files: {self.micro.flash_bytes:,} bytes of flash, "
                f"{self.micro.arena_bytes:,} bytes of arena"
            )
        elif self.micro_problem:
            lines.append(f"no C++ files: {self.micro_problem}")
        if self.sketch is not None:
            lines.append(f"sketch: {self.sketch}")
        lines.append(repr(self.profile if self.fit is None else self.fit))
        return "\n".join(lines)


def deploy(  # noqa: PLR0913  (model, data and board, and how)
    model: keras.Model | StreamingModel | TFLiteModel,
    data: Any = None,
    *,
    folder: str | os.PathLike[str],
    board: str | Board | None = None,
    quantize: Any = None,
    form: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    frame: int = 1,
    sample_rate: int | None = None,
    hop: int | None = None,
    name: str | None = None,
    labels: Sequence[str] = (),
    sketch: bool | None = None,
    overwrite: bool = False,
    runs: int = 200,
) -> Deployment:
    """Converts, quantizes, proves and measures a model, and writes it.

    Args:
        model: any model of Keras, pruned or not; a step model; or a
            converted one, which is written as it is. Of a DDSP synthesiser
            the decoder is converted: the synthesis is C++ on the board.
        data: real input, from which integer ranges are taken and on which
            the result is compared with Keras; in any form that `fit` takes.
        folder: where to write; must be empty or new.
        board: what it is for; see `tf-diet profile --boards`. A board that
            cannot run the model is refused.
        quantize: see `to_tflite`. Left out, a microcontroller gets int16x8
            for a step with states and int8 for a whole call, where there is
            data to scale them by, and everything else float32.
        form: "whole" or "stream", where the model alone should not decide.
        shapes: for inputs of unknown sizes, see `to_tflite`.
        frame: time steps in one call of a step.
        sample_rate: samples of audio a second, where it is about sound.
        hop: samples of audio that one call stands for.
        name: of the files; that of the model when left out.
        labels: of a classifier's outputs, which its sketch prints.
        sketch: write a project that builds; left out, where a board is named
            that builds one.
        overwrite: empty the folder first.
        runs: how many calls are timed.

    Returns:
        What was written. The folder holds NAME_QUANTIZE.tflite, `micro/` with
        the C++ files, `sketch/` where a board of the kind was named, and
        deployment.json with all figures.

    Raises:
        InputError: the board, the quantization or the data cannot be used.
        ConversionError: the model cannot be converted, or not for the board.
        RunFolderError: the folder is not empty.
    """
    target = Path(folder)
    files.check_fresh_folder(target, overwrite=overwrite)
    chosen = None if board is None else get(board)
    part = Deployable(model)
    if isinstance(model, keras.Model):
        part = deployable(model)
    if labels:
        words = {"labels": list(labels)}
        part = replace(part, settings={**part.settings, **words})
    wanted = _wants_sketch(sketch, chosen)
    if isinstance(model, TFLiteModel):
        why, lite = "written as it was converted", model
    else:
        step = in_form(
            part.model,
            form,
            shapes=shapes,
            frame=frame,
            sample_rate=sample_rate or part.sample_rate,
            hop=hop or part.hop,
        )
        real = None if data is None else part.inputs(data)
        if quantize is None:
            quantize = _suited(step, chosen, has_data=data is not None)
        why, lite = str(step), to_tflite(step, quantize, real)
    lite = _told(lite, part, sample_rate, hop)
    measured = profile(lite, runs=runs)
    fit = None if chosen is None else fits(measured, chosen)
    title = name or getattr(part.model, "name", None) or "model"
    with files.replacing(target) as staging:
        staging.mkdir()
        if not isinstance(model, TFLiteModel):
            title = f"{title}_{lite.quantize}"
        tflite = lite.save(staging / f"{title}.tflite")
        needed = bool(sketch) or chosen is not None
        micro, problem = _micro(lite, staging, part, chosen, needed)
        found = Deployment(
            staging, why, tflite, lite, measured, micro, problem, fit=fit
        )
        if wanted and micro is not None:
            made = _sketch(staging, part, chosen)
            found = replace(found, sketch=made)
        found = _moved(found, target)
        text = json.dumps(_facts(found), indent=2)
        files.write_text(staging / REPORT, text + "\n")
        if target.exists():
            shutil.rmtree(target)
    return found


def _suited(form: Form, board: Board | None, *, has_data: bool) -> str:
    """Returns the quantization for a board where none was asked for."""
    if board is None or board.runtime != MICRO or not has_data:
        return "float32"
    step = form.model
    stateful = isinstance(step, StreamingModel) and bool(step.states)
    return "int16x8" if stateful else "int8"


def _told(
    lite: TFLiteModel,
    part: Deployable,
    sample_rate: int | None,
    hop: int | None,
) -> TFLiteModel:
    """Returns the model with what is known of its sound."""
    rate = sample_rate or part.sample_rate or lite.sample_rate
    step = hop or part.hop or lite.hop
    if (rate, step) == (lite.sample_rate, lite.hop):
        return lite
    return lite.told({"sample_rate": rate, "hop": step})


def _micro(
    lite: TFLiteModel,
    folder: Path,
    part: Deployable,
    board: Board | None,
    needed: bool,
) -> tuple[MicroModel | None, str]:
    """Writes the C++ files, or says why there are none.

    Raises:
        ConversionError: there are none, although they are needed.
    """
    if board is not None and board.runtime != MICRO:
        return None, f"on {board.title} LiteRT runs the .tflite file"
    try:
        micro = to_micro(
            lite,
            folder / "micro",
            sample_rate=lite.sample_rate,
            hop=lite.hop,
            settings=part.settings,
        )
    except ConversionError as error:
        if needed:
            raise
        return None, str(error)
    return micro, ""


def _wants_sketch(sketch: bool | None, board: Board | None) -> bool:
    """Says whether a sketch is written: for a board that builds one."""
    if sketch is not None:
        return sketch
    return board is not None and board.name in toolchains.names()


def _sketch(folder: Path, part: Deployable, board: Board | None) -> Path:
    known = board is not None and board.name in toolchains.names()
    return write_sketch(
        folder / "sketch",
        folder / "micro",
        board=board.name if board is not None and known else None,
        example=part.example or None,
    )


def _moved(found: Deployment, target: Path) -> Deployment:
    """Returns a deployment with its paths in the folder where it will be."""

    def at(path: Path) -> Path:
        return target / path.relative_to(found.folder)

    micro, sketch = found.micro, found.sketch
    return replace(
        found,
        folder=target,
        tflite=at(found.tflite),
        micro=micro and replace(micro, folder=at(micro.folder)),
        sketch=sketch and at(sketch),
    )


def _facts(found: Deployment) -> dict[str, Any]:
    """Returns what is known of a deployment, as JSON can hold it."""
    micro, fit, fidelity = found.micro, found.fit, found.model.fidelity
    return {
        "form": found.form,
        "tflite": found.tflite.name,
        "quantize": found.model.quantize,
        "bytes": len(found.model),
        "fidelity": None if fidelity is None else asdict(fidelity),
        "profile": asdict(found.profile),
        "micro": None
        if micro is None
        else {
            "flash_bytes": micro.flash_bytes,
            "arena_bytes": micro.arena_bytes,
            "ops": list(micro.ops),
        },
        "micro_problem": found.micro_problem,
        "sketch": found.sketch and found.sketch.name,
        "board": None
        if fit is None
        else {
            "name": fit.board.name,
            "embeddable": fit.embeddable,
            "real_time": fit.real_time,
            "call_ms": fit.call_ms,
            "load": fit.load,
            "flash_needed": fit.flash_needed,
            "ram_needed": fit.ram_needed,
            "problem": fit.problem,
        },
    }
