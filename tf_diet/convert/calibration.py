# SPDX-License-Identifier: MIT
"""Real inputs, states included, from which integer ranges are taken."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert.streaming import StreamingModel
from tf_diet.errors import InputError

# More calls than this no longer widen the ranges, and each costs time.
_ENOUGH = 2000


def steps(
    model: StreamingModel | keras.Model, calibration: Any
) -> list[list[Array]]:
    """Returns the inputs of single calls, each in the order of the model's.

    Args:
        model: what will be converted.
        calibration: for a `StreamingModel` a dict of sequences, (time,
            features) or (sequences, time, features), or an iterable of such
            dicts: the model runs over them, whole and evenly spread, for
            about 2,000 calls, and its states are taken from that run. For
            any other model an iterable of dicts, one a call.

    Raises:
        InputError: nothing is there, or it has the wrong shape, or it is not
            finite.
    """
    if isinstance(model, StreamingModel):
        found = list(_streamed(model, list(_sequences(model, calibration))))
    else:
        found = [
            _call(model, inputs) for inputs in islice(calibration, _ENOUGH)
        ]
    if not found:
        raise InputError(
            "The calibration data is empty. Received: no step. Pass about "
            "1,000 steps of real input."
        )
    return found


def _finite(name: str, values: Array) -> Array:
    if not np.all(np.isfinite(values)):
        raise InputError(
            f"The calibration data for {name!r} is not finite. Received: "
            f"{int(np.sum(~np.isfinite(values)))} NaN or infinite values. "
            "Remove or fill them."
        )
    return values


def _sequences(
    model: StreamingModel, calibration: Any
) -> Iterator[dict[str, Array]]:
    """Yields single sequences, (time, features)."""
    many: Iterable[Mapping[str, Any]] = (
        [calibration] if isinstance(calibration, Mapping) else calibration
    )
    for given in many:
        if not isinstance(given, Mapping):
            raise InputError(
                "Calibration data is a dict of sequences by input name, or "
                f"an iterable of such dicts. Received: {type(given).__name__}."
                f" Name the inputs: {[d.name for d in model.free_inputs]}."
            )
        arrays = {k: _finite(k, np.asarray(v)) for k, v in given.items()}
        batched = [
            details.name in arrays
            and arrays[details.name].ndim
            == len(details.row_shape(model.frame)) + 2
            for details in model.free_inputs
        ]
        if not all(batched) or not batched:
            yield arrays
            continue
        for index in range(min(len(array) for array in arrays.values())):
            yield {name: array[index] for name, array in arrays.items()}


def _streamed(
    model: StreamingModel, sequences: list[dict[str, Array]]
) -> Iterator[list[Array]]:
    rows = [model.rows(sequence) for sequence in sequences]
    rows = [calls for calls in rows if calls]
    total = sum(map(len, rows))
    # Whole sequences: a slow state needs its time to reach its range.
    stride = max(1, total // _ENOUGH)
    for calls in rows[::stride]:
        model.reset()
        for inputs in calls[:_ENOUGH]:
            yield model.stored_inputs(inputs)
            model.step(inputs)
    model.reset()


def _call(model: keras.Model, inputs: Mapping[str, Any]) -> list[Array]:
    stored = []
    for tensor in model.inputs:
        shape = (1, *tensor.shape[1:])
        values = inputs.get(tensor.name)
        if values is None or np.size(values) != np.prod(shape):
            received = "none" if values is None else np.shape(values)
            raise InputError(
                f"A calibration step must give the input {tensor.name!r} in "
                f"shape {shape}. Received: {received}. Pass a dict with "
                f"every input: {[t.name for t in model.inputs]}."
            )
        array = np.reshape(np.asarray(values), shape)
        stored.append(_finite(tensor.name, array).astype(str(tensor.dtype)))
    return stored
