# SPDX-License-Identifier: MIT
"""The rounds of one run: each is found again where a kill left it."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
from absl import logging

from tf_diet.errors import DivergedError, InputError
from tf_diet.graph.build import build
from tf_diet.lottery.distillation import Distillation
from tf_diet.lottery.methods import Method, Ranking, RoundContext, Stopwatch
from tf_diet.lottery.resets import Reset, fresh_copy
from tf_diet.lottery.run_folder import Round, RunFolder, Ticket
from tf_diet.lottery.schedules import Line, Schedule, at
from tf_diet.pruning.budget import Budget, disk_bytes
from tf_diet.training.learning_rates import scale
from tf_diet.training.loop import (
    Training,
    TrainingPosition,
    TrainingResult,
)
from tf_diet.training.saving import load_model, save_model

Evaluate = Callable[[keras.Model, Any], float]

# How much lower the learning rate of a retry is.
_SLOWER = 0.3
# Rounds beyond which nobody waits for the last.
_COUNTED = 1000


@dataclasses.dataclass(frozen=True)
class Data:
    """What rounds are judged and ranked on, as `fit` takes it."""

    validation: Any
    test: Any
    calibration: Any


@dataclasses.dataclass(frozen=True)
class Rounds:
    """Trains, ranks, trims and files, a round at a time.

    Args:
        folder: where everything is written.
        training: how a model is trained.
        epochs: of a whole training.
        schedule: how much goes.
        ranking: who goes.
        reset: what retraining starts from.
        data: to judge and rank on.
        evaluate: returns the error of a model on data.
        method: how a model is made smaller.
        distill: what the full model teaches, or None.
        retries: of a round whose loss diverges, at a lower rate each.
        board: is shown every round.
        on_round: is given every ticket.
    """

    folder: RunFolder
    training: Training
    epochs: int
    schedule: Schedule
    ranking: Ranking
    reset: Reset
    data: Data
    evaluate: Evaluate
    method: Method
    distill: Distillation | None
    retries: int
    board: Callable[[Sequence[Round]], Any] = lambda rounds: None
    on_round: Callable[[Ticket], Any] = lambda ticket: None

    def first(self) -> None:
        """Trains the full model, keeping its early moment."""
        run = self.folder
        early = self.reset.place(self.epochs, self.training.examples.steps)

        def keep(model: keras.Model) -> None:
            save_model(model, run.early_path(0))

        model = self.load(run.start_path)
        trained = self.training.run(
            model,
            TrainingPosition(0),
            next(iter(self.trims), TrainingPosition(self.epochs)),
            state=run.state_path("round_00"),
            title="round 0",
            early=None if self.trims else (early, keep),
        )
        if not run.early_path(0).exists():
            # The training was stopped, or is trimmed, before that moment.
            keep(model)
        self.file(model, 0, trained, Stopwatch(), 0.0)

    def load(self, path: Path) -> keras.Model:
        """Loads a model, its random layers as if from one process.

        Where a layer was not given a seed, it draws one when it is made.
        """
        keras.utils.set_random_seed(self.training.seed)
        return load_model(path)

    def next(self) -> bool:
        """Ranks and trims the last round's model, resets and retrains.

        Returns False, and does nothing, when the schedule has ended or
        nothing is left to remove.

        Raises:
            DivergedError: the loss did, in every retry.
        """
        run = self.folder
        lines = run.rounds()
        number = len(lines)
        due, goal = self.ask(lines)
        if not due:
            return False
        watch = Stopwatch()
        if not run.early_path(number).exists():
            context = RoundContext(
                run,
                lines,
                goal,
                self.ranking,
                self.reset,
                self.data.calibration,
                self.load,
                watch,
            )
            if not self.method.start(context):
                return False
        done, model = self._retrain(number, lines)
        sparsity = 0.0 if isinstance(goal, Budget) else goal
        self.file(model, number, done, watch, sparsity)
        return True

    @functools.cached_property
    def trims(self) -> dict[TrainingPosition, float]:
        """Where a single training is trimmed, and what is gone after it.

        Empty where every round is a training.

        Raises:
            InputError: schedule and data do not fit such a training.
        """
        every, steps = self.reset.every, self.training.examples.steps
        if every == "training":
            return {}
        if every not in ("epoch", "step") or self.schedule.adaptive:
            raise InputError(
                "Gradual pruning follows a schedule of epochs or steps that "
                "does not look at errors. Received: every="
                f"{every!r}, schedule={self.schedule}. Pass every='epoch' or "
                "'step', and another schedule."
            )
        each = steps if every == "step" else 1
        if each is None:
            raise InputError(
                "Steps can be counted only where the training data says how "
                "many batches it has. Received: every='step'. Pass "
                "every='epoch', or arrays."
            )
        places: dict[TrainingPosition, float] = {}
        gone = 0.0
        for step in range(1, self.epochs * each):
            due, sparsity = at(self.schedule, step)
            if due and sparsity > gone:
                places[TrainingPosition(*divmod(step, each))] = gone = sparsity
        if not places:
            raise InputError(
                "The schedule prunes at no moment of the training. Received: "
                f"{self.schedule} for {self.epochs} epochs, every={every!r}. "
                "Give it steps within the training."
            )
        return places

    @functools.cached_property
    def _of(self) -> str:
        """Tells how many rounds there will be, where the schedule knows."""
        if self.trims:
            return f" of {len(self.trims)}"
        if self.schedule.adaptive:
            return ""
        # Such a schedule looks at nothing but how many lines there are.
        lines: list[Any] = [None]
        while len(lines) < _COUNTED and self.schedule.next(lines)[0]:
            lines.append(None)
        return f" of {len(lines) - 1}" if len(lines) < _COUNTED else ""

    def ask(self, lines: Sequence[Line]) -> tuple[bool, float | Budget]:
        """Returns whether another round is due, and its goal."""
        if not self.trims:
            return self.schedule.next(lines)
        later = list(self.trims.values())[len(lines) - 1 :]
        return bool(later), later[0] if later else 0.0

    def _retrain(
        self, number: int, lines: Sequence[Round]
    ) -> tuple[TrainingResult, keras.Model]:
        """Trains a round, again at lower rates where its loss diverges."""
        run = self.folder
        start, end = self._span(number)
        state = run.state_path(f"round_{number:02d}")
        drawn = sum(line.epochs for line in lines)
        retry = max(
            (
                r
                for r in range(1, self.retries + 1)
                if run.retry_path(number, r).exists()
            ),
            default=0,
        )
        while True:
            path = run.retry_path(number, retry)
            path = path if retry else run.early_path(number)
            model = self.load(path)
            try:
                with self._taught(model), self._held(number, model):
                    trained = self._seeded(number, retry).run(
                        model,
                        start,
                        end,
                        state=state,
                        title=f"round {number}{self._of}",
                        drawn=drawn,
                    )
            except DivergedError as error:
                state.unlink(missing_ok=True)
                if retry == self.retries:
                    raise
                logging.warning("round %d: %s Trying again.", number, error)
                retry += 1
                model = self.load(path)
                scale(model.optimizer, rate=_SLOWER)
                save_model(model, run.retry_path(number, retry))
            else:
                return trained, model

    def _span(self, number: int) -> tuple[TrainingPosition, TrainingPosition]:
        if self.trims:
            ends = [*self.trims, TrainingPosition(self.epochs)]
            return ends[number - 1], ends[number]
        steps = self.training.examples.steps
        return self.reset.place(self.epochs, steps), TrainingPosition(
            self.epochs
        )

    def _seeded(self, number: int, retry: int = 0) -> Training:
        seed = self.training.seed + 1000 * number + 100_000 * retry
        return dataclasses.replace(self.training, seed=seed)

    def _taught(self, model: keras.Model) -> Any:
        if self.distill is None:
            return nullcontext()
        teacher = self.load(self.folder.model_path(0))
        return self.distill.teach(model, teacher)

    def _held(self, number: int, model: keras.Model) -> Any:
        return self.method.hold(self.folder, number, model)

    def scratch(self, number: int, optimizer: Any = None) -> Ticket:
        """Trains the widths of a ticket from fresh weights; see `Run`."""
        run = self.folder
        for line in run.rounds("scratch"):
            if line.round == number:
                return run.ticket(line, "scratch")
        lines = run.rounds()[: number + 1]
        each = self.training.examples.steps
        counted = [line.steps for line in lines]
        end = TrainingPosition(sum(line.epochs for line in lines))
        if each is not None and None not in counted:
            end = TrainingPosition(*divmod(sum(filter(None, counted)), each))
        start = run.scratch_start(number)
        if not start.exists():
            keras.utils.set_random_seed(self.training.seed)
            model = fresh_copy(run.ticket(lines[-1]).load())
            if optimizer is None:
                total = end.epoch + (end.step / each if each else 0)
                scale(model.optimizer, length=total / self.epochs)
            else:
                settings = model.get_compile_config()
                settings["optimizer"] = keras.saving.serialize_keras_object(
                    optimizer
                )
                model.compile_from_config(settings)
            save_model(model, start)
        model = self.load(start)
        name = f"scratch_{number:02d}"
        trained = self.training.run(
            model,
            TrainingPosition(0),
            end,
            state=run.state_path(name),
            title=name,
        )
        self.file(model, number, trained, Stopwatch(), 0.0, "scratch")
        return run.ticket(run.rounds("scratch")[-1], "scratch")

    def file(
        self,
        model: keras.Model,
        number: int,
        trained: TrainingResult,
        watch: Stopwatch,
        sparsity: float,
        kind: str = "round",
    ) -> None:
        """Evaluates and writes a round: models first, its line last."""
        run = self.folder
        with watch.time("saving"):
            save_model(model, run.model_path(number, kind))
        with watch.time("evaluation"):
            validation = self.evaluate(model, self.data.validation)
            test = None
            if self.data.test is not None:
                test = self.evaluate(model, self.data.test)
        graph = build(model)
        cost = graph.cost()
        rounds = run.rounds()
        error, judged = validation, "validation_error"
        if test is not None:
            error, judged = test, "test_error"
        full = rounds[0] if rounds else None
        counted = {"parameters": cost.parameters}
        if kind == "round":
            counted |= self.method.figures(run, number, graph)
        if full is not None:
            constants = full.constants
        else:
            # As the plans of the rounds will count them.
            options = self.ranking.limits.options()
            same = options == graph.options
            ranked = graph if same else build(model, options)
            constants = sum(ranked.constants.values())
        left = counted["parameters"] - constants
        whole = full.parameters - constants if full else left
        line = Round(
            round=number,
            **counted,
            weights_left=left / max(whole, 1) if full else 1.0,
            flops=cost.flops,
            disk_bytes=disk_bytes(graph, cost.parameters),
            ram_bytes=cost.peak_activation_bytes,
            validation_error=validation,
            test_error=test,
            error_multiplier=error / getattr(full, judged) if full else 1.0,
            epochs=trained.epochs,
            steps=trained.steps,
            sparsity=sparsity,
            seconds={"training": round(trained.seconds, 2), **watch.seconds},
            widths={group.name: group.n_units for group in graph.groups},
            constants=constants,
        )
        run.add(line, kind)
        self.board(run.rounds())
        run.state_path(f"{kind}_{number:02d}").unlink(missing_ok=True)
        if kind == "round":
            self.on_round(run.ticket(line))
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
