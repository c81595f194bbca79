# SPDX-License-Identifier: MIT
"""One training that a kill does not undo, on either backend."""

import math
import random
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np

from tf_diet.data.for_keras import first_batch
from tf_diet.errors import DivergedError
from tf_diet.training.checkpoint import Checkpoint
from tf_diet.training.examples import Examples
from tf_diet.training.view import TrainingView

MakeCallbacks = Callable[[], Sequence[keras.callbacks.Callback]]


@dataclass(frozen=True, order=True)
class TrainingPosition:
    """A moment of a training.

    Args:
        epoch: that is under way.
        step: batches of it that are done.
    """

    epoch: int
    step: int = 0


# A moment on the way, and what is done with the model then.
Early = tuple[TrainingPosition, Callable[[keras.Model], Any]]


@dataclass(frozen=True)
class TrainingResult:
    """What a training did, from its start on.

    Args:
        epochs: gone through, whole or in part.
        steps: batches; None where the data does not say how many there are.
        history: what `fit` reports, a list of values each.
        seconds: all together, whatever interruptions there were.
    """

    epochs: int
    steps: int | None
    history: Mapping[str, Sequence[float]]
    seconds: float


@dataclass(frozen=True)
class Training:
    """How a model is trained, from any moment to any other.

    Every epoch is a call of `fit` of its own, so that what it draws follows
    from its number alone, but callbacks see one training. From time to time,
    and when it is interrupted, the state is kept.

    Args:
        examples: what it sees.
        callbacks: makes the callbacks of a training.
        arguments: for `fit`, such as `validation_data` or `class_weight`.
        sample: other data of the same kind, as `for_keras` returns it, to
            build metrics on.
        seed: of all that is drawn outside the model.
        seconds: between two states that are kept.
    """

    examples: Examples
    callbacks: MakeCallbacks = tuple
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sample: Any = None
    seed: int = 0
    seconds: float = 30.0

    def run(
        self,
        model: keras.Model,
        start: TrainingPosition,
        end: TrainingPosition,
        *,
        state: Path,
        title: str,
        drawn: int = 0,
        early: tuple[TrainingPosition, Callable[[keras.Model], Any]]
        | None = None,
    ) -> TrainingResult:
        """Trains a compiled model in place.

        Args:
            model: at `start`, or anywhere if there is a state to go on from.
            start: the moment that it is at.
            end: the moment to stop at.
            state: the file to go on from and to keep the state in. It is
                left where it is; whoever files the model removes it.
            title: what is being trained, for the progress view.
            drawn: epochs that the run went through before this training.
            early: a moment on the way, and what is done with the model then.

        Raises:
            DivergedError: the loss of an epoch is not finite.
            KeyboardInterrupt: the user said so; the state is kept.
        """
        callbacks = [*self.callbacks(), keras.callbacks.History()]
        keeper = _Keeper(state, callbacks, self.examples.parts, self.seconds)
        watched = _Callbacks(
            [*callbacks, TrainingView(title), keeper],
            model=model,
            epochs=end.epoch + (end.step > 0),
            steps=self.examples.steps,
            verbose=0,
        )
        kept = Checkpoint.load(state)
        place, stopped = start, False
        keras.utils.set_random_seed(self.seed)
        watched.begin()
        if kept is not None and start < TrainingPosition(kept.epoch, kept.step):
            place, stopped = (
                TrainingPosition(kept.epoch, kept.step),
                kept.stopped,
            )
            self._build(model, True)
            _direct(callbacks)
            kept.restore(model, callbacks)
            keeper.kept = kept
        else:
            self._build(model, False)
        keeper.early = early if early and place < early[0] else None
        if early and place == early[0]:
            early[1](model)
        with _interrupts() as asked:
            keeper.asked = asked
            while place < end and not stopped:
                place = self._epoch(model, place, start, end, drawn, watched)
                stopped = bool(model.stop_training)
        watched.finish()
        history = watched.history.history
        return self._trained(start, place, history, keeper.trained)

    def _epoch(
        self,
        model: keras.Model,
        place: TrainingPosition,
        start: TrainingPosition,
        end: TrainingPosition,
        drawn: int,
        watched: "_Callbacks",
    ) -> TrainingPosition:
        """Trains to the end of an epoch, or of the training."""
        epoch = place.epoch
        stop = end.step if epoch == end.epoch else None
        watched.keeper.begin(place.step, stop or self.examples.steps)
        # Not Keras' own function: TensorFlow would forget its compiled kernels
        # each time, and layers draw from seeds that are kept in the state.
        random.seed(self.seed + epoch)
        np.random.seed((self.seed + epoch) % 2**32)
        part = self.examples.of(
            epoch, place.step, stop, drawn + epoch - start.epoch
        )
        with warnings.catch_warnings():
            # So it says of all data that does not tell its length.
            if self.examples.steps is None:
                warnings.filterwarnings("ignore", "Your input ran out of data")
            model.fit(
                **{**self.arguments, **part},
                initial_epoch=epoch,
                epochs=epoch + 1,
                callbacks=watched,
                verbose=0,
            )
        return TrainingPosition(epoch + 1) if stop is None else end

    def _build(self, model: keras.Model, inside: bool) -> None:
        """Builds metrics before the first call of `fit` does.

        Args:
            model: compiled.
            inside: the training is under way, its metrics are given back.
        """
        if inside or keras.backend.backend() != "tensorflow":
            # To build them, `fit` would look at data of its own accord, and
            # who is asked twice may answer otherwise.
            x, y, sample_weight = first_batch(self.sample)
            model.test_on_batch(x, y, sample_weight)

    def _trained(
        self,
        start: TrainingPosition,
        end: TrainingPosition,
        history: Mapping[str, list[float]],
        seconds: float,
    ) -> TrainingResult:
        epochs = end.epoch + (end.step > 0) - start.epoch
        each = self.examples.steps
        steps = None
        if each is not None:
            steps = (end.epoch - start.epoch) * each + end.step - start.step
        return TrainingResult(epochs, steps, history, seconds)


