# SPDX-License-Identifier: MIT
"""Data in any form as Keras' own `fit` and `evaluate` take it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tf_diet.data.forms import Arrays, Batches, form_of, parts_of
from tf_diet.data.inputs import Inputs, is_array
from tf_diet.errors import InputError

# Keras' own, for arrays.
BATCH = 32


def for_keras(
    data: Any, inputs: Inputs | None, what: str, *, again: bool = True
) -> Any:
    """Returns data as Keras takes it for validation and evaluation.

    Args:
        data: in any form, see `form_of`.
        inputs: of the model; None where they are not known.
        what: the data is called in messages.
        again: it will be gone through more than once.

    Returns:
        `(x, y, sample_weight)` of arrays, less what is missing at its end; a
        `PyDataset`; or a `tf.data.Dataset` of batches. What comes in batches
        in another way is read into memory.

    Raises:
        InputError: it has no form of data, has no end, or can be gone through
            only once.
    """
    form = form_of(data, inputs, what)
    if isinstance(form, Arrays):
        return in_one(whole_arrays(form, inputs))
    if again:
        check_again(form, what)
    if isinstance(form.source, keras.utils.PyDataset):
        length(form.source, what)
        return form.source
    if is_tf_data(form.source):
        length(form.source, what)
        return batched(form.source, inputs)
    return in_one(in_memory(form, inputs, what))


def whole_arrays(form: Arrays, inputs: Inputs | None) -> Arrays:
    """Returns arrays in the structure that the model takes.

    Raises:
        InputError: inputs are missing, or targets that the loss needs.
    """
    if inputs is None:
        return form
    if inputs.targets:
        inputs.check_targets(form.y)
    return replace(form, x=inputs.packed(inputs.arranged(form.x)))


def in_one(arrays: Arrays) -> Any:
    """Returns `(x, y, sample_weight)`, less what is missing at its end."""
    parts = (arrays.x, arrays.y, arrays.weight)
    last = max(i for i, part in enumerate(parts) if part is not None or not i)
    return parts[: last + 1]


def first_batch(data: Any) -> tuple[Any, Any, Any]:
    """Returns some first examples as `(x, y, sample_weight)`.

    Args:
        data: as `for_keras` returns it.
    """
    if isinstance(data, keras.utils.PyDataset):
        batch = data[0]
    elif isinstance(data, tuple):
        batch = keras.tree.map_structure(_head, data)
    else:
        batch = next(iter(data))
    parts = parts_of(batch, None)
    found = (parts.x, parts.y, parts.weight)
    if keras.backend.backend() != "tensorflow":
        # Its tensors and tables mean nothing to another backend.
        found = keras.tree.map_structure(_own, found)
    return found


def _own(leaf: Any) -> Any:
    return None if leaf is None else np.asarray(leaf)


def _head(leaf: Any) -> Any:
    return None if leaf is None else leaf[:BATCH]


def in_memory(form: Batches, inputs: Inputs | None, what: str) -> Arrays:
    """Joins batches, or single examples, into arrays of the same structure.

    Raises:
        InputError: there are none, or they are not alike.
    """
    found = [_batch(item, inputs, what) for item in form.open(0)]
    if not found:
        raise InputError(
            f"{what} is empty. Received: a dataset without batches. Give at "
            "least one."
        )
    try:
        x, y, weight = keras.tree.map_structure(
            lambda *parts: None if parts[0] is None else np.concatenate(parts),
            *((batch.x, batch.y, batch.weight) for batch in found),
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Batches of {what[:1].lower()}{what[1:]} must be alike. Received: "
            f"{' '.join(str(error).split())} Give each the same parts and "
            "shapes."
        ) from error
    return whole_arrays(Arrays(x, y, weight), inputs)


def checked_batches(
    batches: Iterator[Any], inputs: Inputs | None, what: str
) -> Iterator[Any]:
    """Yields batches as they are.

    Raises:
        InputError: they are single examples.
    """
    for batch in batches:
        check_batch(batch, inputs, what)
        yield batch


def check_batch(batch: Any, inputs: Inputs | None, what: str) -> None:
    """Checks that a batch is no single example, and has its targets.

    Raises:
        InputError: it is one, or lacks them.
    """
    parts = whole_arrays(parts_of(batch, inputs, what), inputs)
    if inputs is not None and _is_single(parts.x, inputs):
        shapes = [tuple(leaf.shape) for leaf in keras.tree.flatten(parts.x)]
        raise InputError(
            f"{what} must come in batches here. Received: single examples of "
            f"shape {', '.join(map(str, shapes))}. Give arrays, lists of "
            "examples, or batches with an axis for the examples."
        )


def check_again(form: Batches, what: str) -> None:
    """Checks that data can be gone through again.

    Raises:
        InputError: it is a generator or the like.
    """
    if form.once:
        raise InputError(
            f"Every round goes through the {what[:1].lower()}{what[1:]} again. "
            f"Received: {type(form.source).__name__}, which can be gone "
            "through once or not at all. Pass arrays, a tf.data.Dataset, a "
            "PyDataset, or list(...) of its batches."
        )


def is_tf_data(data: Any) -> bool:
    """Recognises a `tf.data.Dataset`, without TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "batch")


