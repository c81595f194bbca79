"""The lottery diet: train -> rank -> trim -> rewind -> retrain."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
from absl import logging

from tf_diet.criteria.criterion import Criterion
from tf_diet.errors import InputError
from tf_diet.files import write_text
from tf_diet.graph.build import build
from tf_diet.lottery.resets import resets
from tf_diet.lottery.run_folder import (
    Round,
    RunFolder,
    Ticket,
    save_model,
)
from tf_diet.lottery.schedules import ConstantRate, Schedule
from tf_diet.lottery.training_view import TrainingView
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.prune import plan as make_plan
from tf_diet.pruning.remake import remake

Evaluate = Callable[[keras.Model, Any], float]


def loss_of(model: keras.Model, data: Any) -> float:
    """Returns the compiled loss over a data set: the error of a round."""
    if isinstance(data, tuple):
        logs = model.evaluate(*data, verbose=0, return_dict=True)
    else:
        logs = model.evaluate(data, verbose=0, return_dict=True)
    return float(logs["loss"])


@dataclass(frozen=True)
class Run:
    """A finished or interrupted run.

    Args:
        folder: where it lives.
    """

    folder: RunFolder

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Run":
        """Returns the run that lives in a folder, finished or not."""
        return cls(RunFolder(folder))

    @property
    def tickets(self) -> list[Ticket]:
        """The tickets of all finished rounds; the first is the full model."""
        return [self.folder.ticket(line) for line in self.folder.rounds()]

    def best(
        self, *, error_multiplier: float | None = None, to: Budget | None = None
    ) -> Ticket:
        """Returns the smallest ticket that is good enough, or the best small.

        Judged by the validation error, so that the test error stays honest.

        Args:
            error_multiplier: the largest validation error allowed, over that
                of the full model; 1.0 when neither is given. The full model
                where no ticket is as good.
            to: what the ticket may cost: of those that cost no more, the one
                with the least error is returned.

        Raises:
            InputError: both are given, or no ticket meets the budget.
        """
        tickets = self.tickets
        if to is not None:
            if error_multiplier is not None:
                raise InputError(
                    "One bound chooses a ticket: of its error or of its cost. "
                    f"Received: error_multiplier={error_multiplier}, to={to}. "
                    "Pass one of them."
                )
            return _within(tickets, to)
        multiplier = 1.0 if error_multiplier is None else error_multiplier
        bound = multiplier * tickets[0].line.validation_error
        good = [t for t in tickets if t.line.validation_error <= bound]
        return min(good or tickets[:1], key=lambda t: t.line.parameters)

    def __repr__(self) -> str:
        return f"<Run of {len(self.tickets)} rounds in {self.folder.folder}>"


def _within(tickets: Sequence[Ticket], to: Budget) -> Ticket:
    """Returns the ticket of the least error that costs no more."""
    costs = {}
    for ticket in sorted(tickets, key=lambda t: t.line.validation_error):
        graph = build(ticket.load())
        costs[ticket.line.round] = to.costs(graph, graph.everything)
        if to.met(costs[ticket.line.round]):
            return ticket
    smallest = min(tickets, key=lambda t: t.line.parameters).line.round
    raise InputError(
        f"No ticket meets the budget. Received: {to}; the smallest, of round "
        f"{smallest}, comes to {costs[smallest]}. Allow more, or run more "
        "rounds."
    )


@dataclass(frozen=True)
class LotteryDiet:
    """Repeats train, rank, trim, reset and retrain on any compiled model.

    Args:
        schedule: how much is gone after each round, in tfmot's protocol.
        criterion: how much a unit matters.
        scope: whom a unit is ranked against.
        scaling: how scores are made comparable.
        limits: what must be respected.
        reset: what survivors start from: "rewind" (their early weights),
            "lr_rewind" (their trained weights and the early optimizer),
            "none" (both as they are) or "reinit".
        rewind_epoch: the early epoch whose weights are kept.
        evaluate: returns the error of a model on data.
        batch_size: of training on arrays; other data comes in batches.
        seed: of ranking and training.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3.
    """

    schedule: Schedule = ConstantRate()  # noqa: RUF009  (frozen itself)
    criterion: str | Criterion = "mutual_information"
    scope: str = "global"
    scaling: str = "rank"
    limits: Limits | None = None
    reset: str = "rewind"
    rewind_epoch: int = 2
    evaluate: Evaluate = loss_of
    batch_size: int = 32
    seed: int = 0

    def fit(
        self,
        model: keras.Model,
        train: Any,
        *,
        epochs: int,
        validation_data: Any,
        test_data: Any = None,
        calibration: Any = None,
        callbacks: Callable[[], Sequence[Any]] = tuple,
        folder: str | os.PathLike[str],
        resume: bool = False,
        full: Run | None = None,
    ) -> Run:
        """Runs the diet and writes every round to a folder.

        Args:
            model: a compiled functional or Sequential model; not touched
                once the first training is over.
            train: what `fit` takes: `(x, y)`, a `PyDataset` (if it has an
                `epoch`, that is set at the start of each training) or a
                `tf.data.Dataset`.
            epochs: of a whole training; a retraining starts at
                `rewind_epoch` and ends at the same epoch.
            validation_data: judges tickets.
            test_data: reported, never used to choose.
            calibration: `(x, y)` for criteria that look at data;
                `validation_data` when left out.
            callbacks: makes the Keras callbacks of each training.
            folder: where the run is written; empty or new.
            resume: go on with the run in `folder`, if there is one.
            full: another run of the same model and training, say under
                another criterion, whose round 0 is taken over.

        Returns:
            The run; `run.best()` gives a ticket.

        Raises:
            InputError: the model is not compiled, or epochs do not fit.
            RunFolderError: the folder is in use by something else.
        """
        self._check(model, epochs)
        limits = _lasting(self.limits, model) if self.limits else Limits()
        run = RunFolder(folder)
        settings = {
            "diet": {
                name: getattr(value, "__name__", repr(value))
                for name, value in vars(self).items()
            },
            "epochs": epochs,
            "graph": build(model).fingerprint,
        }
        run.open(settings, resume=resume)
        diet = replace(self, limits=limits)
        trainer = _Trainer(diet, run, train, epochs, callbacks, calibration)
        trainer.data = {"validation": validation_data, "test": test_data}
        if not run.rounds() and full is not None:
            run.take_over(full.folder)
        elif not run.rounds():
            trainer.first(model)
        number = len(run.rounds())
        while self.schedule(number)[0] and trainer.next(number):
            number += 1
        return Run(run)

    def _check(self, model: keras.Model, epochs: int) -> None:
        resets.get(self.reset)
        if not model.compiled:
            raise InputError(
                f"The model {model.name!r} is not compiled. Received: a model "
                "without optimizer and loss. Call model.compile(...) first."
            )
        if not 0 <= self.rewind_epoch < epochs:
            raise InputError(
                "The early epoch must come before the last. Received: "
                f"rewind_epoch={self.rewind_epoch}, epochs={epochs}. Train "
                "longer or rewind to an earlier epoch."
            )


def _lasting(limits: Limits, model: keras.Model) -> Limits:
    """Returns limits that hold for each round's model.

    Raises:
        InputError: they do not fit the model, or name something that surgery
            opens: better said before the first training than after it.
    """
    graph = build(model, limits.options())
    limits.bounds(graph)
    limits = limits.by_name(graph)
    copy, _ = remake(model, graph, graph.everything)
    try:
        limits.bounds(build(copy, limits.options()))
    except InputError as error:
        raise InputError(
            "The limits do not fit the trimmed model, in which layers that "
            "are made of other layers come out as those, under names of "
            f"their own. Received, for the model of the second round: {error}"
        ) from error
    return limits


class _Trainer:
    """The trainings of one run."""

    data: Mapping[str, Any]

    def __init__(
        self,
        diet: LotteryDiet,
        run: RunFolder,
        train: Any,
        epochs: int,
        callbacks: Callable[[], Sequence[Any]],
        calibration: Any,
    ) -> None:
        self.diet = diet
        self.run = run
        self.train = train
        self.epochs = epochs
        self.callbacks = callbacks
        self.calibration = calibration

    def first(self, model: keras.Model) -> None:
        """Trains the full model, keeping its early epoch."""
        started = time.monotonic()
        early = self.diet.rewind_epoch
        self.fit(model, 0, 0, early)
        save_model(model, self.run.early_path(0))
        # What is read back is what a resumed run would start from.
        model = keras.models.load_model(self.run.early_path(0))
        self.fit(model, 0, early, self.epochs)
        self.file(model, 0, {"training": time.monotonic() - started})

    def next(self, number: int) -> bool:
        """Ranks and trims the last round's model, resets and retrains.

        Returns False, and does nothing, when nothing is left to remove.
        """
        last = self.run.rounds()[-1]
        started = time.monotonic()
        trained = keras.models.load_model(self.run.model_path(number - 1))
        early = keras.models.load_model(self.run.early_path(number - 1))
        plan = self.plan(trained, number, last)
        if not plan.reached:
            return False
        ranked = time.monotonic()
        model = resets.get(self.diet.reset)(plan, trained, early)
        write_text(self.run.plan_path(number), plan.to_json())
        save_model(model, self.run.early_path(number))
        model = keras.models.load_model(self.run.early_path(number))
        self.fit(model, number, self.diet.rewind_epoch, self.epochs)
        seconds = {
            "ranking": ranked - started,
            "training": time.monotonic() - ranked,
        }
        self.file(model, number, seconds)
        return True

    def plan(
        self, trained: keras.Model, number: int, last: Round
    ) -> PruningPlan:
        """Returns the plan that reaches the schedule's sparsity."""
        diet = self.diet
        left = 1 - diet.schedule(number)[1]
        rate = min(max(1 - left / last.weights_left, 1e-6), 1 - 1e-6)
        data = self.calibration or self.data["validation"]
        plan = make_plan(
            trained,
            data,
            rate=rate,
            criterion=diet.criterion,
            scope=diet.scope,
            scaling=diet.scaling,
            limits=diet.limits,
            seed=diet.seed + number,
        )
        if plan.not_reached:
            logging.warning("round %d: %s", number, plan.not_reached)
        return plan

    def fit(
        self, model: keras.Model, number: int, start: int, end: int
    ) -> None:
        """Trains from one epoch to another, the same way every time."""
        if end <= start:
            return
        keras.utils.set_random_seed(self.diet.seed + 1000 * number + start)
        if hasattr(self.train, "epoch"):
            self.train.epoch = start
        arrays = isinstance(self.train, tuple)
        x, y = self.train if arrays else (self.train, None)
        model.fit(
            x,
            y,
            epochs=end,
            initial_epoch=start,
            batch_size=self.diet.batch_size if arrays else None,
            shuffle=not hasattr(self.train, "epoch"),
            verbose=0,
            callbacks=[TrainingView(f"round {number}"), *self.callbacks()],
        )

    def file(
        self, model: keras.Model, number: int, seconds: dict[str, float]
    ) -> None:
        """Evaluates and writes a round: models first, its line last."""
        save_model(model, self.run.model_path(number))
        started = time.monotonic()
        errors = {
            name: None if data is None else self.diet.evaluate(model, data)
            for name, data in self.data.items()
        }
        seconds["evaluation"] = time.monotonic() - started
        graph = build(model)
        cost = graph.cost()
        rounds = self.run.rounds()
        validation = errors["validation"]
        judged = "validation" if errors["test"] is None else "test"
        error = errors[judged]
        assert validation is not None
        assert error is not None
        base = getattr(rounds[0], f"{judged}_error") if rounds else error
        full = rounds[0].parameters if rounds else cost.parameters
        line = Round(
            round=number,
            parameters=cost.parameters,
            weights_left=cost.parameters / full,
            flops=cost.flops,
            validation_error=validation,
            test_error=errors["test"],
            error_multiplier=error / base,
            seconds={k: round(v, 2) for k, v in seconds.items()},
            widths={g.name: g.n_units for g in graph.groups},
        )
        self.run.add(line)
        logging.info(
            "round %d: %d parameters (%.1f %%), validation error %.4f, "
            "error multiplier %.3f",
            number,
            line.parameters,
            100 * line.weights_left,
            line.validation_error,
            line.error_multiplier,
        )
