# SPDX-License-Identifier: MIT
"""Gradual pruning: a single training that is trimmed as it goes.

Source:
    Zhu and Gupta, "To prune, or not to prune", 2017.
"""

import warnings
from collections.abc import Mapping

from tf_diet.errors import InputError
from tf_diet.lottery.resets import Reset
from tf_diet.lottery.schedules import Schedule, at
from tf_diet.training.loop import TrainingPosition

TRAINING = "training"
_UNITS = (TRAINING, "epoch", "step")


def prune_every_of(prune_every: str, reset: Reset) -> str:
    """Returns what the schedule of a diet counts.

    Args:
        prune_every: as `LotteryDiet` was given it.
        reset: may say so too, the former spelling `NoReset(every="epoch")`.

    Raises:
        InputError: it is none of the known units, or is said twice.
    """
    former = reset.every or TRAINING
    if TRAINING not in (former, prune_every) and former != prune_every:
        raise InputError(
            "What the schedule counts is said twice. Received: prune_every="
            f"{prune_every!r} of the diet and every={former!r} of its reset. "
            "Leave out every=."
        )
    chosen = prune_every if former == TRAINING else former
    if chosen not in _UNITS:
        raise InputError(
            "A schedule counts trainings, epochs or steps. Received: "
            f"prune_every={chosen!r}. Pass 'training', or, to prune gradually "
            "within one training, prune_every='epoch' or 'step'."
        )
    if former != TRAINING:
        warnings.warn(
            f"every={former!r} of a reset is a former spelling. Write "
            f"LotteryDiet(..., prune_every={former!r}).",
            FutureWarning,
            stacklevel=3,
        )
    return chosen


def trims(
    schedule: Schedule,
    prune_every: str,
    epochs: int,
    steps: int | None,
) -> Mapping[TrainingPosition, float]:
    """Returns the moments at which a training is trimmed.

    Args:
        schedule: how much is gone after each epoch or step.
        prune_every: "epoch" or "step"; "training" gives no moments.
        epochs: of the training.
        steps: batches in an epoch; None where the data does not say.

    Returns:
        The share of the full model's parameters that is gone after each
        moment, in [0, 1), in the order of the training.

    Raises:
        InputError: schedule and data do not fit such a training.
    """
    if prune_every == TRAINING:
        return {}
    if schedule.adaptive:
        raise InputError(
            "Gradual pruning follows a schedule that does not look at errors: "
            "they are known only after a training. Received: prune_every="
            f"{prune_every!r}, schedule={schedule}. Pass another schedule, or "
            "leave prune_every out."
        )
    each = steps if prune_every == "step" else 1
    if each is None:
        raise InputError(
            "Steps can be counted only where the training data says how many "
            "batches it has. Received: prune_every='step'. Pass "
            "prune_every='epoch', or arrays."
        )
    places: dict[TrainingPosition, float] = {}
    gone = 0.0
    for step in range(1, epochs * each):
        due, sparsity = at(schedule, step)
        if due and sparsity > gone:
            places[TrainingPosition(*divmod(step, each))] = gone = sparsity
    if not places:
        raise InputError(
            "The schedule prunes at no moment of the training. Received: "
            f"{schedule} for {epochs} epochs, prune_every={prune_every!r}. "
            "Give it steps within the training."
        )
    return places