def _direct(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Makes callbacks that watch a metric find out whether less is better.

    They do so at the end of their first epoch, and forget the best so far.
    """
    for callback in callbacks:
        find_out = getattr(callback, "_set_monitor_op", None)
        if find_out is not None and callback.monitor_op is None:
            find_out()


class _Keeper(keras.callbacks.Callback):
    """Keeps the state, gives it back, and stops where it must.

    The last of all callbacks: what the others did to the model in this
    moment is in the state that it keeps.
    """

    def __init__(
        self,
        state: Path,
        others: list[keras.callbacks.Callback],
        parts: bool,
        seconds: float,
    ) -> None:
        super().__init__()
        self.state = state
        self.others = others
        self.parts = parts
        self.seconds = seconds
        self.kept: Checkpoint | None = None
        self.early: (
            tuple[TrainingPosition, Callable[[keras.Model], Any]] | None
        ) = None
        self.asked = threading.Event()
        self._offset = 0
        self._stop: int | None = None
        self._epoch = 0
        self._begun = self._last = time.monotonic()
        self._before = 0.0

    def begin(self, offset: int, stop: int | None) -> None:
        """Says which batches of the next epoch are gone through."""
        self._offset, self._stop = offset, stop

    @property
    def trained(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self._before + time.monotonic() - self._begun

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Undoes what the beginning of a call of `fit` has reset."""
        self._epoch = epoch
        if self.kept is not None:
            self.kept.restore(self.model, self.others)
            self._before = self.kept.seconds
            self.kept = None

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Keeps the state in the middle of an epoch."""
        step = self._offset + batch + 1
        self._pass(TrainingPosition(self._epoch, step))
        if step == self._stop:
            # What the end of the epoch does would be left out.
            return
        asked = self.asked.is_set()
        if self.parts and (asked or self._due()):
            self._keep(self._epoch, step)
        if asked:
            raise KeyboardInterrupt

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Keeps the state between two epochs."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise DivergedError(
                f"The loss of epoch {epoch + 1} is not finite. Received: "
                f"{loss}. Lower the learning rate, or clip the gradient."
            )
        self._pass(TrainingPosition(epoch + 1))
        asked = self.asked.is_set()
        stop = self._stop
        if asked or self.model.stop_training or self._due():
            whole = stop is None or stop == self.params["steps"]
            place = (
                TrainingPosition(epoch + 1)
                if whole
                else TrainingPosition(epoch, stop or 0)
            )
            self._keep(place.epoch, place.step)
        if asked:
            raise KeyboardInterrupt

    def _pass(self, place: TrainingPosition) -> None:
        """Does what is to be done at the early moment."""
        if self.early is not None and self.early[0] <= place:
            self.early[1](self.model)
            self.early = None

    def _due(self) -> bool:
        return time.monotonic() - self._last >= self.seconds

    def _keep(self, epoch: int, step: int) -> None:
        state = Checkpoint.of(
            self.model, epoch, step, self.others, self.trained
        )
        state.save(self.state)
        self._last = time.monotonic()


class _Callbacks(keras.callbacks.CallbackList):
    """Callbacks that see one training, whatever calls of `fit` it takes."""

    _averaged: list[Any] | None = None

    @property
    def keeper(self) -> _Keeper:
        """The one that keeps the state."""
        (keeper,) = (c for c in self.callbacks if isinstance(c, _Keeper))
        return keeper

    @property
    def history(self) -> keras.callbacks.History:
        """What `fit` reports."""
        return self._history

    def begin(self) -> None:
        """Begins the training."""
        super().on_train_begin()

    def finish(self) -> None:
        """Ends the training."""
        model = self.model
        if model.optimizer.use_ema:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        logs = {name: seen[-1] for name, seen in self.history.history.items()}
        super().on_train_end(logs)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """One call of `fit` begins."""

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Hands on the end of an epoch.

        At the end of every call of `fit`, weights are replaced by their
        moving averages where there are some: here that is not the end.
        """
        super().on_epoch_end(epoch, logs)
        model = self.model
        if model.optimizer.use_ema:
            weights = model.trainable_weights
            self._averaged = [keras.ops.copy(weight) for weight in weights]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """One call of `fit` ends."""
        if self._averaged is not None:
            weights = self.model.trainable_weights
            for weight, value in zip(weights, self._averaged, strict=True):
                weight.assign(value)


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Yields what is set when the user asks to stop: the step is finished."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
