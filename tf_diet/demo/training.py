"""The demo's trainings: the lottery and what it is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tf_diet.audio.datasets import NoteSet, batches
from tf_diet.demo.recipe import Recipe
from tf_diet.lottery.diet import LotteryDiet, Run, loss_of
from tf_diet.lottery.resets import fresh_copy
from tf_diet.lottery.run_folder import Ticket, save_model
from tf_diet.lottery.schedules import ConstantRate
from tf_diet.lottery.training_view import TrainingView
from tf_diet.models.ddsp import ddsp, static_envelope


@dataclass(frozen=True)
class Trainings:
    """All that trains, on the same notes and judged on the same notes.

    Args:
        notes: "train", "validation" and "test", split by recording.
        recipe: the numbers.
        folder: where runs and baselines are kept.
        resume: use what an interrupted demo has left there.
        seed: of everything.
    """

    notes: Mapping[str, NoteSet]
    recipe: Recipe
    folder: Path
    resume: bool
    seed: int

    @property
    def frames_per_second(self) -> float:
        """Frames of controls in a second of audio."""
        notes = self.notes["train"]
        return notes.sample_rate / notes.hop

    def whole(self, name: str) -> tuple[dict[str, Any], Any]:
        """Returns inputs and audio of whole clips of one part."""
        return self.notes[name].inputs(), self.notes[name].audio

    def crops(self) -> keras.utils.PyDataset:
        """Returns the random crops that everything trains on."""
        return batches(
            self.notes["train"],
            batch=self.recipe.batch,
            crop_frames=self.recipe.crop_frames,
            steps_per_epoch=self.recipe.steps_per_epoch,
            seed=self.seed,
        )

    def config(self) -> Any:
        """Returns the sizes of the full model."""
        notes = self.notes["train"]
        return self.recipe.config(
            len(notes.instruments), notes.hop, notes.sample_rate
        )

    def lottery(self, criterion: str) -> Run:
        """Runs the lottery under a criterion.

        Runs share the full model's training: a second criterion starts from
        the first one's round 0.
        """
        recipe = self.recipe
        folder = self.folder / f"run_{criterion}"
        model = recipe.compile(ddsp(self.config()), recipe.epochs)
        diet = LotteryDiet(
            ConstantRate(recipe.rate, recipe.rounds),
            criterion=criterion,
            rewind_epoch=recipe.rewind_epoch,
            seed=self.seed,
        )
        return diet.fit(
            model,
            self.crops(),
            epochs=recipe.epochs,
            validation_data=self.whole("validation"),
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
            recipe.static_epochs,
            recipe.static_learning_rate,
        )
        return self._train(model, "static baseline", recipe.static_epochs)

    def scratch(self, ticket: Ticket) -> dict[str, Any]:
        """Trains the ticket's widths from fresh weights.

        For as many steps as the whole lottery took, all rounds together.
        """
        total = self.recipe.total_epochs
        model = self.recipe.compile(fresh_copy(ticket.load()), total)
        return self._train(model, "same size from scratch", total)

    def _train(
        self, model: keras.Model, title: str, epochs: int
    ) -> dict[str, Any]:
        path = self.folder / f"{title.replace(' ', '_')}.keras"
        if self.resume and path.exists():
            model = keras.models.load_model(path)
        else:
            keras.utils.set_random_seed(self.seed)
            model.fit(
                self.crops(),
                epochs=epochs,
                shuffle=False,
                verbose=0,
                callbacks=[TrainingView(title)],
            )
            save_model(model, path)
        return {
            "name": title,
            "parameters": model.count_params(),
            "validation_error": loss_of(model, self.whole("validation")),
            "test_error": loss_of(model, self.whole("test")),
        }
