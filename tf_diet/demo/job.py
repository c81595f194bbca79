# SPDX-License-Identifier: MIT
"""The whole demo, phase by phase."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet.demo.deploy import Deployment, deploy, sound
from tf_diet.demo.recipe import Recipe, shipped_notes, split_notes
from tf_diet.demo.training import Trainings
from tf_diet.files import replacing, write_text
from tf_diet.lottery.run import Run
from tf_diet.lottery.run_folder import Ticket
from tf_diet.optional import require
from tf_diet.report.plots import error_against_weights
from tf_diet.report.tables import rounds_table
from tf_diet.training.folder import ResumableFolder

# The paper's criterion, and what it is compared with where that is wanted.
MAIN = "mutual_information"
COMPARED = ("random", "magnitude", "information_gain")
GOOD_ENOUGH = 1.05
PACKAGES = (
    "tf_diet",
    "keras",
    "tensorflow",
    "numpy",
    "librosa",
    "ai-edge-litert",
    "tflite-micro",
)


def run_demo(
    folder: Path,
    recipe: Recipe,
    *,
    resume: bool = False,
    overwrite: bool = False,
    compare: bool = False,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Trains, prunes, converts, runs and writes; returns the summary.

    Args:
        folder: where everything goes.
        recipe: the numbers.
        resume: go on where an interrupted demo stopped.
        overwrite: empty the folder first.
        compare: run the lottery under `COMPARED` too.
        seed: of everything.
        say: takes each line of the story.

    Raises:
        RunFolderError: the folder is not empty and neither `resume` nor
            `overwrite` was asked for.
    """
    work = ResumableFolder(folder, "demo.json", "demo", overwritable=True)
    with work.locked():
        if work.open(resume=resume, overwrite=overwrite) is None:
            write_text(work.record, "{}")
        return _run(folder, recipe, resume, compare, seed, say)


