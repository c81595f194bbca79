# SPDX-License-Identifier: MIT
"""Instruments from two cores: the small models trained, judged and played.

    tf-diet render-notes -o notes --programs 40-42,56,65,68,71,73
    python benchmarks/sounds.py train ddsp notes runs out.jsonl
    python benchmarks/sounds.py speed runs out.jsonl
    python benchmarks/sounds.py show out.jsonl docs/results/sounds.md
    python benchmarks/sounds.py play runs docs/sounds

`train` is `tf-diet train` and `tf-diet evaluate` as a user calls them, and adds
a line to the results; it goes on where a kill left it. `speed` measures how
fast the trained WaveNet makes samples. `play` writes three notes of each model
that was trained. Run one at a time, and nothing beside it: times are results.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from stamp import stamp

# Steps, and the minutes within which an instrument should be recognised.
MODELS = {"ddsp": (6000, 30), "sing": (2700, 30), "wavenet": (56000, 60)}
NOTES = {
    "violin": ("string_acoustic_040", ["A4:2"]),
    "oboe": ("reed_acoustic_068", ["G4:2"]),
    "trumpet": ("brass_acoustic_056", ["C5:2"]),
}


def call(*words):
    """Runs tf-diet, its progress shown."""
    line = [sys.executable, "-m", "tf_diet", *map(str, words)]
    subprocess.run(line, check=True)


def add(path, line):
    """Adds a line to the results."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def train(args):
    """Trains and judges one model, and adds a line."""
    run = args.runs / args.model
    steps, _ = MODELS[args.model]
    call(
        *("train", "--model", args.model, "--preset", "small"),
        *("--data", args.notes, "--out", run, "--steps", steps),
        *(["--resume"] if run.exists() else []),
    )
    line = {
        "model": args.model,
        "steps": steps,
        "seconds": json.loads((run / "seconds.json").read_text("utf-8")),
        "stamp": stamp(),
    }
    for part in ("train", "test"):
        path = run.parent / f"{args.model}_{part}.json"
        call(
            *("evaluate", run, "--data", args.notes),
            *("--part", part, "--json", path),
        )
        line[part] = json.loads(path.read_text("utf-8"))
    add(args.file, line)


def speed(args):
    """Measures how fast a WaveNet is drawn from, and adds a line."""
    import numpy as np

    from tf_diet.models import generate
    from tf_diet.models.trained import Trained

    trained = Trained.load(args.runs / "wavenet")
    hop, bands = trained.config.hop, trained.config.conditioning
    told = np.full((1, 130, bands), 0.3, np.float32)

    def seconds(frames):
        begin = time.perf_counter()
        generate(trained.model, hop * frames, conditioning=told, instrument=[0])
        return time.perf_counter() - begin

    seconds(5)
    # What both take, compiling among it, is no part of a sample's time.
    rates = [hop * 125 / (seconds(130) - seconds(5)) for _ in range(5)]
    line = {"samples_a_second": sorted(rates), "stamp": stamp()}
    add(args.file, line)


def show(args):
    """Writes the page."""
    lines = [
        "# Instruments from two cores",
        "",
        "The presets `small`, trained by `tf-diet train` on 233 rendered notes "
        "of eight instruments (violin, viola, cello, trumpet, alto sax, oboe, "
        "clarinet, flute), judged by `tf-diet evaluate` on 37 notes of "
        "recordings that were held out, 21 of them beyond the pitches that "
        "their instrument was trained on; a row that no training made is a "
        "trivial baseline. In tune: the share of frames in which the recording "
        "sounds its pitch where the note that was made does too (pYIN, 50 "
        "cents; the pitch is told to DDSP, so it says nothing there). Written "
        "by `benchmarks/sounds.py`. Three notes of each are in "
        "[docs/sounds](../sounds): A4 of a violin, G4 of an oboe, C5 of a "
        "trumpet.",
    ]
    texts = args.file.read_text("utf-8").splitlines()
    found = [json.loads(text) for text in texts]
    shown = set()
    for line in (line for line in found if "model" in line):
        took = sum(line["seconds"].values()) / 60
        _, bar = MODELS[line["model"]]
        stages = ", ".join(
            f"{name} {seconds / 60:.1f}"
            for name, seconds in line["seconds"].items()
        )
        rows = dict(line["test"]["rows"])
        if "train" in line:
            (own,) = line["train"]["rows"].values()
            rows["the model, on training notes"] = own
        names = list(dict.fromkeys(n for r in rows.values() for n in r))
        lines += [
            "",
            f"## {line['model']}"
            + (", another run" if line["model"] in shown else ""),
            "",
            f"{line['steps']:,} steps, {took:.1f} minutes (bar: {bar})"
            + (f": {stages}" if len(line["seconds"]) > 1 else "")
            + f"; {line['test']['clips']} held-out notes.",
            "",
            f"| | {' | '.join(names)} |",
            f"|---|{'---|' * len(names)}",
        ]
        shown.add(line["model"])
        for name, row in rows.items():
            cells = [f"{row[n]:.3f}" if n in row else "-" for n in names]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines += ["", line["stamp"]]
    for line in (line for line in found if "samples_a_second" in line):
        rates = line["samples_a_second"]
        lines += [
            "",
            f"WaveNet makes {rates[len(rates) // 2]:,.0f} samples of one "
            f"sound a second (the median of {len(rates)}, from "
            f"{rates[0]:,.0f} to {rates[-1]:,.0f}; 16,000 are real time), "
            f"compiling apart. {line['stamp']}",
        ]
    args.page.write_text("\n".join(lines) + "\n", "utf-8")


def play(args):
    """Writes three notes of each model."""
    args.sounds.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        if not (args.runs / model / "model.keras").exists():
            print(f"{model}: not trained in {args.runs}, left out")
            continue
        for name, (instrument, notes) in NOTES.items():
            call(
                *("generate", args.runs / model, "--instrument", instrument),
                *("--notes", *notes, "--seed", 1),
                *("--out", args.sounds / f"{model}_{name}.flac"),
            )


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    for function, names in (
        (train, ("model", "notes", "runs", "file")),
        (speed, ("runs", "file")),
        (show, ("file", "page")),
        (play, ("runs", "sounds")),
    ):
        command = commands.add_parser(function.__name__)
        for name in names:
            if name == "model":
                command.add_argument(name, choices=MODELS)
            else:
                command.add_argument(name, type=Path)
        command.set_defaults(function=function)
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
