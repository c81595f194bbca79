# SPDX-License-Identifier: MIT
"""Train a DDSP, WaveNet or SING on a folder of sounds.

    tf-diet train --model ddsp --preset small --data notes --out runs/strings
    tf-diet train --model ddsp --preset small --data notes --out runs/strings \
        --resume
    tf-diet train --model wavenet --preset tiny --data notes --out runs/wave \
        --steps 3000 --set channels=24
    tf-diet train --model sing --data notes --out runs/sing

--data is NSynth's folder, one of 'tf-diet render-notes', or any folder of
audio files. Clips are split by recording, or as the folder says. Into --out go
model.keras (the epoch that was best on clips held out as 'valid'),
training.jsonl (a line an epoch), seconds.json (what each stage took),
config.json and templates.npz (how notes go, for 'tf-diet generate').

SING is trained in three stages, which share --steps: its auto-encoder
(autoencoder.keras), its generator (generator.keras), and both ends together;
sing-autoencoder is the first alone.

A killed training goes on with --resume and ends as if it had not been. On a
GPU, run it under KERAS_BACKEND=jax or a GPU build of TensorFlow; the command is
the same.
"""

import ast
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from absl import logging

from tf_diet import files
from tf_diet.audio.clips import Extracted
from tf_diet.audio.extraction import extract
from tf_diet.audio.sources import read_source
from tf_diet.audio.templates import Templates
from tf_diet.errors import InputError, RunFolderError
from tf_diet.extensions import families
from tf_diet.files import write_text
from tf_diet.lottery.examples import examples
from tf_diet.lottery.run_folder import RunFolder, differences, save_model
from tf_diet.lottery.training import Place, Training
from tf_diet.models.families import Family, Stage
from tf_diet.models.trained import ranges

