# SPDX-License-Identifier: MIT
"""Real inputs, states included, from which integer ranges are taken."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert.fed_back import FedBack, runner_of
from tf_diet.convert.streaming import StreamingModel
from tf_diet.data.inputs import Inputs, check_finite
from tf_diet.data.reader import MOST_BYTES, MOST_EXAMPLES, batches
from tf_diet.errors import InputError

WHAT = "Calibration data"
# More calls than this no longer widen the ranges, and each costs time.
ENOUGH = 1000
# Calls in a row that are taken: what is held in a state comes after it.
BURST = 4
# Calls of a step model that are run to find its states, and those of one
# sequence in a row: a slow state needs its time to reach its range.
MOST_RUN = 50_000
MOST_IN_A_ROW = 20_000


@dataclass(frozen=True, eq=False)
class Calibration:
    """Real calls of a model.

    Args:
        find: finds `steps`. Of a step model that is a run over all data, which
            quantizations that need no ranges do not wait for.
        recordings: of a step model, the calls of whole sequences, (calls,
            *shape) by name of the input; empty for others.
        runner: of a step model, which traces it once.
    """

    find: Callable[[], list[list[Array]]]
    recordings: list[dict[str, Array]]
    runner: FedBack | None = None

    @cached_property
    def steps(self) -> list[list[Array]]:
        """The inputs of about 1,000 calls, each in the model's order.

        States are among them.
        """
        return self.find()


def calls_of(
    model: StreamingModel | keras.Model, calibration: Any
) -> Calibration:
    """Returns real calls of a model, each in the model's order.

    They are spread evenly over all examples, or over all sequences and their
    whole length; where an input is largest and smallest is among them. They
    follow from the data alone.

    Args:
        model: what will be converted.
        calibration: in any form, see `tf_diet.data.forms.form_of`; targets
            are left alone. For a `StreamingModel` examples are sequences,
            (time, features), alone or in batches: the model runs over them
            and its states are taken from that run.

    Raises:
        InputError: nothing is there, or it has the wrong shape, or it is not
            finite.
    """
    if isinstance(model, StreamingModel):
        recordings = list(_sequences(model, calibration))
        runner = runner_of(model)
        found = Calibration(
            partial(_steps, model, recordings, runner), recordings, runner
        )
        empty = not any(map(_length, recordings))
    else:
        found = Calibration(partial(list, _calls(model, calibration)), [])
        empty = not found.steps
    if empty:
        raise InputError(
            f"{WHAT} is empty. Received: no step. Pass about 1,000 steps of "
            "real input."
        )
    return found


def _steps(
    model: StreamingModel,
    recordings: Sequence[Mapping[str, Array]],
    runner: FedBack | None,
) -> list[list[Array]]:
    """Returns none on JAX, where no quantization needs them."""
    return [] if runner is None else list(_streamed(model, recordings, runner))


def _calls(model: keras.Model, calibration: Any) -> list[list[Array]]:
    """Returns single examples of a model that keeps no states itself."""
    inputs = Inputs.of(model, WHAT)
    assert inputs is not None, "conversion has refused what has no inputs"
    found: list[Sequence[Array]] = []
    count = size = 0
    for batch in batches(calibration, inputs):
        x = inputs.checked(_shaped(inputs, batch.x))
        lengths = {len(array) for array in x}
        if len(lengths) > 1:
            raise InputError(
                f"{WHAT} must have one length. Received: {sorted(lengths)} "
                f"examples for {', '.join(inputs.names)}. Give each input the "
                "same examples."
            )
        found.append(x)
        count, size = count + min(lengths), size + batch.nbytes
        if count >= MOST_EXAMPLES or size >= MOST_BYTES:
            break
    if not found:
        return []
    whole = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    dtypes = [str(tensor.dtype) for tensor in model.inputs]
    return [
        [
            array[i : i + 1].astype(dtype)
            for array, dtype in zip(whole, dtypes, strict=True)
        ]
        for i in _spread(count, whole, 1)
    ]


def _shaped(inputs: Inputs, x: Sequence[Array]) -> list[Array]:
    """Returns one call's numbers, whatever their shape, as a batch of one."""
    shapes = [(1, *(n or 1 for n in shape[1:])) for shape in inputs.shapes]
    pairs = list(zip(x, shapes, strict=True))
    if all(array.size == np.prod(shape) for array, shape in pairs):
        return [array.reshape(shape) for array, shape in pairs]
    return list(x)


