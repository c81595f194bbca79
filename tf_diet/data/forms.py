# SPDX-License-Identifier: MIT
"""Which of its many forms data has: arrays in memory, or batches in turn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.data.inputs import Inputs, is_array
from tf_diet.errors import InputError


@dataclass(frozen=True, eq=False)
class Arrays:
    """Examples in memory.

    Args:
        x: arrays, in the structure in which they were given.
        y: likewise, or None.
        weight: of the examples, likewise, or None.
    """

    x: Any
    y: Any = None
    weight: Any = None


@dataclass(frozen=True, eq=False)
class Batches:
    """Examples that come in batches, or one by one.

    Args:
        open: begins to give them; gets the seed of their order where that is
            free.
        source: what was given.
        once: they can be gone through only once.
        listed: they are in memory, in a list.
    """

    open: Callable[[int], Iterator[Any]]
    source: Any
    once: bool = False
    listed: bool = False


Form = Arrays | Batches


def form_of(data: Any, inputs: Inputs | None, what: str = "") -> Form:
    """Tells the form of data.

    Args:
        data: arrays alone; `(x, y)` or `(x, y, sample_weight)` as a tuple, or
            as a list where that is not one array for each input; a
            `PyDataset`; a `tf.data.Dataset`, a list, a generator or any other
            iterable of such batches or single examples; or a function
            without arguments that returns one, as TFLite calls
            `representative_dataset`.
        inputs: of the model; None where they are not known.
        what: the data is called in messages; `inputs.what` when left out.

    Raises:
        InputError: it is none of these.
    """
    what = what or (inputs.what if inputs else "Data")
    if isinstance(data, keras.utils.PyDataset):
        return Batches(lambda seed: _shuffled(data, seed), data)
    if is_array(data) or isinstance(data, Mapping):
        return Arrays(data)
    if isinstance(data, tuple):
        return _of_parts(data, what)
    if isinstance(data, list):
        return _of_list(data, inputs, what)
    if hasattr(data, "__iter__") and not isinstance(data, str | bytes):
        once = hasattr(data, "__next__")
        return Batches(lambda seed: iter(data), data, once)
    if callable(data):
        return Batches(lambda seed: iter(data()), data)
    raise InputError(
        f"{what} must be (x, y), a PyDataset or a tf.data.Dataset. Received: "
        f"{type(data).__name__}. Pass data=(x, y) with arrays as model.fit "
        "takes them, or an iterable of batches."
    )


def parts_of(batch: Any, inputs: Inputs | None, what: str = "") -> Arrays:
    """Returns what one batch, or one example, consists of.

    Raises:
        InputError: it is a tuple of more than three.
    """
    if isinstance(batch, list) and not _is_inputs(batch, inputs):
        batch = tuple(batch)
    if isinstance(batch, tuple):
        return _of_parts(batch, what or (inputs.what if inputs else "Data"))
    return Arrays(batch)


def beside_one_another(data: Any, beside: Sequence[Any]) -> Any:
    """Returns x, y and weights that were given one after another as one.

    Args:
        data: data in any form, or x alone.
        beside: what was given after it.

    Raises:
        InputError: that is not y and weights.
    """
    if not beside:
        return data
    arrays = all(is_array(leaf) for leaf in keras.tree.flatten(tuple(beside)))
    if len(beside) > 2 or not arrays or isinstance(data, tuple):
        shown = ", ".join(
            type(v).__name__ if is_array(v) else repr(v) for v in beside
        )
        raise InputError(
            "After the data all arguments go by their names. Received: "
            f"{shown}. Write data=(x, y) and, say, rate=0.5."
        )
    return (data, *beside)


def _of_parts(data: tuple[Any, ...], what: str) -> Arrays:
    if not 1 <= len(data) <= 3:
        raise InputError(
            f"{what} must be a pair (x, y). Received: a tuple of "
            f"{len(data)}. Put the inputs of the model into a list or dict."
        )
    x, y, weight = (*data, None, None)[:3]
    leaves = keras.tree.flatten(x)
    if (
        isinstance(x, keras.utils.PyDataset)
        or hasattr(x, "__next__")
        or any(_gives_batches(leaf) for leaf in leaves)
    ):
        raise InputError(
            f"{what} that comes in batches holds its own targets. Received: a "
            f"{type(x).__name__} with something beside it. Pass the data set "
            "alone, its batches (x, y) or (x, y, sample_weight)."
        )
    return Arrays(_numbers(x), _numbers(y), _numbers(weight))


def _gives_batches(leaf: Any) -> bool:
    return hasattr(leaf, "__iter__") and not (
        is_array(leaf) or isinstance(leaf, str | bytes)
    )


def _of_list(data: list[Any], inputs: Inputs | None, what: str) -> Form:
    if not data or _is_batches(data, inputs):
        return Batches(lambda seed: iter(data), data, listed=True)
    if not _is_inputs(data, inputs) and len(data) in (2, 3):
        return _of_parts(tuple(data), what)
    return Arrays(_numbers(data))


def _is_inputs(data: list[Any], inputs: Inputs | None) -> bool:
    """Says whether a list holds an array for each input, and no targets."""
    if not any(map(is_array, keras.tree.flatten(data))):
        # Numbers in lists.
        return True
    known = len(inputs.names) if inputs is not None else 1
    return len(data) == known and all(map(is_array, data))


def _is_batches(data: list[Any], inputs: Inputs | None) -> bool:
    """Says whether a list holds batches, or examples one by one."""
    if all(isinstance(item, tuple) for item in data):
        return True
    if all(isinstance(item, list) for item in data):
        pair = len(data) in (2, 3) and len(data[0]) > 1
        arrays = is_array(data[0][0]) if data[0] else False
        return arrays and not pair and _is_inputs(data[0], inputs)
    if not all(isinstance(item, Mapping) for item in data):
        return False
    # Dicts of inputs, but not one of inputs and one of targets.
    if inputs is None:
        return len({frozenset(item) for item in data}) == 1
    wanted = (set(inputs.names), set(inputs.keys.values()) or None)
    return len(data) == 1 or any(
        names is not None and names <= set(data[1]) for names in wanted
    )


def _numbers(part: Any) -> Any:
    """Returns numbers in lists as an array, and all else as it is."""
    if isinstance(part, list | tuple | Mapping):
        values = keras.tree.flatten(part)
        if any(is_array(value) for value in values):
            return part
        if not isinstance(part, Mapping):
            return _one_array(part)
        return {name: _one_array(value) for name, value in part.items()}
    return np.asarray(part) if isinstance(part, int | float) else part


def _one_array(numbers: Any) -> Array:
    try:
        return np.asarray(numbers)
    except ValueError as error:
        raise InputError(
            "Numbers in lists must make one array. Received: lists of "
            "different lengths. Cut or pad examples to one length."
        ) from error


def _shuffled(dataset: Any, seed: int) -> Iterator[Any]:
    """Yields the batches of a `PyDataset` in an order of the seed's."""
    number = dataset.num_batches
    if number is None:
        index = 0
        while True:
            yield dataset[index]
            index += 1
    for index in np.random.default_rng(seed).permutation(int(number)):
        yield dataset[int(index)]
