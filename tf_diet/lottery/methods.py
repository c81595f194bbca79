# SPDX-License-Identifier: MIT
"""How a round makes a model smaller: one small class a way."""

import abc
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from absl import logging

from tf_diet.criteria.calibration import inputs_of
from tf_diet.criteria.criterion import get as criterion_of
from tf_diet.criteria.ranking import check_calibration
from tf_diet.data.forms import Arrays, form_of
from tf_diet.extensions import methods, register_method
from tf_diet.files import write_text
from tf_diet.graph.channels import ChannelGraph
from tf_diet.lottery.resets import Removal
from tf_diet.lottery.round_context import RoundContext
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.prune import plan as make_plan
from tf_diet.pruning.repair.repair import repair
from tf_diet.training.saving import save_model


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

    def check(  # noqa: B027  (most allow all)
        self, context: RoundContext, graph: ChannelGraph
    ) -> None:
        """Says, before any training, what is asked of it in vain.

        Args:
            context: the settings of the run.
            graph: of the full model.

        Raises:
            InputError: schedule, criterion or data do not fit.
        """

    def hold(
        self, context: RoundContext, model: keras.Model
    ) -> AbstractContextManager[None]:
        """Keeps what was removed from coming back while a round is trained.

        Args:
            context: the round.
            model: that is trained.
        """
        return nullcontext()

    def figures(
        self, context: RoundContext, graph: ChannelGraph
    ) -> dict[str, Any]:
        """Returns what a round's line says otherwise than its model does.

        Args:
            context: the round.
            graph: of its trained model.

        Returns:
            Fields of `Round`.
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

    def check(self, context: RoundContext, graph: ChannelGraph) -> None:
        """Says what the criterion misses in the calibration data.

        Nothing is drawn from a data set for it.

        Args:
            context: the settings of the run.
            graph: of the full model.

        Raises:
            InputError: the data does not fit model or criterion.
        """
        data = context.calibration
        form = form_of(data, inputs_of(graph.walk))
        if isinstance(form, Arrays) or form.listed:
            criterion = criterion_of(context.ranking.criterion)
            check_calibration(criterion, graph, data)

    def start(self, context: RoundContext) -> bool:
        """Plans, trims and writes what retraining starts from."""
        folder, trained = context.folder, context.trained()
        with context.watch.time("planning"):
            plan = self._plan(context, trained)
        if not plan.reached:
            return False
        removal = _Trimming(
            trained=trained, early=context.early(), plan=plan, context=context
        )
        with context.watch.time("trimming"):
            model = context.reset.restart(removal)
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


@dataclass(frozen=True, kw_only=True)
class _Trimming(Removal):
    """Units are taken out as a plan says, and made up for if asked."""

    plan: PruningPlan
    context: RoundContext

    def apply(
        self, model: keras.Model, *, repaired: bool = True
    ) -> keras.Model:
        small, how = self.plan.apply(model), self.context.ranking
        if repaired and how.repair is not None:
            with self.context.watch.time("repair"):
                repair(
                    model,
                    small,
                    self.plan,
                    self.context.calibration,
                    how.repair,
                    how.seed,
                )
        return small
