# SPDX-License-Identifier: MIT
"""The one reader of data: x by input, y and weights, in batches or joined."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.data.forms import Arrays, form_of, parts_of
from tf_diet.data.inputs import Inputs, check_finite, is_array
from tf_diet.errors import InputError

# Batches are read until they are used up or one of these is reached.
MOST_EXAMPLES = 5000
MOST_BYTES = 2**29


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples that a model can run.

    Args:
        x: an array for each input of the model, in their order.
        y: the targets: an array, or a list or dict of one for each output;
            None where there are none.
        weight: of the examples, likewise.
    """

    x: tuple[Array, ...]
    y: Any = None
    weight: Any = None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        leaves = keras.tree.flatten((self.x, self.y, self.weight))
        return sum(leaf.nbytes for leaf in leaves if leaf is not None)


def batches(data: Any, inputs: Inputs, *, seed: int = 0) -> Iterator[Examples]:
    """Yields data as it comes: arrays at once, all else batch by batch.

    Examples that come one by one, without a batch axis, become batches of
    one. Shapes and values are not checked.

    Args:
        data: in any form, see `form_of`.
        inputs: of the model.
        seed: of the order in which batches of a `PyDataset` are read.

    Raises:
        InputError: it has no form of data, or inputs are missing.
    """
    form = form_of(data, inputs)
    if isinstance(form, Arrays):
        yield Examples(
            _arrays(inputs, form.x),
            numbers(form.y),
            numbers(form.weight),
        )
        return
    for item in form.open(seed):
        parts = parts_of(item, inputs)
        x = _arrays(inputs, parts.x)
        y, weight = numbers(parts.y), numbers(parts.weight)
        if inputs.single([array.shape for array in x]):
            x = tuple(array[None] for array in x)
            y, weight = keras.tree.map_structure(_row, (y, weight))
        elif any(not array.ndim for array in x):
            raise InputError(
                f"A set of {inputs.inside} must "
                "give batches, or examples of the model's shapes. Received: "
                "single numbers. Call dataset.batch(32) first."
            )
        yield Examples(x, y, weight)


def read(
    data: Any,
    inputs: Inputs,
    *,
    targets: bool,
    seed: int = 0,
    most_examples: int = MOST_EXAMPLES,
    most_bytes: int = MOST_BYTES,
) -> Examples:
    """Returns data as checked arrays.

    Args:
        data: in any form, see `form_of`.
        inputs: of the model.
        targets: whether y is needed; it and weights are left out if not.
        seed: of the order in which batches of a `PyDataset` are read.
        most_examples: to read where they come in batches.
        most_bytes: likewise.

    Raises:
        InputError: nothing is there, shapes or names do not fit, something
            is not finite, or targets are missing.
    """
    given = batches(data, inputs, seed=seed)
    if not targets:
        given = (Examples(batch.x) for batch in given)
    found = list(_bounded(given, most_examples, most_bytes))
    if not found:
        raise InputError(
            f"{inputs.what} is empty. Received: a dataset without batches. "
            "Give at least a few dozen examples."
        )
    x = inputs.checked(
        [
            _joined(inputs, parts)
            for parts in zip(*(batch.x for batch in found), strict=True)
        ]
    )
    y = _together(inputs, [batch.y for batch in found])
    weights = [batch.weight is None for batch in found]
    if any(weights) and not all(weights):
        raise InputError(
            "Batches must all have sample weights, or none. Received: batches "
            "with and without. Give weights of ones to those without."
        )
    read = Examples(x, y, _together(inputs, [batch.weight for batch in found]))
    if targets:
        _check_targets(inputs, read.y)
    _check_lengths(inputs, read)
    return read


def kept(data: Any, inputs: Inputs, *, seed: int = 0) -> Any:
    """Returns data that can be gone through again.

    What a generator gives is read, as much of it as `read` would; all else
    is returned as it is, None too.
    """
    if not hasattr(data, "__next__"):
        return data
    given = batches(data, inputs, seed=seed)
    held = _bounded(given, MOST_EXAMPLES, MOST_BYTES)
    return [(inputs.packed(b.x), b.y, b.weight) for b in held]


def _bounded(
    found: Iterator[Examples], most_examples: int, most_bytes: int
) -> Iterator[Examples]:
    """Yields batches until there is enough."""
    count = size = 0
    for batch in found:
        yield batch
        count += len(batch.x[0]) if batch.x[0].ndim else 0
        size += batch.nbytes
        if count >= most_examples or size >= most_bytes:
            return


def numbers(part: Any) -> Any:
    """Returns targets or weights as arrays, in the structure they have."""
    if part is None or is_array(part):
        return None if part is None else np.asarray(part)
    if isinstance(part, Mapping):
        return {name: np.asarray(value) for name, value in part.items()}
    if isinstance(part, list | tuple) and any(map(is_array, part)):
        return [np.asarray(value) for value in part]
    return np.asarray(part)


def _arrays(inputs: Inputs, x: Any) -> tuple[Array, ...]:
    return tuple(np.asarray(value) for value in inputs.arranged(x))


def _row(value: Any) -> Any:
    return None if value is None else value[None]


def _together(inputs: Inputs, parts: Sequence[Any]) -> Any:
    """Joins targets or weights; None where some batches lack them."""
    if any(part is None for part in parts):
        return None
    if len(parts) == 1:
        return parts[0]
    try:
        return keras.tree.map_structure(
            lambda *columns: _joined(inputs, columns), *parts
        )
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Batches of {inputs.inside} must be "
            f"alike. Received: {error}. Give each the same parts."
        ) from error


def _joined(inputs: Inputs, parts: Sequence[Array]) -> Array:
    """Joins what batches hold.

    Raises:
        InputError: shapes differ.
    """
    if len(parts) == 1:
        return parts[0]
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise InputError(
            f"Batches of {inputs.inside} must have "
            f"one shape. Received: {', '.join(map(str, sorted(shapes)))}. Cut "
            "or pad examples to one length."
        )
    return np.concatenate(parts)


def _check_targets(inputs: Inputs, y: Any) -> None:
    inputs.check_targets(y)
    for target in keras.tree.flatten(y):
        if not target.ndim or not target.size:
            raise InputError(
                f"{_of(inputs)} targets are empty. Received: shape "
                f"{target.shape}. Give one target for each example."
            )
        check_finite(f"{inputs.what} for the target", target)


def _check_lengths(inputs: Inputs, read: Examples) -> None:
    lengths = {
        f"input {name!r}": len(array)
        for name, array in zip(inputs.names, read.x, strict=True)
    }
    targets = keras.tree.flatten(read.y) if read.y is not None else []
    for number, target in enumerate(targets):
        which = f" of output {number}" if len(targets) > 1 else ""
        lengths[f"the target{which}"] = len(target)
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"{inputs.what} must have one length. Received: "
            + ", ".join(f"{n} samples for {w}" for w, n in lengths.items())
            + ". Pair inputs and targets example by example."
        )


def _of(inputs: Inputs) -> str:
    """Returns what the data is called, beside another noun."""
    return inputs.what.removesuffix(" data")