# Seconds between two states that are kept.
_KEPT_EVERY = 30.0


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet train`."""
    parser.add_argument("--model", required=True, choices=families.names())
    parser.add_argument(
        "--preset", default="small", help="of the model (default: small)"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="sizes that differ from the preset, such as hidden=96",
    )
    parser.add_argument("--data", required=True, help="a folder of sounds")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument(
        "--resume", action="store_true", help="go on with what is in --out"
    )
    parser.add_argument(
        "--steps", type=int, default=6000, help="default: %(default)s"
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of a clip (default: 4)"
    )
    parser.add_argument(
        "--split",
        choices=("recording", "instrument"),
        default="recording",
        help="what stays together, where the folder does not say "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--cache", help="keeps features (default: in the user's cache folder)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--jobs", type=int, help="processes for features")


def run(args: Any) -> None:
    """Trains, and says how good the model is on held-out clips."""
    logging.set_verbosity(max(logging.get_verbosity(), logging.INFO))
    family = families.get(args.model)()
    config = _config(family, args.preset, args.set, args.seed)
    source = read_source(args.data)
    settings = family.settings(config, args.seconds)
    held = extract(
        source,
        family.needed(config),
        settings,
        cache=args.cache,
        jobs=args.jobs,
    )
    print(held.summary())
    parts = held.split(args.split, seed=args.seed)
    config = family.fitted(config, held)
    facts = {
        "model": args.model,
        "config": dataclasses.asdict(config),
        "instruments": list(held.instruments),
        "pitches": ranges(parts["train"]),
        "settings": dataclasses.asdict(settings),
        "data": {name: len(part) for name, part in parts.items()},
        "split": args.split,
        "steps": args.steps,
        "seed": args.seed,
    }
    with RunFolder(args.out).locked():
        _open(args.out, facts, resume=args.resume)
        error = _Stages(family, config, parts, args).trained()
        kept = args.out / "templates.npz"
        if not kept.exists():
            courses = family.courses(config)
            Templates.of(parts["train"], courses).save(kept)
    print(
        f"loss on {len(parts['valid'])} held-out clips: {error:.4f}\n"
        f"wrote {args.out / 'model.keras'}"
    )


def _config(family: Any, preset: str, changes: list[str], seed: int) -> Any:
    """Returns the configuration that was asked for.

    Raises:
        InputError: a field or a value cannot be.
    """
    base = family.config.preset(preset)
    given: dict[str, Any] = {"seed": seed}
    for text in changes:
        name, _, value = text.partition("=")
        try:
            given[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            given[name] = None
        if type(given[name]) is not type(vars(base).get(name)):
            raise InputError(
                "--set takes fields of the model's configuration. Received: "
                f"{text!r}. Known: {', '.join(vars(base))}; write --set "
                "hidden=96."
            )
    return dataclasses.replace(base, **given)


def _open(folder: Path, facts: dict[str, Any], *, resume: bool) -> None:
    """Begins a training in an empty folder, or checks that it is the same.

    Raises:
        RunFolderError: it is not empty, or belongs to another training.
    """
    path = folder / "config.json"
    if path.exists() and resume:
        old = json.loads(path.read_text("utf-8"))
        differ = list(differences(old, json.loads(json.dumps(facts))))
        if differ:
            raise RunFolderError(
                f"The folder {folder} belongs to another training. Received: "
                f"{'; '.join(differ)}. Use the same arguments, or another "
                "folder."
            )
        return
    if any(not p.name.startswith(".") for p in folder.iterdir()):
        raise RunFolderError(
            f"The folder is not empty. Received: {folder}. Name an empty one, "
            "or pass --resume to go on with a training."
        )
    write_text(path, json.dumps(facts, indent=2))


class _Lines(keras.callbacks.Callback):
    """Writes a line an epoch, below those of the stages before."""

    def __init__(self, path: Path, stage: str) -> None:
        super().__init__()
        self.path = path
        self.stage = stage
        # Plain data: it is kept with the state of the training.
        self.lines: list[dict[str, Any]] = [
            line for line in _read_lines(path) if line["stage"] != stage
        ]

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        line = {"stage": self.stage, "epoch": epoch + 1, **figures}
        self.lines.append(line)
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        write_text(self.path, text)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


class _Best(keras.callbacks.Callback):
    """Keeps the weights with the least loss on held-out clips."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        # Plain data, as above: a resumed training writes the same again.
        self.least = float("inf")

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        error = float((logs or {})["val_loss"])
        # The first is kept however bad, so that there is one.
        if error < self.least or not epoch:
            self.least = error
            with files.replacing(self.path) as temporary:
                self.model.save_weights(temporary)


@dataclass(frozen=True)
class _Stages:
    """The stages of a training, each done once whatever kills it."""

    family: Family
    config: Any
    parts: Mapping[str, Extracted]
    args: Any

    def trained(self) -> float:
        """Trains to the end and returns the loss on held-out clips."""
        models: dict[str, keras.Model] = {}
        stages = self.family.stages(self.config)
        for stage in stages:
            name = "model" if stage is stages[-1] else stage.name
            path = self.args.out / f"{name}.keras"
            valid = stage.whole(self.parts["valid"])
            if not path.exists():
                self._train(stage, models, valid, path)
            for leftover in (_best(path), _state(path)):
                leftover.unlink(missing_ok=True)
            models[stage.name] = keras.models.load_model(path)
        return float(
            models[stage.name].evaluate(
                *valid, batch_size=self.family.batch, verbose=0
            )
        )

    def _train(
        self,
        stage: Stage,
        models: Mapping[str, keras.Model],
        valid: tuple[Any, Any],
        path: Path,
    ) -> None:
        """Trains a fresh model, or goes on where a kill left it."""
        args, family = self.args, self.family
        steps = max(1, round(stage.share * args.steps))
        epochs = max(1, round(steps / family.epoch))
        each = -(-steps // epochs)
        keras.utils.set_random_seed(args.seed)
        model = stage.build(models, self.parts["train"])
        family.compile(model, stage, epochs * each)
        batches = self.parts["train"].batches(
            stage.examples, batch=family.batch, steps=each, seed=args.seed
        )
        training = Training(
            examples(batches, batch_size=None, shuffle=False, seed=args.seed),
            lambda: [
                _Lines(args.out / "training.jsonl", stage.name),
                _Best(_best(path)),
            ],
            {"validation_data": valid, "validation_batch_size": family.batch},
            valid,
            args.seed,
            _KEPT_EVERY,
        )
        trained = training.run(
            model,
            Place(0),
            Place(epochs),
            state=_state(path),
            title=f"{args.model} {args.preset}, {stage.name}",
        )
        model.load_weights(_best(path))
        kept = args.out / "seconds.json"
        took = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
        took[stage.name] = round(trained.seconds, 1)
        write_text(kept, json.dumps(took))
        save_model(model, path)


def _best(path: Path) -> Path:
    return path.with_suffix(".best.weights.h5")


def _state(path: Path) -> Path:
    return path.with_suffix(".state.npz")