def _sequences(
    model: StreamingModel, calibration: Any
) -> Iterator[dict[str, Array]]:
    """Yields the calls of single sequences, (calls, *shape of the input)."""
    rows = [details.row_shape(model.frame) for details in model.free_inputs]
    names = tuple(details.name for details in model.free_inputs)
    shapes = tuple((None, None, *row) for row in rows)
    inputs = Inputs(names, shapes, what=WHAT, exact=True)
    for batch in batches(calibration, inputs):
        for name, array in zip(names, batch.x, strict=True):
            check_finite(f"{WHAT} for input {name!r}", array)
        # Single sequences come as they are, or as a batch of one.
        batched = all(
            array.ndim == len(shape)
            for array, shape in zip(batch.x, shapes, strict=True)
        )
        if not batched:
            yield model.calls(dict(zip(names, batch.x, strict=True)))
            continue
        for sequence in zip(*batch.x, strict=False):
            yield model.calls(dict(zip(names, sequence, strict=True)))


def _streamed(
    model: StreamingModel,
    sequences: Sequence[Mapping[str, Array]],
    run: FedBack,
) -> Iterator[list[Array]]:
    pieces = [
        {
            name: calls[start : start + MOST_IN_A_ROW]
            for name, calls in s.items()
        }
        for s in sequences
        for start in range(0, _length(s), MOST_IN_A_ROW)
    ]
    if not pieces:
        return
    total = sum(map(_length, pieces))
    most = max(1, len(pieces) * MOST_RUN // max(total, MOST_RUN))
    pieces = [pieces[i] for i in _evenly(len(pieces), most)]
    ends = np.cumsum([_length(piece) for piece in pieces])
    whole = [
        np.concatenate([piece[details.name] for piece in pieces])
        for details in model.free_inputs
    ]
    reached = []
    for piece in pieces if model.states else ():
        run.begin()
        reached.append(run.reaches(piece))
    # Calls where a state is at its extreme hold those of what it feeds.
    far = np.concatenate(reached) if reached else np.zeros((int(ends[-1]), 0))
    chosen = np.array(_spread(int(ends[-1]), whole, BURST, far))
    start = 0
    for piece, end in zip(pieces, ends, strict=True):
        run.begin()
        inside = chosen[(chosen >= start) & (chosen < end)] - start
        yield from run.over(piece, inside)
        start = int(end)


def _length(calls: Mapping[str, Array]) -> int:
    return min(map(len, calls.values()), default=0)


def _evenly(count: int, most: int) -> list[int]:
    """Returns at most so many numbers below `count`, evenly spread."""
    number = min(count, most)
    places = (np.arange(number) + 0.5) * count / number
    return [int(place) for place in places]


def _spread(
    count: int, inputs: Sequence[Array], burst: int, far: Array | None = None
) -> list[int]:
    """Returns which calls are taken: spread, and where numbers are extreme.

    Args:
        count: of all calls.
        inputs: the data of each input, (calls, ...).
        burst: calls in a row.
        far: more numbers of each call, (calls, numbers): those at which one
            of them is largest are taken too, and the one after.
    """
    places = _evenly(count, ENOUGH // burst) if count > ENOUGH else range(count)
    rows = [array.reshape(count, -1) for array in inputs if array.size]
    extreme = [int(row.max(axis=1).argmax()) for row in rows]
    extreme += [int(row.min(axis=1).argmin()) for row in rows]
    taken = {
        min(place + i, count - 1)
        for place in (*places, *extreme)
        for i in range(burst)
    }
    if far is not None and far.size:
        largest = {int(place) for place in far.argmax(axis=0)}
        taken |= largest | {min(place + 1, count - 1) for place in largest}
    return sorted(taken)
