# SPDX-License-Identifier: MIT
"""The front door: plan a removal, or do it in one go."""

from numbers import Real
from typing import Any

import keras
import numpy as np

from tf_diet.criteria.calibration import inputs_of
from tf_diet.criteria.criterion import Criterion
from tf_diet.data.forms import beside_one_another
from tf_diet.data.reader import kept
from tf_diet.errors import InputError
from tf_diet.graph.walk import walk
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.chosen import Remove, numbers_of
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.planner import BUDGETS, RATES, Goal, Planner
from tf_diet.pruning.repair.methods import Repair
from tf_diet.pruning.repair.repair import check_repair
from tf_diet.pruning.repair.repair import repair as repaired
from tf_diet.pruning.scaling import Scaling
from tf_diet.pruning.selection import Scope


def plan(
    model: keras.Model,
    data: Any = None,
    *beside: Any,
    rate: float | None = None,
    to: Budget | None = None,
    remove: Remove | None = None,
    criterion: str | Criterion = "mutual_information",
    scope: str | Scope = "global",
    scaling: str | Scaling = "rank",
    limits: Limits | None = None,
    seed: int = 0,
) -> PruningPlan:
    """Decides which units of a model go.

    Args:
        model: a functional or Sequential Keras model; it is not touched.
        data: calibration data: `(x, y)` or `(x, y, sample_weight)` as `fit`
            takes them, a `PyDataset`, a `tf.data.Dataset`, another iterable
            of batches or examples, or a function that returns one; criteria
            that look at weights alone need none. Sample weights, if any,
            count for criteria of gradients.
        *beside: y and sample weights, where `data` is x alone.
        rate: the share of the parameters that count to remove, in (0, 1);
            of this, `to` and `remove`, one is given. Every weight counts
            that is trainable or on which a unit lies that may go; so do
            moving statistics and frozen layers that can shrink. Constants do
            not: weights that are not trainable, or those of a fixed transform
            (`keras.layers.STFTSpectrogram`, trainable or not), on which no
            such unit lies. `plan.constants` lists them.
        to: what the smaller model may cost: units go until every bound of
            the budget is met. Its parameters are all of them.
        remove: the units that go, by the name of their group, as
            `tf_diet.inspect` shows it; or, by the name of a layer, the
            channels that it puts out: `{"conv1d": [0, 3, 7]}`. Nothing is
            ranked.
        criterion: how much a unit matters: a registered name or an instance.
        scope: whom a unit is ranked against: "global", "local",
            "isomorphic", "global_then_local", or a function.
        scaling: how scores are made comparable: "rank", "none", "max" (the
            paper's), "dimension", "z_score", "fan_in", "fan_out",
            "per_parameter", "per_flop", "per_byte", or a function.
        limits: what must be respected. Where units are given in `remove`,
            no limits means that no group and no layer is emptied.
        seed: of every random choice.

    Returns:
        The plan; `plan.apply(model)` makes the smaller model. Where a rate
        cannot be reached, all goes that may: `plan.not_reached` says so,
        `plan.held` why, and `plan.nearest_rate` what would do.

    Raises:
        InputError: the goal, a name, a limit or the data cannot be used, or
            the budget is below the least that the limits allow.
        UnsupportedModelError: the model cannot be walked.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3 (global trimming, information criterion).
    """
    data = beside_one_another(data, beside)
    goal = check_goal(rate, to, remove)
    how = Planner(goal, criterion, scope, scaling, limits, seed)
    return how.decide(model, data)[0]


def prune(  # noqa: PLR0913  (what plan takes, and what is done with it)
    model: keras.Model,
    data: Any = None,
    *beside: Any,
    rate: float | None = None,
    to: Budget | None = None,
    remove: Remove | None = None,
    criterion: str | Criterion = "mutual_information",
    scope: str | Scope = "global",
    scaling: str | Scaling = "rank",
    limits: Limits | None = None,
    repair: str | Repair | None = None,
    allow_less: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Returns a smaller model; see `plan` for the other arguments.

    Args:
        model: the model; it is not touched.
        data: calibration data; a repair needs it whatever the criterion.
        *beside: see `plan`.
        rate: see `plan`.
        to: see `plan`.
        remove: see `plan`.
        criterion: see `plan`.
        scope: see `plan`.
        scaling: see `plan`.
        limits: see `plan`.
        repair: how removed units are made up for before any retraining:
            "bias", "least_squares", a registered name or an instance.
        allow_less: where the goal cannot be reached, remove what can go in
            place of an error.
        seed: of every random choice.

    Raises:
        InputError: as `plan`, where the goal cannot be reached (the message
            says what holds the rest, and the nearest goal that can be), and
            where a repair is unknown or has no data.

    Example:
        >>> small = tf_diet.prune(model, (x, y), rate=0.5)
        >>> small = tf_diet.prune(model, (x, y), to=Budget(flops=1e6))
        >>> small = tf_diet.prune(model, remove={"conv1d": [0, 3, 7]})
    """
    data = beside_one_another(data, beside)
    goal = check_goal(rate, to, remove)
    how = Planner(goal, criterion, scope, scaling, limits, seed)
    if repair is not None:
        # Ranking may take long: what is wrong is said before.
        check_repair(repair, data)
        # It is looked at twice.
        data = kept(data, inputs_of(walk(model)), seed=seed)
    short = (RATES, BUDGETS) if allow_less else ()
    made, graph = how.decide(model, data, short)
    small = made.cut(model, graph)
    if repair is not None:
        repaired(model, small, made, data, repair, seed)
    return small


def check_goal(
    rate: float | None, to: Budget | None, remove: Remove | None
) -> Goal:
    """Returns the one goal that is given.

    Raises:
        InputError: there is none, or several, or it cannot be meant.
    """
    if sum(goal is not None for goal in (rate, to, remove)) != 1:
        raise InputError(
            "Pruning needs one goal: rate, the share of the parameters to "
            "remove; to, a Budget of what may be left; or remove, the units "
            f"that go. Received: rate={rate!r}, to={to!r}, remove={remove!r}. "
            "Pass one, such as rate=0.5 or to=Budget(parameters=50_000)."
        )
    if remove is not None:
        return numbers_of(remove)
    if to is not None:
        if not isinstance(to, Budget):
            raise InputError(
                f"to is what the model may cost. Received: to={to!r}. Pass a "
                "Budget, such as to=Budget(parameters=50_000)."
            )
        to.bounds()
        return to
    if not isinstance(rate, Real) or not 0 < rate < 1:
        raise InputError(
            "rate is the share of the parameters to remove. "
            f"Received: rate={rate!r}. Pass a number between 0 and 1, both "
            "excluded, such as 0.5."
        )
    # The text of NumPy's 0.3 is that; as a double it is 0.300000012.
    return float(str(rate) if isinstance(rate, np.floating) else rate)