def _run(
    folder: Path,
    recipe: Recipe,
    resume: bool,
    compare: bool,
    seed: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    started = time.monotonic()
    say("1/6  notes: reading the violin and flute clips that ship")
    notes = shipped_notes()
    parts = split_notes(notes, seed)
    say(f"     {notes.summary()}")
    say(
        "     split by recording: "
        + ", ".join(f"{name} {len(part)} clips" for name, part in parts.items())
    )
    trainings = Trainings(parts, recipe, folder, resume, seed)
    say(
        f"2/6  full model and lottery: DDSP, {recipe.hidden} wide, "
        f"{recipe.rounds} rounds of {recipe.rate:.0%}, "
        f"{trainings.steps(recipe.epochs)} steps each"
    )
    criteria = (MAIN, *COMPARED) if compare else (MAIN,)
    runs = {name: trainings.lottery(name) for name in criteria}
    tickets = runs[MAIN].tickets
    say("3/6  baselines: static envelope, and the last widths from scratch")
    baselines = [trainings.static(), *trainings.scratch(tickets[-1])]
    table = _table(runs, baselines, trainings)
    say(table)
    ticket = _choose(runs[MAIN])
    say(f"4/6  ticket of round {ticket.line.round}: TFLite and C++")
    x, audio = trainings.whole("test")
    loudest = int(np.argmax(np.abs(audio).max(axis=1)))
    note = {name: values[loudest] for name, values in x.items()}
    deployment = deploy(
        ticket.load(),
        trainings.config(),
        trainings.whole("train")[0],
        note,
        folder,
        recipe.latency_runs,
    )
    say("5/6  the written bytes, run over a whole note with fed-back state")
    say(_deployment_story(deployment))
    say("6/6  sounds, plot, summary")
    _sounds(folder, trainings, ticket, deployment, note, audio[loudest])
    _plot(folder, runs, baselines)
    write_text(folder / "rounds.txt", table + "\n")
    summary = _summary(trainings, runs, baselines, ticket, deployment)
    spent = time.monotonic() - started + _spent_before(folder)
    summary["seconds"] = round(spent, 1)
    text = json.dumps(summary, indent=2)
    write_text(folder / "summary.json", text)
    say(f"     done in {summary['seconds']:.0f} s: {folder}/summary.json")
    return json.loads(text)


def _spent_before(folder: Path) -> float:
    """Seconds of the demo that this one resumes, if that was finished."""
    path = folder / "summary.json"
    if not path.exists():
        return 0.0
    return float(json.loads(path.read_text("utf-8"))["seconds"])


def _choose(run: Run) -> Ticket:
    """The smallest ticket that is good enough, else the smallest."""
    ticket = run.best(error_multiplier=GOOD_ENOUGH)
    return ticket if ticket.line.round else run.tickets[-1]


def _rows(run: Run, trainings: Trainings) -> list[dict[str, Any]]:
    rows = []
    for ticket in run.tickets:
        row = asdict(ticket.line)
        row["flops_per_second"] = round(
            row["flops"] * trainings.frames_per_second
        )
        rows.append(row)
    return rows


def _table(
    runs: Mapping[str, Run],
    baselines: list[dict[str, Any]],
    trainings: Trainings,
) -> str:
    full = next(iter(runs.values())).tickets[0].line
    others = [
        row
        | {
            "weights_left": row["parameters"] / full.parameters,
            "error_multiplier": row["test_error"] / (full.test_error or 1.0),
        }
        for row in baselines
    ]
    return "\n".join(
        rounds_table(
            _rows(run, trainings),
            others if number == 0 else (),
            title=f"criterion: {name}",
        )
        for number, (name, run) in enumerate(runs.items())
    )


def _deployment_story(deployment: Deployment) -> str:
    lines = []
    for name, row in deployment.tflite.items():
        lines.append(
            f"     LiteRT {name:8s} {row['bytes']:>9,} bytes, error "
            f"{row['max_error']:.1e}, {row['latency_us']:.1f} us a frame, "
            f"real-time factor {row['real_time_factor']:.4f}"
        )
    row = deployment.micro
    lines.append(
        f"     TFLite Micro {row['quantize']}: flash {row['flash_bytes']:,} "
        f"bytes, arena {row['arena_bytes']:,} bytes, error "
        f"{row['max_error']:.1e}, {row['latency_us']:.1f} us a frame here, "
        f"real-time factor {row['real_time_factor']:.4f}, "
        f"operators {', '.join(row['ops'])}"
    )
    return "\n".join(lines)


def _sounds(
    folder: Path,
    trainings: Trainings,
    ticket: Ticket,
    deployment: Deployment,
    note: Mapping[str, Any],
    audio: Any,
) -> None:
    soundfile = require("soundfile", extra="audio")
    inputs = {name: values[None] for name, values in note.items()}
    full = keras.models.load_model(
        trainings.folder / f"run_{MAIN}" / "round_00.keras"
    )

    def rendered(model: keras.Model) -> Any:
        return keras.ops.convert_to_numpy(model(inputs))[0]

    sounds = {
        "original": audio,
        "full_model": rendered(full),
        "ticket": rendered(ticket.load()),
        "ticket_from_tflite_micro": sound(
            note["f0"], deployment.controls["TFLite Micro"], trainings.config()
        ),
    }
    for name, samples in sounds.items():
        with replacing(folder / "wav" / f"{name}.wav") as temporary:
            soundfile.write(
                temporary,
                np.clip(samples, -1, 1),
                trainings.config().sample_rate,
                subtype="PCM_16",
            )


def _plot(
    folder: Path, runs: Mapping[str, Run], baselines: list[dict[str, Any]]
) -> None:
    full = next(iter(runs.values())).tickets[0].line
    base = full.test_error or 1.0
    static, *scratch = baselines
    error_against_weights(
        folder / "error_against_weights.png",
        {
            name: [asdict(t.line) for t in run.tickets]
            for name, run in runs.items()
        },
        {"static envelope": static["test_error"] / base},
        {
            row["name"]: (
                row["parameters"] / full.parameters,
                row["test_error"] / base,
            )
            for row in scratch
        },
    )


def _summary(
    trainings: Trainings,
    runs: Mapping[str, Run],
    baselines: list[dict[str, Any]],
    ticket: Ticket,
    deployment: Deployment,
) -> dict[str, Any]:
    rows = {name: _rows(run, trainings) for name, run in runs.items()}
    full = rows[MAIN][0]
    static, scratch, once = baselines
    others = {n: r for n, r in rows.items() if n != MAIN}
    return {
        "full": {
            name: full[name]
            for name in (
                "parameters",
                "flops_per_second",
                "validation_error",
                "test_error",
            )
        },
        "static_baseline": static,
        "scratch_baseline": scratch,
        "scratch_once_baseline": once,
        "rounds": rows[MAIN][1:],
        "compared": others,
        "ticket": {
            "round": ticket.line.round,
            "parameters": ticket.line.parameters,
            "weights_left": ticket.line.weights_left,
            "test_error": ticket.line.test_error,
            "error_multiplier": ticket.line.error_multiplier,
            "tflite": deployment.tflite,
            "micro": deployment.micro,
        },
        "recipe": asdict(trainings.recipe),
        "seed": trainings.seed,
        "machine": {
            "system": platform.system(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "date": time.strftime("%Y-%m-%d"),
            "backend": keras.backend.backend(),
            "versions": {name: version(name) for name in PACKAGES},
        },
    }
