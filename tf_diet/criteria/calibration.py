# SPDX-License-Identifier: MIT
"""Calibration data, checked before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_diet.arrays import Array, Ints
from tf_diet.data.inputs import Inputs, is_nested
from tf_diet.data.reader import read
from tf_diet.errors import InputError
from tf_diet.graph.calls import Walk


@dataclass(frozen=True, eq=False)
class Calibration:
    """Examples that a model can run, with their targets.

    Args:
        inputs: an array for each model input, in the order of the walk.
        y: the targets, or None.
        order: which examples are looked at, and in which order; all as they
            come if None. Arrays are not copied for it.
    """

    inputs: tuple[Array, ...]
    y: Array | None
    order: Ints | None = None

    @property
    def rows(self) -> Ints:
        """The examples that are looked at, in their order."""
        if self.order is not None:
            return self.order
        return np.arange(len(self.inputs[0]))


def load(walked: Walk, data: Any, *, targets: bool, seed: int) -> Calibration:
    """Checks calibration data against a model.

    Args:
        walked: the model.
        data: in any form, see `tf_diet.data.forms.form_of`.
        targets: whether y is needed, one array.
        seed: of the order in which batches of a `PyDataset` are read.

    Returns:
        The data as arrays; of batches at most 5,000 examples or 512 MiB.

    Raises:
        InputError: shapes do not fit, names do not fit, NaN, or empty.
    """
    held = read(data, inputs_of(walked), targets=targets, seed=seed)
    if isinstance(held.y, Mapping | list):
        raise InputError(
            "Information is measured against one target array. Received: a "
            f"{type(held.y).__name__} of {len(held.y)}. Pass the one that "
            "matters as y, or concatenate them along the last axis: "
            "data=(x, y), in LotteryDiet.fit calibration=(x, y)."
        )
    return Calibration(held.x, held.y)


def inputs_of(walked: Walk, what: str = "Calibration data") -> Inputs:
    """Returns what a model takes.

    Args:
        walked: the model.
        what: the data is called in messages.
    """
    own = walked.input_structure
    names = dict(zip(walked.inputs, walked.input_names, strict=True))
    keys = {}
    if isinstance(own, Mapping) and not is_nested(own):
        # They may differ from the names.
        keys = {names[slot.key]: str(key) for key, slot in own.items()}
    return Inputs(
        walked.input_names,
        tuple(walked.tensors[key].shape for key in walked.inputs),
        keys,
        own if isinstance(own, Mapping | list | tuple) else None,
        what,
    )
