# SPDX-License-Identifier: MIT
"""Does a large DDSP train, and how: schedules compared on held-out recordings.

    tf-diet render-notes -o notes --programs 40-42,56,65,68,71,73
    python benchmarks/ddsp_training.py prepare notes notes.npz
    python benchmarks/ddsp_training.py train notes.npz out.jsonl \
        --preset paper --rate 1e-3 --warmup 500 --steps 4000
    python benchmarks/ddsp_training.py show docs/results/ddsp_training

Crops of one second, batches of eight; the validation loss is that of whole
held-out notes of four seconds. A call trains one model and adds one line, so
that many can run side by side. `show` writes the table and draws the curves.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from stamp import stamp

BATCH, FRAMES, HOP = 8, 100, 160


def prepare(args):
    """Writes inputs and audio of all notes into one file."""
    from tf_diet.audio.clips import Settings
    from tf_diet.audio.extraction import extract
    from tf_diet.audio.sources import read_source

    notes = extract(read_source(args.notes), settings=Settings(mel_hop=160))
    print(notes.summary())
    arrays = {"instruments": np.array(notes.instruments)}
    for part, clips in notes.split().items():
        found = clips.arrays(["audio", "f0", "loudness", "instrument"])
        found["audio"] = (found["audio"] * 32767).astype("int16")
        arrays |= {f"{part}_{name}": value for name, value in found.items()}
    np.savez_compressed(args.file, **arrays)


def part(config, file, name):
    """Returns the inputs of a model and the audio of one part."""
    from tf_diet.models.examples import ddsp_inputs

    names = ("audio", "f0", "loudness", "instrument")
    found = {n: file[f"{name}_{n}"] for n in names}
    inputs = ddsp_inputs(config, found, found["instrument"])
    return inputs, found["audio"].astype("float32") / 32768


def crops(inputs, audio, steps, seed):
    """Yields batches of random crops."""
    random = np.random.default_rng(seed)
    last = inputs["f0"].shape[1] - FRAMES
    for _ in range(steps):
        clips = random.integers(len(audio), size=BATCH)[:, None]
        first = random.integers(last + 1, size=BATCH)[:, None]
        at = first + np.arange(FRAMES)
        samples = first * HOP + np.arange(FRAMES * HOP)
        x = {name: value[clips, at] for name, value in inputs.items()}
        yield x, audio[clips, samples]


def train(args):
    """Trains one model and adds a line to the results."""
    import keras

    from tf_diet.audio.losses import MultiScaleSpectralLoss
    from tf_diet.models.ddsp_network import DDSPConfig, ddsp, static_envelope

    file = dict(np.load(args.file))
    config = DDSPConfig.preset(
        args.preset if args.preset != "static" else "small",
        instruments=len(file["instruments"]),
        seed=args.seed,
    )
    config = replace(config, harmonics=args.harmonics or config.harmonics)
    keras.utils.set_random_seed(args.seed)
    build = static_envelope if args.preset == "static" else ddsp
    model = build(config)
    schedule = args.rate
    if args.decay == "cosine":
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0 if args.warmup else args.rate,
            max(1, args.steps - args.warmup),
            warmup_target=args.rate if args.warmup else None,
            warmup_steps=args.warmup,
        )
    loss = MultiScaleSpectralLoss()
    if args.loss == "paper":
        loss = MultiScaleSpectralLoss.paper(overlap=0.5)
    model.compile(
        keras.optimizers.Adam(schedule, global_clipnorm=args.clip), loss
    )
    valid, begun, curve = part(config, file, "valid"), time.monotonic(), []
    batches = crops(*part(config, file, "train"), args.steps, args.seed)
    losses = []
    for step, (x, y) in enumerate(batches, start=1):
        losses.append(float(model.train_on_batch(x, y)))
        if step % args.every == 0 or step == args.steps:
            error = model.evaluate(*valid, batch_size=16, verbose=0)
            seconds = time.monotonic() - begun
            figures = float(np.mean(losses)), float(error), seconds
            curve.append([step, *(round(value, 4) for value in figures)])
            losses = []
            print(args.name or args.preset, curve[-1], flush=True)
    line = {k: v for k, v in vars(args).items() if k not in ("run", "out")}
    line |= {"parameters": model.count_params(), "curve": curve}
    line["file"] = Path(args.file).name
    line |= {"stamp": stamp(), "device": args.device}
    with Path(args.out).open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


def show(args):
    """Writes the table and the curves of all trainings."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    base = Path(args.out)
    found = base.with_suffix(".jsonl").read_text("utf-8").splitlines()
    lines = [json.loads(text) for text in found]
    rows = [
        "# What a DDSP model learns, by size and schedule",
        "",
        "298 rendered notes of eight instruments, 28 held out by recording "
        "for these figures; the loss is that of Engel et al. (six windows, "
        "floor 1e-5). Written by `benchmarks/ddsp_training.py`.",
        "",
        "| training | seed | parameters | rate | warm-up | decay | clip "
        "| steps | train | valid | best valid | seconds | on |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for line in sorted(lines, key=lambda x: x["curve"][-1][2]):
        step, loss, error, seconds = line["curve"][-1]
        best = min(point[2] for point in line["curve"])
        rows.append(
            f"| {line['name']} | {line['seed']} | {line['parameters']:,} "
            f"| {line['rate']:g} | {line['warmup']} | {line['decay']} "
            f"| {line['clip']:g} | {step} | {loss:.3f} | {error:.3f} "
            f"| {best:.3f} | {seconds:.0f} | {line['device']} |"
        )
        steps, _, errors, _ = zip(*line["curve"], strict=True)
        label = f"{line['name']}, seed {line['seed']}"
        style = "-" if line["preset"] == "paper" else "--"
        axes.plot(steps, errors, style, label=label, linewidth=1)
    axes.set_ylim(4.6, 6.5)
    axes.set_xlabel("steps")
    axes.set_ylabel("loss on held-out recordings")
    axes.legend(fontsize="x-small", ncols=2)
    axes.grid(alpha=0.3)
    figure.savefig(base.with_suffix(".png"), dpi=110)
    stamps = sorted({line["stamp"] for line in lines})
    rows += ["", f"![curves]({base.name}.png)", "", *stamps]
    base.with_suffix(".md").write_text("\n".join(rows) + "\n", "utf-8")


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("prepare")
    command.add_argument("notes")
    command.add_argument("file")
    command.set_defaults(run=prepare)
    command = commands.add_parser("train")
    command.add_argument("file")
    command.add_argument("out")
    command.add_argument("--name", default="")
    command.add_argument("--preset", default="small")
    command.add_argument("--harmonics", type=int, default=0)
    command.add_argument("--rate", type=float, default=1e-3)
    command.add_argument(
        "--decay", choices=("cosine", "none"), default="cosine"
    )
    command.add_argument("--warmup", type=int, default=0)
    command.add_argument("--clip", type=float, default=3.0)
    command.add_argument("--loss", choices=("engel", "paper"), default="engel")
    command.add_argument("--steps", type=int, default=2000)
    command.add_argument("--every", type=int, default=500)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", default="CPU", help="what it runs on")
    command.set_defaults(run=train)
    command = commands.add_parser("show")
    command.add_argument("out")
    command.set_defaults(run=show)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
