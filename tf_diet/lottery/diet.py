# SPDX-License-Identifier: MIT
"""The lottery diet: train -> rank -> trim -> reset -> retrain."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from absl import logging

from tf_diet.criteria.calibration import inputs_of
from tf_diet.criteria.criterion import Criterion
from tf_diet.data.for_keras import for_keras
from tf_diet.data.inputs import Inputs
from tf_diet.data.reader import kept
from tf_diet.errors import DivergedError, InputError, RunFolderError
from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.lottery.distillation import Distillation
from tf_diet.lottery.fit_arguments import handed_on, seen_again, trained_on
from tf_diet.lottery.gradual import prune_every_of
from tf_diet.lottery.methods import Method, method_of
from tf_diet.lottery.ranking import Ranking, lasting_limits
from tf_diet.lottery.resets import Reset, reset_of
from tf_diet.lottery.round_context import Evaluate, RoundContext
from tf_diet.lottery.rounds import Rounds
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
from tf_diet.pruning.repair.methods import Repair
from tf_diet.pruning.repair.repair import check_repair
from tf_diet.pruning.scaling import Scaling
from tf_diet.pruning.selection import Scope
from tf_diet.training.examples import examples
from tf_diet.training.fingerprint import fingerprint
from tf_diet.training.loop import MakeCallbacks, Training


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
        prune_every: what the schedule counts. With "training", every round
            is a training. With "epoch" or "step" and `reset="none"`, pruning
            is gradual: one training, trimmed as it goes.

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
    prune_every: str = "training"

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
            resume: go on with the run in `folder`, if there is one. The
                schedule may ask for more rounds than it did.
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
        _check_compiled(model)
        schedule = schedule_of(self.schedule)
        at(schedule, 1)
        reset = reset_of(self.reset)
        # From here, so that a warning names the caller's line.
        prune_every = prune_every_of(self.prune_every, reset)
        judged_on = validation_data if calibration is None else calibration
        graph = build(model)
        data = examples(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed,
            inputs=trained_on(graph, model, "Training data"),
        )
        validation = seen_again(
            graph, model, validation_data, "Validation data"
        )
        if test_data is not None:
            seen_again(graph, model, test_data, "Test data")
        context = RoundContext(
            folder=RunFolder(folder),
            training=Training(
                data,
                callbacks if callable(callbacks) else lambda: list(callbacks),
                handed_on(arguments, validation),
                validation,
                self.seed,
                checkpoint_seconds,
            ),
            epochs=epochs,
            schedule=schedule,
            prune_every=prune_every,
            ranking=Ranking(
                criterion=self.criterion,
                scope=self.scope,
                scaling=self.scaling,
                limits=lasting_limits(self.limits, model),
                repair=self.repair,
                seed=self.seed,
            ),
            reset=reset,
            method=method_of(self.method),
            evaluate=evaluate,
            validation=validation_data,
            test=test_data,
            calibration=kept(judged_on, inputs_of(graph.walk), seed=self.seed),
            distill=self.distill,
            retries=self.retries,
            show_rounds=board_of(tensorboard),
            on_round=on_round,
        )
        rounds = Rounds(context)
        self._check(rounds, model, graph)
        settings = {
            "diet": {
                **{name: _shown(value) for name, value in vars(self).items()},
                "schedule": _shown(schedule),
                "prune_every": repr(prune_every),
            },
            "epochs": epochs,
            "batches": data.steps,
            "batch_size": getattr(data, "batch_size", None),
            "shuffle": shuffle,
            "layers, names and widths": graph.fingerprint,
            "layers and widths": graph.unnumbered_fingerprint,
            "data": {
                "train": fingerprint(x),
                "targets": fingerprint(y),
                "validation": fingerprint(validation_data),
                "test": fingerprint(test_data),
                "calibration": fingerprint(calibration),
            },
        }
        return _run(rounds, model, settings, resume=resume, full=full)

    def _check(
        self, rounds: Rounds, model: keras.Model, graph: ChannelGraph
    ) -> None:
        """Says what does not fit, before anything is written."""
        context = rounds.settings
        if self.repair is not None:
            check_repair(self.repair, context.calibration)
            if not context.method.mends:
                raise InputError(
                    "What is masked is not removed, and cannot be made up "
                    f"for. Received: method={self.method!r}, repair="
                    f"{self.repair!r}. Pass repair=None."
                )
            if not context.reset.mends:
                raise InputError(
                    "Fresh weights have nothing to repair. Received: "
                    f"reset={self.reset!r}, repair={self.repair!r}. Pass one "
                    "of them."
                )
        if self.distill is not None:
            self.distill.check(model)
        context.ranking.check()
        context.method.check(context, graph)
        _ = rounds.trims, context.early_moment


def _check_compiled(model: keras.Model) -> None:
    if not model.compiled:
        raise InputError(
            f"The model {model.name!r} is not compiled. Received: a model "
            "without optimizer and loss. Call model.compile(...) first."
        )


def _run(
    rounds: Rounds,
    model: keras.Model,
    settings: Mapping[str, Any],
    *,
    resume: bool,
    full: Run | None,
) -> Run:
    run = rounds.folder
    with run.locked():
        recorded = run.open(settings, resume=resume)
        if recorded is None:
            run.begin(model, settings)
        else:
            _reschedule(rounds, recorded, settings)
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


def _reschedule(
    rounds: Rounds, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Goes over to another schedule, if it asks the same of what is done.

    Raises:
        RunFolderError: it does not.
    """
    before, now = old["diet"]["schedule"], new["diet"]["schedule"]
    if before == now:
        return
    run = rounds.folder
    lines = run.rounds()
    if not rounds.agrees(lines):
        raise RunFolderError(
            f"The folder {run.folder} belongs to another run: the schedule "
            f"asks something else of its {len(lines) - 1} finished rounds. "
            f"Received: {before} there, {now} now. Use a schedule that begins "
            "with the same rounds, or another folder."
        )
    if lines:
        # What was begun may have been trimmed for another goal.
        run.forget(len(lines))
    run.reschedule(new)


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
