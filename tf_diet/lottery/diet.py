# SPDX-License-Identifier: MIT
"""The lottery diet: train -> rank -> trim -> reset -> retrain."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
from absl import logging

from tf_diet.criteria.calibration import inputs_of
from tf_diet.criteria.criterion import Criterion
from tf_diet.data.for_keras import for_keras
from tf_diet.data.inputs import Inputs
from tf_diet.data.reader import kept
from tf_diet.errors import DivergedError, InputError
from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.walk import compile_arguments
from tf_diet.lottery.distillation import Distillation
from tf_diet.lottery.methods import Method, Ranking, method_of
from tf_diet.lottery.resets import Reset, reset_of
from tf_diet.lottery.rounds import Data, Evaluate, Rounds
from tf_diet.lottery.run import Run
from tf_diet.lottery.run_folder import RunFolder, Ticket
from tf_diet.lottery.schedules import (
    ConstantRate,
    Function,
    Schedule,
    at,
    schedule_of,
)
from tf_diet.lottery.tensorboard import board_of
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.rebuild import rebuild
from tf_diet.pruning.repair.methods import Repair
from tf_diet.pruning.repair.repair import check_repair
from tf_diet.pruning.scaling import Scaling
from tf_diet.pruning.selection import Scope
from tf_diet.training.examples import examples
from tf_diet.training.fingerprint import fingerprint
from tf_diet.training.loop import MakeCallbacks, Training

# What of Keras' `fit` is handed on to it as it is.
_HANDED_ON = (
    "class_weight",
    "validation_batch_size",
    "validation_freq",
    "validation_steps",
)
_INSTEAD = {
    "validation_split": "split the data and pass validation_data",
    "steps_per_epoch": "take() as many batches as an epoch shall have",
    "initial_epoch": "pass resume=True to go on with a run",
    "verbose": "the log tells how far it is: tf_diet.progress.log_to_console()",
}


def loss_of(model: keras.Model, data: Any) -> float:
    """Returns the compiled loss over a data set: the error of a round.

    Args:
        model: compiled with a loss.
        data: in any form, see `LotteryDiet.fit`; all of it counts.

    Raises:
        InputError: it has no form of data, or no end.
    """
    what = "Evaluation data"
    given = for_keras(data, Inputs.of(model, what), what, again=False)
    parts = given if isinstance(given, tuple) else (given,)
    x, y, sample_weight = (*parts, None, None)[:3]
    logs = model.evaluate(
        x, y, sample_weight=sample_weight, verbose=0, return_dict=True
    )
    return float(logs["loss"])


@dataclass(frozen=True)
class LotteryDiet:
    """Repeats train, rank, trim, reset and retrain on any compiled model.

    Args:
        schedule: how much is gone after each round: the share of what
            remains that goes in each, a registered name, or a schedule in
            tfmot's protocol.
        criterion: how much a unit matters.
        scope: whom a unit is ranked against.
        scaling: how scores are made comparable.
        limits: what must be respected.
        repair: how removed units are made up for before retraining.
        method: "trim" takes units out; `Mask()`, the paper's baseline, puts
            single weights to zero.
        reset: what survivors start from: "rewind" (their early weights),
            "lr_rewind" (their trained weights and the early optimizer),
            "none" (both as they are) or "reinit"; or one of these with a
            moment, such as `Rewind(epoch=3)`.
        distill: what retraining learns from the full model.
        retries: how often a round whose loss is not a number is tried again,
            at 0.3 times the learning rate each time.
        seed: of ranking and training.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3.
    """

    schedule: float | str | Schedule | Function = ConstantRate()  # noqa: RUF009  (frozen itself)
    criterion: str | Criterion = "mutual_information"
    scope: str | Scope = "global"
    scaling: str | Scaling = "rank"
    limits: Limits | None = None
    repair: str | Repair | None = None
    method: str | Method = "trim"
    reset: str | Reset = "rewind"
    distill: Distillation | None = None
    retries: int = 0
    seed: int = 0

    def fit(  # noqa: PLR0913  (what Keras' fit takes, and where to write)
        self,
        model: keras.Model,
        x: Any,
        y: Any = None,
        *,
        epochs: int,
        validation_data: Any,
        folder: str | os.PathLike[str],
        resume: bool = False,
        test_data: Any = None,
        calibration: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        shuffle: bool = True,
        callbacks: MakeCallbacks | Sequence[Any] = (),
        evaluate: Evaluate = loss_of,
        full: Run | None = None,
        checkpoint_seconds: float = 30.0,
        tensorboard: str | os.PathLike[str] | None = None,
        on_round: Callable[[Ticket], Any] = lambda ticket: None,
        **arguments: Any,
    ) -> Run:
        """Runs the diet and writes every round to a folder.

        The caller's model is not touched. Each training can be killed at any
        moment: `resume=True` ends with the tickets that it would have had.

        Args:
            model: a compiled functional or Sequential model, or a subclassed
                one that can be opened.
            x: arrays; or `(x, y)` or `(x, y, sample_weight)`; a
                `tf.data.Dataset`, of batches or of examples; a `PyDataset`
                (if it has an attribute `epoch`, that is set before each); a
                list of batches or examples; another iterable of batches that
                ends, or a function that returns one.
            y: targets of arrays.
            epochs: of a whole training; retraining starts at the reset's
                early moment and ends at the same epoch.
            validation_data: judges tickets; in any form that `x` may have,
                as all other data too.
            folder: where the run is written; empty or new.
            resume: go on with the run in `folder`, if there is one.
            test_data: reported, never used to choose.
            calibration: for criteria and repairs that look at data, such as
                `(x, y)` with one target where the model has several outputs;
                `validation_data` when left out.
            sample_weight: of arrays.
            batch_size: of arrays; 32 when left out.
            shuffle: draw the order of every epoch.
            callbacks: Keras callbacks, or a function that makes them anew
                for each training. What they remember in plain attributes
                survives a kill.
            evaluate: returns the error of a model on data; the compiled loss
                when left out.
            full: another run of the same model and training, say under
                another criterion, whose round 0 is taken over.
            checkpoint_seconds: how often the state inside a training is
                kept: a kill costs no more than that.
            tensorboard: a folder for the scalars of every round: weights
                left, FLOPs, errors, the width of every group.
            on_round: is called with each ticket when its round is filed.
            **arguments: `class_weight`, `validation_freq` (None: not while
                training), `validation_steps`, `validation_batch_size`, for
                Keras' `fit`.

        Returns:
            The run; `run.best()` gives a ticket.

        Raises:
            InputError: the model is not compiled, epochs do not fit, or an
                argument cannot be used.
            DivergedError: the loss of the full model's training.
            MissingDependencyError: `tensorboard` without its extra.
            RunFolderError: the folder is in use by something else.
            KeyboardInterrupt: the step is finished and the state kept.
        """
        judged_on = validation_data if calibration is None else calibration
        limits = self._check(model, judged_on)
        graph = build(model)
        data = examples(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed,
            inputs=_trained_on(graph, model, "Training data"),
        )
        make = callbacks if callable(callbacks) else lambda: list(callbacks)
        validation = _seen_again(
            graph, model, validation_data, "Validation data"
        )
        if test_data is not None:
            _seen_again(graph, model, test_data, "Test data")
        training = Training(
            data,
            make,
            _handed_on(arguments, validation),
            validation,
            self.seed,
            checkpoint_seconds,
        )
        schedule = schedule_of(self.schedule)
        rounds = Rounds(
            RunFolder(folder),
            training,
            epochs,
            schedule,
            Ranking(
                self.criterion,
                self.scope,
                self.scaling,
                limits,
                self.repair,
                self.seed,
            ),
            reset_of(self.reset),
            Data(
                validation_data,
                test_data,
                kept(judged_on, inputs_of(graph.walk), seed=self.seed),
            ),
            evaluate,
            method_of(self.method),
            self.distill,
            self.retries,
            board_of(tensorboard),
            on_round,
        )
        # Each says what does not fit, before anything is written.
        rounds.ranking.check()
        rounds.method.check_data(rounds.ranking, graph, rounds.data.calibration)
        _ = rounds.trims
        rounds.reset.place(epochs, data.steps)
        chosen = vars(self) | {"schedule": schedule}
        settings = {
            "diet": {name: _shown(value) for name, value in chosen.items()},
            "epochs": epochs,
            "batches": data.steps,
            "batch_size": getattr(data, "batch_size", None),
            "shuffle": shuffle,
            "layers, names and widths": graph.fingerprint,
            "data": {
                "train": fingerprint(x),
                "targets": fingerprint(y),
                "validation": fingerprint(validation_data),
                "test": fingerprint(test_data),
                "calibration": fingerprint(calibration),
            },
        }
        return self._run(rounds, model, settings, resume=resume, full=full)

    def _run(
        self,
        rounds: Rounds,
        model: keras.Model,
        settings: Mapping[str, Any],
        *,
        resume: bool,
        full: Run | None,
    ) -> Run:
        run = rounds.folder
        with run.locked():
            if run.open(settings, resume=resume) is None:
                run.begin(model, settings)
            try:
                if not run.rounds() and full is not None:
                    run.take_over(full.folder)
                elif not run.rounds():
                    rounds.first()
                stopped = _play(rounds)
            except KeyboardInterrupt:
                logging.warning(
                    "Interrupted; what is done is in %s. To go on, call fit "
                    "again with the same arguments and resume=True.",
                    run.folder,
                )
                raise
        return Run(run, stopped, rounds.scratch)

    def _check(self, model: keras.Model, calibration: Any) -> Limits:
        """Checks what can be before any training, and returns the limits."""
        reset, method = reset_of(self.reset), method_of(self.method)
        schedule = schedule_of(self.schedule)
        at(schedule, 1)
        method.check(schedule)
        if not model.compiled:
            raise InputError(
                f"The model {model.name!r} is not compiled. Received: a model "
                "without optimizer and loss. Call model.compile(...) first."
            )
        if self.repair is not None:
            check_repair(self.repair, calibration)
            if not method.mends:
                raise InputError(
                    "What is masked is not removed, and cannot be made up "
                    f"for. Received: method={self.method!r}, repair="
                    f"{self.repair!r}. Pass repair=None."
                )
            if not reset.mends:
                raise InputError(
                    "Fresh weights have nothing to repair. Received: "
                    f"reset={self.reset!r}, repair={self.repair!r}. Pass one "
                    "of them."
                )
        if self.distill is not None:
            self.distill.check(model)
        return _lasting(self.limits, model) if self.limits else Limits()


def _play(rounds: Rounds) -> str:
    """Plays all rounds that are due; returns why it stopped, if early."""
    try:
        while rounds.next():
            pass
    except DivergedError as error:
        number = len(rounds.folder.rounds())
        reason = f"Round {number} diverged: {error}"
        logging.error("%s The rounds before it are kept.", reason)
        return reason
    return ""


def _shown(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)


def _handed_on(
    arguments: Mapping[str, Any], validation_data: Any
) -> dict[str, Any]:
    """Returns what every call of Keras' `fit` gets.

    Raises:
        InputError: it is nothing that `LotteryDiet.fit` takes.
    """
    for name in arguments:
        if name not in _HANDED_ON:
            instead = _INSTEAD.get(name, f"it takes {', '.join(_HANDED_ON)}")
            raise InputError(
                "LotteryDiet.fit does not take this argument of Keras' fit. "
                f"Received: {name}={arguments[name]!r}. Instead, {instead}."
            )
    given = dict(arguments)
    if given.get("validation_freq", 1) is None:
        return {k: v for k, v in given.items() if k == "class_weight"}
    return {**given, "validation_data": validation_data}


def _trained_on(graph: ChannelGraph, model: keras.Model, what: str) -> Inputs:
    needs = compile_arguments(model).get("loss") is not None
    return replace(inputs_of(graph.walk, what), targets=needs)


def _seen_again(
    graph: ChannelGraph, model: keras.Model, data: Any, what: str
) -> Any:
    """Returns data that every round goes through, as Keras takes it."""
    return for_keras(data, _trained_on(graph, model, what), what)


def _lasting(limits: Limits, model: keras.Model) -> Limits:
    """Returns limits that hold for each round's model.

    Raises:
        InputError: they do not fit the model, or name something that surgery
            opens: better said before the first training than after it.
    """
    graph = build(model, limits.options())
    limits.bounds(graph)
    limits = limits.by_name(graph)
    copy, _ = rebuild(model, graph, graph.everything)
    try:
        limits.bounds(build(copy, limits.options()))
    except InputError as error:
        raise InputError(
            "The limits do not fit the trimmed model, in which layers that "
            "are made of other layers come out as those, under names of "
            f"their own. Received, for the model of the second round: {error}"
        ) from error
    return limits
