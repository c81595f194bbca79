# SPDX-License-Identifier: MIT
"""How a round makes a model smaller: one small class a way."""

import abc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
from absl import logging

from tf_diet.criteria.calibration import inputs_of
from tf_diet.criteria.criterion import Criterion
from tf_diet.criteria.criterion import get as criterion_of
from tf_diet.criteria.ranking import check_calibration
from tf_diet.data.forms import Arrays, form_of
from tf_diet.extensions import methods, register_method, scalings, scopes
from tf_diet.files import write_text
from tf_diet.graph.channels import ChannelGraph
from tf_diet.lottery.resets import Removal, Reset
from tf_diet.lottery.run_folder import Round, RunFolder
from tf_diet.lottery.schedules import Schedule
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.prune import plan as make_plan
from tf_diet.pruning.repair.methods import Repair
from tf_diet.pruning.repair.repair import repair
from tf_diet.training.saving import save_model


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


@dataclass(frozen=True)
class Ranking:
    """How a round chooses units; the fields are those of `LotteryDiet`."""

    criterion: str | Criterion
    scope: Any
    scaling: Any
    limits: Limits
    repair: str | Repair | None
    seed: int

    def check(self) -> None:
        """Says what is unknown before any training, not after it.

        Raises:
            InputError: a criterion, scope or scaling is.
        """
        criterion_of(self.criterion)
        for registry, given in ((scopes, self.scope), (scalings, self.scaling)):
            registry.resolve(given)


@dataclass(frozen=True)
class RoundContext:
    """One round that is due.

    Args:
        folder: of the run.
        lines: the rounds so far, the full model's first.
        goal: the share of the full model's parameters that is gone after
            this round, or the budget to meet.
        ranking: who goes.
        reset: what retraining starts from.
        calibration: data to rank on.
        load: reads a model.
        watch: how long it takes.
    """

    folder: RunFolder
    lines: Sequence[Round]
    goal: float | Budget
    ranking: Ranking
    reset: Reset
    calibration: Any
    load: Callable[[Path], keras.Model]
    watch: Stopwatch

    @property
    def number(self) -> int:
        """Of the round."""
        return len(self.lines)

    def trained(self) -> keras.Model:
        """Returns the model of the round before, as trained."""
        return self.load(self.folder.model_path(self.number - 1))

    def early(self) -> keras.Model:
        """Returns the same model at the early moment."""
        return self.load(self.folder.early_path(self.number - 1))


class Method(abc.ABC):
    """What a round does to the model of the round before.

    Attributes:
        mends: what it removes may be made up for.
    """

    mends: ClassVar[bool] = False

    @abc.abstractmethod
    def start(self, context: RoundContext) -> bool:
        """Writes what retraining starts from, `early_path` last.

        Returns False, and writes nothing, when nothing is left to remove.
        """

    def check(self, schedule: Schedule) -> None:  # noqa: B027  (most allow all)
        """Says, before any training, what a schedule asks in vain."""

    def check_data(  # noqa: B027  (most look at none)
        self, ranking: Ranking, graph: ChannelGraph, data: Any
    ) -> None:
        """Says, before any training, what is wrong with calibration data."""

    def hold(
        self, folder: RunFolder, number: int, model: keras.Model
    ) -> AbstractContextManager[None]:
        """Keeps what is gone from coming back while a round is trained."""
        return nullcontext()

    def figures(
        self, folder: RunFolder, number: int, graph: ChannelGraph
    ) -> dict[str, Any]:
        """Returns what a round's line says otherwise than its model does.

        Args:
            folder: of the run.
            number: of the round.
            graph: of its trained model.
        """
        return {}


def method_of(given: str | Method) -> Method:
    """Returns a method, or the one that a name stands for.

    Raises:
        InputError: the name is unknown, or it is neither.
    """
    found: Method = methods.resolve(given, Method)
    return found


@register_method()
@dataclass(frozen=True)
class Trim(Method):
    """Units are taken out for real, with everything that read them."""

    mends: ClassVar[bool] = True

    def check_data(
        self, ranking: Ranking, graph: ChannelGraph, data: Any
    ) -> None:
        """See `Method.check_data`; nothing is drawn from a data set for it."""
        form = form_of(data, inputs_of(graph.walk))
        if isinstance(form, Arrays) or form.listed:
            check_calibration(criterion_of(ranking.criterion), graph, data)

    def start(self, context: RoundContext) -> bool:
        """See `Method.start`."""
        trained = context.trained()
        with context.watch.time("planning"):
            plan = self._plan(context, trained)
        if not plan.reached:
            return False
        folder, how = context.folder, context.ranking

        def mend(full: keras.Model, small: keras.Model) -> None:
            if how.repair is not None:
                with context.watch.time("repair"):
                    repair(
                        full,
                        small,
                        plan,
                        context.calibration,
                        how.repair,
                        how.seed,
                    )

        early = context.early()
        with context.watch.time("trimming"):
            model = context.reset.restart(Removal(plan, trained, early, mend))
        with context.watch.time("saving"):
            write_text(folder.plan_path(context.number), plan.to_json())
            save_model(model, folder.early_path(context.number))
        return True

    def _plan(self, context: RoundContext, trained: keras.Model) -> PruningPlan:
        """Returns the plan that reaches the goal of a round."""
        how = context.ranking
        if isinstance(context.goal, Budget):
            target: dict[str, Any] = {"to": context.goal}
        else:
            rate = 1 - (1 - context.goal) / context.lines[-1].weights_left
            target = {"rate": min(max(rate, 1e-6), 1 - 1e-6)}
        plan = make_plan(
            trained,
            context.calibration,
            criterion=how.criterion,
            scope=how.scope,
            scaling=how.scaling,
            limits=how.limits,
            seed=how.seed + context.number,
            **target,
        )
        if plan.not_reached:
            logging.warning("round %d: %s", context.number, plan.not_reached)
        return plan
