# SPDX-License-Identifier: MIT
"""The rounds of a run as TensorBoard's scalars."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tf_diet.lottery.run_folder import Round
from tf_diet.optional import require

_SCALARS = (
    "parameters",
    "weights_left",
    "flops",
    "validation_error",
    "test_error",
    "error_multiplier",
)


def board_of(
    folder: str | os.PathLike[str] | None,
) -> Callable[[Sequence[Round]], Any]:
    """Returns what writes all rounds so far for TensorBoard.

    The one file in the folder is written anew each time: a round that a kill
    cut off is not shown twice.

    Args:
        folder: for TensorBoard's `--logdir`; None writes nothing.

    Raises:
        MissingDependencyError: tensorboardX is not installed.
    """
    if folder is None:
        return lambda rounds: None
    writer = require("tensorboardX", extra="tensorboard").SummaryWriter
    path = Path(folder)

    def write(rounds: Sequence[Round]) -> None:
        for old in path.glob("events.out.tfevents.*"):
            old.unlink()
        with writer(str(path)) as events:
            for line in rounds:
                for name in _SCALARS:
                    value = getattr(line, name)
                    if value is not None:
                        events.add_scalar(f"round/{name}", value, line.round)
                for phase, seconds in line.seconds.items():
                    events.add_scalar(f"seconds/{phase}", seconds, line.round)
                for group, width in line.widths.items():
                    events.add_scalar(f"width/{group}", width, line.round)

    return write
