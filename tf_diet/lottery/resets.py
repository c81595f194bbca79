# SPDX-License-Identifier: MIT
"""What the survivors of a round start the next training from, and where."""

import abc
from dataclasses import dataclass, field

import keras

from tf_diet.errors import InputError
from tf_diet.extensions import register_reset, resets
from tf_diet.training.loop import TrainingPosition


@dataclass(frozen=True, kw_only=True)
class Removal(abc.ABC):
    """What is removed in a round, and the models that it is removed from.

    Args:
        trained: the model of the round before, at the end of its training.
        early: the same model at the early moment, optimizer included.
    """

    trained: keras.Model
    early: keras.Model

    @abc.abstractmethod
    def apply(
        self, model: keras.Model, *, repaired: bool = True
    ) -> keras.Model:
        """Returns a model without what is removed.

        Args:
            model: `trained` or `early`.
            repaired: what was removed is made up for in the weights that
                are left, where the diet has a `repair`.
        """


class Reset(abc.ABC):
    """Where retraining starts, and with which weights.

    Attributes:
        mends: what was removed may be made up for before retraining.
        every: a former spelling of `LotteryDiet(prune_every=...)`.
    """

    mends: bool = True
    every: str | None = None

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
            removal: what is removed, and from which models.
        """


# Epochs after which nets of many kinds can be rewound to; see `Rewind`.
_EARLY = 2


def _early(epochs: int) -> float:
    """Returns the early moment where none is given, in epochs."""
    return float(_EARLY if epochs > _EARLY else epochs // 2)


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
        """Returns the early moment, as given.

        Where nothing is given, it is two epochs in; in a training of less
        than three epochs it is half of them, rounded down.

        Args:
            epochs: of a whole training.
            steps: batches in an epoch; None where that is not known.

        Raises:
            InputError: it is given twice, or is not within the training.
        """
        given = {n: v for n, v in self._given().items() if v is not None}
        if len(given) > 1:
            raise InputError(
                "The early moment is given in one way. Received: "
                f"{self}. Pass one of epoch, step and share."
            )
        where = given or {"epoch": _early(epochs)}
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
        epoch: so many epochs in; 2 when nothing is given (half of a training
            of one or two epochs). Part of an epoch with arrays only.
        step: so many batches in; instead of `epoch`.
        share: this share of the training in; instead of `epoch`.

    Source:
        Frankle et al., "Stabilizing the Lottery Ticket Hypothesis", 2019.
    """

    def restart(self, removal: Removal) -> keras.Model:
        """Returns the survivors with their early weights and optimizer."""
        return removal.apply(removal.early)


@register_reset()
@dataclass(frozen=True)
class LrRewind(_From):
    """Survivors keep their trained weights; the optimizer is rewound.

    Its step and its slots are those of the early moment, so a learning-rate
    schedule repeats itself.

    Args:
        epoch: so many epochs in; 2 when nothing is given (half of a training
            of one or two epochs). Part of an epoch with arrays only.
        step: so many batches in; instead of `epoch`.
        share: this share of the training in; instead of `epoch`.

    Source:
        Renda et al., "Comparing Rewinding and Fine-tuning in Neural Network
        Pruning", ICLR 2020, section 3.
    """

    def restart(self, removal: Removal) -> keras.Model:
        """Returns the trained survivors under the early optimizer."""
        model = removal.apply(removal.early, repaired=False)
        late = removal.apply(removal.trained)
        model.set_weights(late.get_weights())
        return model


@register_reset("none")
@dataclass(frozen=True)
class NoReset(_From):
    """Survivors and the optimizer go on as they were.

    This is fine-tuning: a learning-rate schedule goes on where it ended,
    which may be at zero. With `LotteryDiet(prune_every="epoch")` or `"step"`
    it is gradual pruning: a single training, trimmed as it goes.

    Args:
        epoch: the number that retraining starts at: it takes the epochs from
            there to the last. 2 when nothing is given (half of a training of
            one or two epochs).
        step: the same in batches.
        share: the same as a share of the training.
        every: a former spelling of `LotteryDiet(prune_every=...)`.
    """

    every: str | None = field(default=None, repr=False)

    def restart(self, removal: Removal) -> keras.Model:
        """Returns the trained survivors; the optimizer goes on too."""
        return removal.apply(removal.trained)


@register_reset()
@dataclass(frozen=True)
class Reinit(Reset):
    """Survivors start from fresh weights: the control of the lottery.

    They are trained for as long as the full model was.
    """

    mends = False

    def place(self, epochs: int, steps: int | None) -> TrainingPosition:
        """Returns the beginning of the training, however long it is."""
        return TrainingPosition(0)

    def restart(self, removal: Removal) -> keras.Model:
        """Returns the survivors' widths with fresh weights and optimizer."""
        return fresh_copy(removal.apply(removal.early, repaired=False))


def fresh_copy(model: keras.Model) -> keras.Model:
    """Returns the model's architecture with fresh weights.

    A compiled model gives a compiled one, with a fresh optimizer.
    """
    copy = keras.models.clone_model(model)
    if model.compiled:
        copy.compile_from_config(model.get_compile_config())
    return copy
