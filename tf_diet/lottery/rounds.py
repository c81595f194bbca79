# SPDX-License-Identifier: MIT
"""The rounds of one run: each is found again where a kill left it."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
from absl import logging

from tf_diet.errors import DivergedError
from tf_diet.lottery.gradual import trims
from tf_diet.lottery.resets import fresh_copy
from tf_diet.lottery.round_context import RoundContext
from tf_diet.lottery.round_line import line_of
from tf_diet.lottery.run_folder import Round, RunFolder, Ticket
from tf_diet.lottery.schedules import Line
from tf_diet.pruning.budget import Budget
from tf_diet.training.learning_rates import scale
from tf_diet.training.loop import Training, TrainingPosition, TrainingResult
from tf_diet.training.saving import save_model

# How much lower the learning rate of a retry is.
_SLOWER = 0.3
# Rounds beyond which nobody waits for the last.
_COUNTED = 1000


@dataclasses.dataclass(frozen=True)
class Rounds:
    """Trains, ranks, trims and files, a round at a time.

    Args:
        settings: of the run; each round has its own copy.
    """

    settings: RoundContext

    @property
    def folder(self) -> RunFolder:
        """Where the run is written."""
        return self.settings.folder

    def first(self) -> None:
        """Trains the full model, keeping its early moment."""
        run, context = self.folder, self.settings.at_round([])

        def keep(model: keras.Model) -> None:
            save_model(model, run.early_path(0))

        model = context.load(run.start_path)
        end = TrainingPosition(context.epochs)
        trained = context.training.run(
            model,
            TrainingPosition(0),
            next(iter(self.trims), end),
            state=run.state_path("round_00"),
            title="round 0",
            early=None if self.trims else (context.early_moment, keep),
        )
        if not run.early_path(0).exists():
            # The training was stopped, or is trimmed, before that moment.
            keep(model)
        self.file(context, model, trained)

    def next(self) -> bool:
        """Ranks and trims the last round's model, resets and retrains.

        Returns False, and does nothing, when the schedule has ended or
        nothing is left to remove.

        Raises:
            DivergedError: the loss did, in every retry.
        """
        lines = self.folder.rounds()
        due, goal = self.ask(lines)
        if not due:
            return False
        context = self.settings.at_round(lines, goal)
        begun = self.folder.early_path(context.number).exists()
        if not begun and not context.method.start(context):
            return False
        trained, model = self._retrain(context)
        self.file(context, model, trained)
        return True

    @functools.cached_property
    def trims(self) -> Mapping[TrainingPosition, float]:
        """Where a single training is trimmed, and what is gone after it.

        Empty where every round is a training.

        Raises:
            InputError: schedule and data do not fit such a training.
        """
        s = self.settings
        return trims(s.schedule, s.prune_every, s.epochs, s.steps)

    @functools.cached_property
    def _of(self) -> str:
        """Tells how many rounds there will be, where the schedule knows."""
        schedule = self.settings.schedule
        if self.trims:
            return f" of {len(self.trims)}"
        if schedule.adaptive:
            return ""
        # Such a schedule looks at nothing but how many lines there are.
        lines: list[Any] = [None]
        while len(lines) < _COUNTED and schedule.next(lines)[0]:
            lines.append(None)
        return f" of {len(lines) - 1}" if len(lines) < _COUNTED else ""

    def ask(self, lines: Sequence[Line]) -> tuple[bool, float | Budget]:
        """Returns whether another round is due, and its goal."""
        if not self.trims:
            return self.settings.schedule.next(lines)
        later = list(self.trims.values())[len(lines) - 1 :]
        return bool(later), later[0] if later else 0.0

    def agrees(self, lines: Sequence[Round]) -> bool:
        """Says whether the schedule would have led to these rounds too.

        A run whose schedule was changed can go on then. The end of a single
        training that is trimmed hangs on all moments, so that never does.

        Args:
            lines: the finished rounds, the full model's first.
        """
        if self.trims:
            return False
        for number, line in enumerate(lines[1:], 1):
            due, goal = self.ask(lines[:number])
            if not due or isinstance(goal, Budget):
                return False
            if not math.isclose(goal, line.sparsity, abs_tol=1e-9):
                return False
        return True

    def _retrain(
        self, context: RoundContext
    ) -> tuple[TrainingResult, keras.Model]:
        """Trains a round, again at lower rates where its loss diverges."""
        run, number = self.folder, context.number
        start, end = self._span(context)
        state = run.state_path(f"round_{number:02d}")
        drawn = sum(line.epochs for line in context.lines)
        retry = max(
            (
                r
                for r in range(1, context.retries + 1)
                if run.retry_path(number, r).exists()
            ),
            default=0,
        )
        while True:
            path = run.retry_path(number, retry)
            path = path if retry else run.early_path(number)
            model = context.load(path)
            try:
                with (
                    self._taught(context, model),
                    context.method.hold(context, model),
                ):
                    trained = _seeded(context, retry).run(
                        model,
                        start,
                        end,
                        state=state,
                        title=f"round {number}{self._of}",
                        drawn=drawn,
                    )
            except DivergedError as error:
                state.unlink(missing_ok=True)
                if retry == context.retries:
                    raise
                logging.warning("round %d: %s Trying again.", number, error)
                retry += 1
                model = context.load(path)
                scale(model.optimizer, rate=_SLOWER)
                save_model(model, run.retry_path(number, retry))
            else:
                return trained, model

    def _span(
        self, context: RoundContext
    ) -> tuple[TrainingPosition, TrainingPosition]:
        """Returns where the training of a round starts and ends."""
        end = TrainingPosition(context.epochs)
        if self.trims:
            ends = [*self.trims, end]
            return ends[context.number - 1], ends[context.number]
        return context.early_moment, end

    def _taught(
        self, context: RoundContext, model: keras.Model
    ) -> AbstractContextManager[None]:
        if context.distill is None:
            return nullcontext()
        teacher = context.load(self.folder.model_path(0))
        return context.distill.teach(model, teacher)

    def scratch(self, number: int, optimizer: Any = None) -> Ticket:
        """Trains the widths of a ticket from fresh weights.

        Args:
            number: the ticket's; it must be finished.
            optimizer: for that training; None for the run's own with its
                learning-rate schedule stretched.

        Returns:
            The trained net and its figures, see `Run.scratch`.
        """
        run = self.folder
        for line in run.rounds("scratch"):
            if line.round == number:
                return run.ticket(line, "scratch")
        lines = run.rounds()[: number + 1]
        context = self.settings.at_round(lines[:number])
        each = context.steps
        counted = [line.steps for line in lines]
        end = TrainingPosition(sum(line.epochs for line in lines))
        if each is not None and None not in counted:
            end = TrainingPosition(*divmod(sum(filter(None, counted)), each))
        start = run.scratch_start(number)
        if not start.exists():
            keras.utils.set_random_seed(context.training.seed)
            model = fresh_copy(run.ticket(lines[-1]).load())
            if optimizer is None:
                total = end.epoch + (end.step / each if each else 0)
                scale(model.optimizer, length=total / context.epochs)
            else:
                settings = model.get_compile_config()
                settings["optimizer"] = keras.saving.serialize_keras_object(
                    optimizer
                )
                model.compile_from_config(settings)
            save_model(model, start)
        model = context.load(start)
        name = f"scratch_{number:02d}"
        trained = context.training.run(
            model,
            TrainingPosition(0),
            end,
            state=run.state_path(name),
            title=name,
        )
        self.file(context, model, trained, "scratch")
        return run.ticket(run.rounds("scratch")[-1], "scratch")

    def file(
        self,
        context: RoundContext,
        model: keras.Model,
        trained: TrainingResult,
        kind: str = "round",
    ) -> None:
        """Evaluates and writes a round: models first, its line last.

        Args:
            context: the round.
            model: as trained.
            trained: what its training did.
            kind: "round", or "scratch" for what `scratch` has trained.
        """
        run, number = self.folder, context.number
        with context.watch.time("saving"):
            save_model(model, run.model_path(number, kind))
        line = line_of(context, model, trained, kind)
        run.add(line, kind)
        context.show_rounds(run.rounds())
        run.state_path(f"{kind}_{number:02d}").unlink(missing_ok=True)
        if kind == "round":
            context.on_round(run.ticket(line))
        logging.info(
            "%s %d: %d parameters (%.1f %%), validation error %.4f, "
            "error multiplier %.3f",
            kind,
            number,
            line.parameters,
            100 * line.weights_left,
            line.validation_error,
            line.error_multiplier,
        )


def _seeded(context: RoundContext, retry: int) -> Training:
    seed = context.training.seed + 1000 * context.number + 100_000 * retry
    return dataclasses.replace(context.training, seed=seed)
