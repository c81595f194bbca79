# SPDX-License-Identifier: MIT
"""Repair: make a trimmed model good before any retraining."""

from typing import Any

import keras

from tf_diet.criteria.calibration import load
from tf_diet.errors import InputError
from tf_diet.graph.walk import walk
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.repair.layer_pairs import consumers, match
from tf_diet.pruning.repair.methods import Repair, get
from tf_diet.pruning.repair.stream import Stream


def repair(
    model: keras.Model,
    small: keras.Model,
    plan: PruningPlan,
    data: Any,
    method: str | Repair = "least_squares",
    seed: int = 0,
) -> None:
    """Makes up for removed units in the weights of a trimmed model.

    Targets are not needed: the full model says what is right. What reads
    removed units and cannot be repaired is named in the log. Optimizer state
    is left as it is.

    Args:
        model: the full model; it is not touched.
        small: what `plan.apply(model)` returned; changed in place.
        plan: the plan between them.
        data: calibration data, as `tf_diet.prune` takes it.
        method: "bias", "least_squares", a registered name or an instance.
        seed: of the examples and positions that are looked at.

    Raises:
        InputError: the method is unknown, or the data is missing or bad.
        PlanError: the models and the plan do not belong together.

    Example:
        >>> plan = tf_diet.plan(model, (x, y), rate=0.5)
        >>> small = plan.apply(model)
        >>> repair(model, small, plan, x, "least_squares")
    """
    chosen = check_repair(method, data)
    graph = plan.graph(model)
    alive = graph.alive(plan.kept_units)
    other = walk(small)
    pairs = match(graph.walk, other)
    given = load(graph.walk, data, targets=False, seed=seed)
    found = consumers(graph, pairs, other, alive)
    if found:
        chosen(found, Stream(graph.walk, other, given.inputs, seed))


def check_repair(method: str | Repair, data: Any) -> Repair:
    """Returns the repair that is meant.

    Raises:
        InputError: it is unknown, or there is no calibration data.
    """
    chosen = get(method)
    if data is None:
        raise InputError(
            "Repair looks at what removed units did on calibration data. "
            f"Received: repair={method!r} and data=None. Pass data=(x, y), or "
            "repair=None."
        )
    return chosen
