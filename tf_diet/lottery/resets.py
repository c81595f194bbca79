# SPDX-License-Identifier: MIT
"""What the survivors of a round start the next training from, and where."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from tf_diet.errors import InputError
from tf_diet.extensions import register_reset, resets
from tf_diet.training.loop import TrainingPosition


class Applies(Protocol):
    """A plan, or what acts like one."""

    def apply(self, model: keras.Model) -> keras.Model:
        """Returns a model without what goes."""


# Makes up for the removed units in the trimmed copy of a model.
Mend = Callable[[keras.Model, keras.Model], Any]


@dataclass(frozen=True)
class Removal:
    """What goes in a round, and the models that it goes from.

    Args:
        plan: `apply` takes it out of either model.
        trained: the model at the end of its training.
        early: the same model at the early moment, optimizer included.
        mend: repairs a trimmed copy, given the model that it is from.
    """

    plan: Applies
    trained: keras.Model
    early: keras.Model
    mend: Mend


class Reset(abc.ABC):
    """Where retraining starts, and with which weights.

    Attributes:
        mends: what was removed may be made up for before retraining.
        every: what a step of the schedule is: "training", or, within one
            training, "epoch" or "step".
    """

    mends = True
    every = "training"

    @abc.abstractmethod
    def place(self, epochs: int, steps: int | None) -> TrainingPosition:
        """Returns the early moment that retraining starts at.

        Args:
            epochs: of a whole training.
            steps: batches in an epoch; None where that is not known.

        Raises:
            InputError: it is not before the end of the training.
        """

    @abc.abstractmethod
    def restart(self, removal: Removal) -> keras.Model:
        """Returns the trimmed, compiled model that retraining starts from.

        Args:
            removal: what goes, and the models that it goes from.
        """


def reset_of(given: str | Reset) -> Reset:
    """Returns a reset, or the one that a name stands for.

    Raises:
        InputError: the name is unknown, or it is neither.
    """
    found: Reset = resets.resolve(given, Reset)
    return found


@dataclass(frozen=True)
class _From(Reset):
    """Retraining starts at a moment that is given in one of three ways.

    Args:
        epoch: so many epochs in; part of one with arrays only.
        step: so many batches in; instead of `epoch`.
        share: this share of the training in; instead of `epoch`.
    """

    epoch: float | None = None
    step: int | None = None
    share: float | None = None

    def place(self, epochs: int, steps: int | None) -> TrainingPosition:
        """See `Reset.place`; two epochs in where nothing is given."""
        given = {n: v for n, v in self._given().items() if v is not None}
        if len(given) > 1:
            raise InputError(
                "The early moment is given in one way. Received: "
                f"{self}. Pass one of epoch, step and share."
            )
        where = given or {"epoch": 2.0}
        ((way, value),) = where.items()
        place = self._place(way, value, epochs, steps)
        if not TrainingPosition(0) <= place < TrainingPosition(epochs):
            raise InputError(
                "The early moment must come before the end of the training. "
                f"Received: {way}={value:g} of a training of {epochs} epochs. "
                "Train longer or start retraining earlier."
            )
        return place

    def _given(self) -> dict[str, float | None]:
        return {"epoch": self.epoch, "step": self.step, "share": self.share}

    @staticmethod
    def _place(
        way: str, value: float, epochs: int, steps: int | None
    ) -> TrainingPosition:
        if way == "share":
            way, value = "epoch", value * epochs
            if steps is None:
                value = round(value)
        if way == "epoch" and float(value).is_integer():
            return TrainingPosition(int(value))
        if steps is None:
            raise InputError(
                "Part of an epoch can be told only where the training data "
                f"says how many batches it has. Received: {way}={value:g}. "
                "Give a whole epoch."
            )
        batches = round(value * steps) if way == "epoch" else int(value)
        return TrainingPosition(*divmod(batches, steps))


@register_reset()
@dataclass(frozen=True)
class Rewind(_From):
    """Survivors get their weights of an early moment back.

    Args:
        epoch: so many epochs in; 2 when nothing is given. Part of an epoch
            with arrays only.
        step: so many batches in; instead of `epoch`.
        share: this share of the training in; instead of `epoch`.

    Source:
        Frankle et al., "Stabilizing the Lottery Ticket Hypothesis", 2019.
    """

    def restart(self, removal: Removal) -> keras.Model:
        """See `Reset.restart`."""
        model = removal.plan.apply(removal.early)
        removal.mend(removal.early, model)
        return model


@register_reset()
@dataclass(frozen=True)
class LrRewind(_From):
    """Survivors keep their trained weights; the optimizer is rewound.

    Its step and its slots are those of the early moment, so a learning-rate
    schedule repeats itself.

    Args:
        epoch: so many epochs in; 2 when nothing is given. Part of an epoch
            with arrays only.
        step: so many batches in; instead of `epoch`.
        share: this share of the training in; instead of `epoch`.

    Source:
        Renda et al., "Comparing Rewinding and Fine-tuning in Neural Network
        Pruning", ICLR 2020, section 3.
    """

    def restart(self, removal: Removal) -> keras.Model:
        """See `Reset.restart`."""
        model, late = (
            removal.plan.apply(removal.early),
            removal.plan.apply(removal.trained),
        )
        removal.mend(removal.trained, late)
        model.set_weights(late.get_weights())
        return model


@register_reset("none")
@dataclass(frozen=True)
class NoReset(_From):
    """Survivors and the optimizer go on as they were.

    With a schedule that counts trainings, this is fine-tuning: a learning-rate
    schedule goes on where it ended, which may be at zero. With one that counts
    epochs or steps it is gradual pruning: a single training, trimmed as it
    goes.

    Args:
        epoch: the number that retraining starts at: it takes the epochs from
            there to the last. Two when nothing is given.
        step: the same in batches.
        share: the same as a share of the training.
        every: what the schedule counts: "training", "epoch" or "step".

    Source:
        Zhu and Gupta, "To prune, or not to prune", 2017 (gradual pruning).
    """

    every: str = "training"

    def restart(self, removal: Removal) -> keras.Model:
        """See `Reset.restart`."""
        model = removal.plan.apply(removal.trained)
        removal.mend(removal.trained, model)
        return model


@register_reset()
@dataclass(frozen=True)
class Reinit(Reset):
    """Survivors start from fresh weights: the control of the lottery.

    They are trained for as long as the full model was.
    """

    mends = False

    def place(self, epochs: int, steps: int | None) -> TrainingPosition:
        """See `Reset.place`."""
        return TrainingPosition(0)

    def restart(self, removal: Removal) -> keras.Model:
        """See `Reset.restart`."""
        return fresh_copy(removal.plan.apply(removal.early))


def fresh_copy(model: keras.Model) -> keras.Model:
    """Returns the model's architecture with fresh weights.

    A compiled model gives a compiled one, with a fresh optimizer.
    """
    copy = keras.models.clone_model(model)
    if model.compiled:
        copy.compile_from_config(model.get_compile_config())
    return copy
