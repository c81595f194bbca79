# SPDX-License-Identifier: MIT
"""One bar for a whole training, instead of one an epoch."""

import time
from typing import Any

import keras
from absl import logging
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from tf_diet import progress

_SECONDS_BETWEEN_LINES = 15.0


class TrainingView(keras.callbacks.Callback):
    """Shows what is trained, how far it is, its loss and the time left.

    A bar on a terminal and in a notebook; elsewhere a log line every 15
    seconds.

    Args:
        title: what is being trained, such as "round 2 of 5".
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self._progress: Progress | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the bar."""
        self._said = time.monotonic()
        self._started = self._said
        self._first: int | None = None
        if progress.is_shown():
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("loss {task.fields[loss]}"),
                TimeRemainingColumn(),
                console=progress.console(),
                transient=True,
            )
            self._task = self._progress.add_task(
                self.title, total=self.params["epochs"], loss="?"
            )
            self._progress.start()

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Moves the bar."""
        loss = f"{(logs or {}).get('loss', float('nan')):.3f}"
        epochs = self.params["epochs"]
        if self._first is None:
            self._first = epoch
        if self._progress is not None:
            self._progress.update(self._task, completed=epoch + 1, loss=loss)
        elif time.monotonic() - self._said > _SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            done = epoch + 1 - self._first
            pace = (self._said - self._started) / done
            logging.info(
                "%s: epoch %d of %d, loss %s, %.0f s left",
                self.title,
                epoch + 1,
                epochs,
                loss,
                pace * (epochs - epoch - 1),
            )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
