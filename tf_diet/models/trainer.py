# SPDX-License-Identifier: MIT
"""Trains a model of sounds, stage by stage, in a folder that can be resumed."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from absl import logging

from tf_diet import files
from tf_diet.audio.clips import Extracted
from tf_diet.audio.extraction import extract
from tf_diet.audio.note_contours import NoteContours
from tf_diet.audio.sources import read_source
from tf_diet.errors import InputError
from tf_diet.extensions import families
from tf_diet.files import write_text
from tf_diet.models.families import Family, Stage
from tf_diet.models.trained import Trained, ranges
from tf_diet.training.examples import examples
from tf_diet.training.folder import ResumableFolder
from tf_diet.training.loop import Training, TrainingPosition
from tf_diet.training.saving import save_model

# Seconds between two states that are kept.
_KEPT_EVERY = 30.0


def train(  # noqa: PLR0913  (model, data and place, and how)
    model: str,
    data: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    preset: str = "small",
    sizes: Mapping[str, Any] | None = None,
    steps: int = 6000,
    seconds: float = 4.0,
    split: str = "recording",
    seed: int = 0,
    resume: bool = False,
    cache: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    say: Callable[[str], Any] = logging.info,
) -> Trained:
    """Trains a model of sounds on a folder of sounds.

    Clips are split into parts to train on, to choose the best epoch on
    ("valid") and to test on, as the folder says or by what stays together.
    Into `folder` go `model.keras` (the epoch that was best on "valid"), the
    models of earlier stages where there are some, `training.jsonl` (a line an
    epoch), `seconds.json` (what each stage took), `config.json` and
    `templates.npz` (how notes go). A training can be killed at any moment:
    with `resume=True` it goes on and ends as if it had not been.

    Args:
        model: a registered kind: "ddsp", "wavenet", "sing" or
            "sing-autoencoder".
        data: NSynth's folder, one of `tf-diet render-notes`, or any folder of
            audio files.
        folder: where the training is written; empty or new.
        preset: sizes of the model: "tiny", "small" or "paper".
        sizes: fields of its configuration that differ from the preset, such
            as `{"hidden": 96}`.
        steps: batches to train on, all stages together.
        seconds: length of a clip.
        split: what stays together where the folder does not say: "recording"
            or "instrument".
        seed: of weights, split and everything drawn.
        resume: go on with the training in `folder`, if there is one.
        cache: a folder for the features of sounds; in the user's cache folder
            when left out.
        jobs: processes that compute features; one a core when left out.
        say: is told what the data holds.

    Returns:
        What was trained, with its loss on the clips held out as "valid".

    Raises:
        InputError: the model, a size, a path or the data cannot be used.
        RunFolderError: the folder is in use, not empty, or belongs to a
            training with other settings.
        DivergedError: the loss is not finite.

    Example:
        >>> strings = tf_diet.models.train("ddsp", "notes", "runs/strings")
        >>> strings.model.summary()
    """
    family = families.get(model)()
    config = _configured(family, preset, sizes or {}, seed)
    source = read_source(data)
    settings = family.settings(config, seconds)
    dataset = extract(
        source, family.needed(config), settings, cache=cache, jobs=jobs
    )
    say(dataset.summary())
    parts = dataset.split(split, seed=seed)
    config = family.fitted(config, dataset)
    facts = {
        "model": model,
        "config": dataclasses.asdict(config),
        "instruments": list(dataset.instruments),
        "pitches": ranges(parts["train"]),
        "settings": dataclasses.asdict(settings),
        "data": {name: len(part) for name, part in parts.items()},
        "split": split,
        "steps": steps,
        "seed": seed,
    }
    work = ResumableFolder(folder, "config.json", "training")
    with work.locked():
        if work.open(facts, resume=resume) is None:
            write_text(work.record, json.dumps(facts, indent=2))
        stages = _Stages(
            family, config, parts, work.folder, steps, seed, f"{model} {preset}"
        )
        loss = stages.trained()
        kept = work.folder / "templates.npz"
        if not kept.exists():
            contours = family.contours(config)
            NoteContours.of(parts["train"], contours).save(kept)
    return dataclasses.replace(Trained.load(work.folder), validation_loss=loss)


def _configured(
    family: Family, preset: str, sizes: Mapping[str, Any], seed: int
) -> Any:
    """Returns the configuration that was asked for.

    Raises:
        InputError: a field or a value cannot be.
    """
    base = family.config.preset(preset)
    for name, value in sizes.items():
        if type(value) is not type(vars(base).get(name)):
            raise InputError(
                "Sizes are fields of the model's configuration, of the same "
                f"type. Received: '{name}={value}'. Known: "
                f"{', '.join(vars(base))}; pass, say, sizes={{'hidden': 96}} "
                "(--set hidden=96)."
            )
    return dataclasses.replace(base, **{"seed": seed, **sizes})


class _Lines(keras.callbacks.Callback):
    """Writes a line an epoch, below those of the stages before.

    The names of this class and of its attributes are in the states that
    trainings keep.
    """

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
    """Keeps the weights with the least loss on held-out clips.

    Its names are in the states that trainings keep, as those of `_Lines`.
    """

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
    folder: Path
    steps: int
    seed: int
    title: str

    def trained(self) -> float:
        """Trains to the end and returns the loss on held-out clips."""
        models: dict[str, keras.Model] = {}
        stages = self.family.stages(self.config)
        for stage in stages:
            name = "model" if stage is stages[-1] else stage.name
            path = self.folder / f"{name}.keras"
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
        family = self.family
        steps = max(1, round(stage.share * self.steps))
        epochs = max(1, round(steps / family.epoch))
        each = -(-steps // epochs)
        keras.utils.set_random_seed(self.seed)
        model = stage.build(models, self.parts["train"])
        family.compile(model, stage, epochs * each)
        batches = self.parts["train"].batches(
            stage.examples, batch=family.batch, steps=each, seed=self.seed
        )
        training = Training(
            examples(batches, batch_size=None, shuffle=False, seed=self.seed),
            lambda: [
                _Lines(self.folder / "training.jsonl", stage.name),
                _Best(_best(path)),
            ],
            {"validation_data": valid, "validation_batch_size": family.batch},
            valid,
            self.seed,
            _KEPT_EVERY,
        )
        result = training.run(
            model,
            TrainingPosition(0),
            TrainingPosition(epochs),
            state=_state(path),
            title=f"{self.title}, {stage.name}",
        )
        model.load_weights(_best(path))
        kept = self.folder / "seconds.json"
        took = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
        took[stage.name] = round(result.seconds, 1)
        write_text(kept, json.dumps(took))
        save_model(model, path)


def _best(path: Path) -> Path:
    return path.with_suffix(".best.weights.h5")


def _state(path: Path) -> Path:
    return path.with_suffix(".state.npz")