def batched(data: Any, inputs: Inputs | None, size: int | None = None) -> Any:
    """Returns a `tf.data.Dataset` of batches, whatever it is of.

    Args:
        data: a data set of batches or of single examples.
        inputs: of the model; None leaves it as it is.
        size: of the batches that are made; 32 when None.
    """
    if inputs is None:
        return data
    given = parts_of(data.element_spec, inputs)
    whole_arrays(given, inputs)
    if _is_single(given.x, inputs):
        data = data.batch(size or BATCH)
    if isinstance(given.x, Mapping) and not inputs.keys:
        # Keras would take it, with a warning.
        data = data.map(lambda *item: _packed(item, inputs))
    return data


def _packed(item: tuple[Any, ...], inputs: Inputs) -> tuple[Any, ...]:
    x, *beside = item
    return (inputs.packed(inputs.arranged(x)), *beside)


def length(data: Any, what: str) -> int | None:
    """Returns the number of batches, None where it is not known.

    Raises:
        InputError: there is no end to them, or there are none.
    """
    number: float | None
    if isinstance(data, keras.utils.PyDataset):
        number = data.num_batches
    elif hasattr(data, "cardinality"):
        number = int(data.cardinality())
        # What tf.data says of data sets whose end it does not know.
        number = None if number == -2 else number
        number = math.inf if number == -1 else number
    else:
        number = len(data) if hasattr(data, "__len__") else None
    if number is None:
        return None
    if not 0 < number < math.inf:
        raise InputError(
            f"An epoch of the {what[:1].lower()}{what[1:]} must end, and hold "
            f"a batch. Received: {number} batches. Leave out repeat(), or "
            "take() as many as an epoch shall have."
        )
    return int(number)


def _batch(item: Any, inputs: Inputs | None, what: str) -> Arrays:
    """Returns one batch as arrays; an example becomes a batch of one."""
    parts = parts_of(item, inputs, what)
    single = inputs is not None and _is_single(parts.x, inputs)

    def whole(value: Any) -> Any:
        if value is None:
            return None
        return np.asarray(value)[None] if single else np.asarray(value)

    found = keras.tree.map_structure(whole, (parts.x, parts.y, parts.weight))
    return Arrays(*found)


def _is_single(x: Any, inputs: Inputs) -> bool:
    leaves: Sequence[Any] = inputs.arranged(x)
    if not all(is_array(leaf) for leaf in leaves):
        leaves = [np.asarray(leaf) for leaf in leaves]
    if any(getattr(leaf.shape, "rank", 0) is None for leaf in leaves):
        # A tensor specification without a rank says nothing.
        return False
    return inputs.single([tuple(leaf.shape) for leaf in leaves])
