# SPDX-License-Identifier: MIT
"""The demo's trainings: the lottery and what it is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tf_diet.audio.clips import Extracted
from tf_diet.demo.recipe import Recipe
from tf_diet.lottery.diet import LotteryDiet, loss_of
from tf_diet.lottery.resets import Rewind, fresh_copy
from tf_diet.lottery.run import Run
from tf_diet.lottery.run_folder import Ticket
from tf_diet.lottery.schedules import ConstantRate
from tf_diet.models.ddsp_network import DDSPConfig, ddsp, static_envelope
from tf_diet.models.examples import ddsp_clips
from tf_diet.pruning.limits import Limits
from tf_diet.training.saving import save_model
from tf_diet.training.view import TrainingView


@dataclass(frozen=True)
class Trainings:
    """All that trains, on the same notes and judged on the same notes.

    Args:
        notes: "train", "valid" and "test", split by recording.
        recipe: the numbers.
        folder: where runs and baselines are kept.
        resume: use what an interrupted demo has left there.
        seed: of everything.
    """

    notes: Mapping[str, Extracted]
    recipe: Recipe
    folder: Path
    resume: bool
    seed: int

    @property
    def frames_per_second(self) -> float:
        """Frames of controls in a second of audio."""
        settings = self.notes["train"].settings
        return settings.sample_rate / settings.hop

    def whole(self, name: str) -> tuple[dict[str, Any], Any]:
        """Returns inputs and audio of whole clips of one part."""
        return ddsp_clips(self.config(), self.notes[name])

    def crops(self) -> tuple[dict[str, Any], Any]:
        """Returns overlapping crops, inputs and audio, to train on."""
        return ddsp_clips(
            self.config(),
            self.notes["train"],
            self.recipe.crop_frames,
            self.recipe.crop_step,
        )

    def steps(self, epochs: int) -> int:
        """Returns how many batches so many epochs have."""
        return epochs * -(-len(self.crops()[1]) // self.recipe.batch)

    def config(self) -> DDSPConfig:
        """Returns the sizes of the full model."""
        notes = self.notes["train"]
        return self.recipe.config(
            len(notes.instruments),
            notes.settings.hop,
            notes.settings.sample_rate,
        )

    def lottery(self, criterion: str) -> Run:
        """Runs the lottery under a criterion.

        Runs share the full model's training: a second criterion starts from
        the first one's round 0.
        """
        recipe = self.recipe
        folder = self.folder / f"run_{criterion}"
        model = recipe.compile(ddsp(self.config()), self.steps(recipe.epochs))
        diet = LotteryDiet(
            ConstantRate(recipe.rate, recipe.rounds),
            criterion=criterion,
            scaling=recipe.scaling,
            limits=Limits(max_rate=recipe.max_rate),
            reset=Rewind(epoch=recipe.rewind_epoch),
            seed=self.seed,
        )
        return diet.fit(
            model,
            self.crops(),
            epochs=recipe.epochs,
            batch_size=recipe.batch,
            validation_freq=None,
            validation_data=self.whole("valid"),
            test_data=self.whole("test"),
            calibration=self.whole("train"),
            folder=folder,
            resume=self.resume,
            full=self._full(criterion),
        )

    def _full(self, criterion: str) -> Run | None:
        for path in sorted(self.folder.glob("run_*")):
            run = Run.open(path)
            if path.name != f"run_{criterion}" and run.tickets:
                return run
        return None

    def static(self) -> dict[str, Any]:
        """Trains the static baseline and returns its figures."""
        recipe = self.recipe
        model = recipe.compile(
            static_envelope(self.config()),
            self.steps(recipe.static_epochs),
            recipe.static_learning_rate,
        )
        return self._train(model, "static baseline", recipe.static_epochs)

    def scratch(self, ticket: Ticket) -> list[dict[str, Any]]:
        """Trains the ticket's widths from fresh weights, twice.

        Once for as many steps as the whole lottery took, all rounds
        together, and once for the steps of one training.
        """
        lengths = {
            "same size from scratch": self.recipe.total_epochs,
            "same, one training": self.recipe.epochs,
        }
        return [
            self._train(
                self.recipe.compile(
                    fresh_copy(ticket.load()), self.steps(epochs)
                ),
                title,
                epochs,
            )
            for title, epochs in lengths.items()
        ]

    def _train(
        self, model: keras.Model, title: str, epochs: int
    ) -> dict[str, Any]:
        name = title.replace(",", "").replace(" ", "_")
        path = self.folder / f"{name}.keras"
        if self.resume and path.exists():
            model = keras.models.load_model(path)
        else:
            keras.utils.set_random_seed(self.seed)
            model.fit(
                *self.crops(),
                batch_size=self.recipe.batch,
                epochs=epochs,
                verbose=0,
                callbacks=[TrainingView(title)],
            )
            save_model(model, path)
        return {
            "name": title,
            "parameters": model.count_params(),
            "validation_error": loss_of(model, self.whole("valid")),
            "test_error": loss_of(model, self.whole("test")),
        }
