# SPDX-License-Identifier: MIT
"""What a round of the lottery knows: all that its parts are handed."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from tf_diet.lottery.distillation import Distillation
from tf_diet.lottery.ranking import Ranking
from tf_diet.lottery.resets import Reset
from tf_diet.lottery.run_folder import Round, RunFolder, Ticket
from tf_diet.lottery.schedules import Schedule
from tf_diet.pruning.budget import Budget
from tf_diet.training.loop import Training, TrainingPosition
from tf_diet.training.saving import load_model

if TYPE_CHECKING:
    from tf_diet.lottery.methods import Method

Evaluate = Callable[[keras.Model, Any], float]


class Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, phase: str) -> Iterator[None]:
        """Adds what the block takes to a phase."""
        started = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - started + self.seconds.get(phase, 0.0)
            self.seconds[phase] = round(took, 3)


@dataclass(frozen=True, kw_only=True)
class RoundContext:
    """The settings of a run, and the round that is under way.

    Args:
        folder: where the run is written.
        training: how a model is trained.
        epochs: how many a whole training has.
        schedule: how much is removed after each round.
        prune_every: what the schedule counts: "training", "epoch" or "step".
        ranking: which units are removed.
        reset: what retraining starts from.
        method: how a model is made smaller.
        evaluate: returns the error of a model on data.
        validation: data that judges tickets.
        test: data that is reported only; None for none.
        calibration: data that criteria and repairs look at.
        distill: what retraining learns from the full model; None for
            nothing.
        retries: how often a round whose loss diverges is tried again.
        show_rounds: is given all rounds so far, after each.
        on_round: is given every ticket.
        lines: the rounds before this one, the full model's first.
        goal: the share of the full model's parameters that is gone after
            this round, in [0, 1), or the budget to meet.
        watch: how long this round takes, by phase.
    """

    folder: RunFolder
    training: Training
    epochs: int
    schedule: Schedule
    prune_every: str
    ranking: Ranking
    reset: Reset
    method: "Method"
    evaluate: Evaluate
    validation: Any
    test: Any = None
    calibration: Any = None
    distill: Distillation | None = None
    retries: int = 0
    show_rounds: Callable[[Sequence[Round]], Any] = lambda rounds: None
    on_round: Callable[[Ticket], Any] = lambda ticket: None
    lines: Sequence[Round] = ()
    goal: float | Budget = 0.0
    watch: Stopwatch = field(default_factory=Stopwatch)

    def at_round(
        self, lines: Sequence[Round], goal: float | Budget = 0.0
    ) -> "RoundContext":
        """Returns the same settings at the round that follows `lines`."""
        return replace(self, lines=lines, goal=goal, watch=Stopwatch())

    @property
    def number(self) -> int:
        """The number of this round; 0 is the training of the full model."""
        return len(self.lines)

    @property
    def steps(self) -> int | None:
        """Batches in an epoch; None where the data does not say."""
        return self.training.examples.steps

    @property
    def early_moment(self) -> TrainingPosition:
        """The moment of a training that retraining starts at.

        Raises:
            InputError: it is not before the end of the training.
        """
        return self.reset.place(self.epochs, self.steps)

    def load(self, path: Path) -> keras.Model:
        """Loads a model, its random layers as if from one process.

        Where a layer was not given a seed, it draws one when it is made.
        """
        keras.utils.set_random_seed(self.training.seed)
        return load_model(path)

    def trained(self) -> keras.Model:
        """Returns the model of the round before, as trained."""
        return self.load(self.folder.model_path(self.number - 1))

    def early(self) -> keras.Model:
        """Returns the same model at the early moment."""
        return self.load(self.folder.early_path(self.number - 1))
