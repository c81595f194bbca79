# SPDX-License-Identifier: MIT
"""Calibration data, checked before anything runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array, Ints
from tf_diet.errors import InputError
from tf_diet.graph.calls import Walk

# A dataset is read until it is used up or one of these is reached.
MOST_EXAMPLES = 5000
MOST_BYTES = 2**29


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
        data: `(x, y)` with x an array, list or dict as the model takes it, a
            `PyDataset`, or anything that gives such pairs in batches, such as
            a `tf.data.Dataset`.
        targets: whether y is needed.
        seed: of the order in which batches of a `PyDataset` are read.

    Returns:
        The data as arrays; of a dataset at most 5,000 examples or 512 MiB.

    Raises:
        InputError: shapes do not fit, names do not fit, NaN, or empty.
    """
    if isinstance(data, keras.utils.PyDataset):
        data = _gather(walked, shuffled(data, seed))
    elif not isinstance(data, tuple | list | Mapping) and not hasattr(
        data, "shape"
    ):
        data = _gather(walked, _iterate(data))
    x, y = _pair(data)
    inputs = tuple(_arrange(walked, x))
    for name, key, value in zip(
        walked.input_names, walked.inputs, inputs, strict=True
    ):
        _check_input(f"input {name!r}", walked.tensors[key].shape, value)
    if targets:
        y = _check_target(y)
    loaded = Calibration(inputs, y if targets else None)
    _check_lengths(walked, loaded)
    return loaded


def _pair(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, tuple):
        return data, None
    if not 1 <= len(data) <= 3:
        raise InputError(
            "Calibration data must be a pair (x, y). Received: a tuple of "
            f"{len(data)}. Put the inputs of the model into a list or dict."
        )
    return data[0], data[1] if len(data) > 1 else None


def shuffled(dataset: Any, seed: int) -> Iterator[Any]:
    """Yields the batches of a `PyDataset` in an order of the seed's."""
    number = int(dataset.num_batches)
    for index in np.random.default_rng(seed).permutation(number):
        yield dataset[int(index)]


def _iterate(data: Any) -> Iterator[Any]:
    try:
        return iter(data)
    except TypeError:
        raise InputError(
            "Calibration data must be (x, y), a PyDataset or a "
            f"tf.data.Dataset. Received: {type(data).__name__}. Pass "
            "data=(x, y) with arrays as model.fit takes them."
        ) from None


def _gather(walked: Walk, batches: Iterator[Any]) -> tuple[Any, Any]:
    """Joins batches until there is enough."""
    rows: list[list[Array]] = []
    targets: list[Array] = []
    examples = size = 0
    for batch in batches:
        x, y = _pair(batch)
        arrays = _arrange(walked, x)
        if any(not array.ndim for array in arrays):
            raise InputError(
                "A calibration dataset must give batches. Received: single "
                "numbers. Call dataset.batch(32) first."
            )
        rows.append(arrays)
        if y is not None:
            targets.append(_one_target(y))
        examples += len(arrays[0])
        size += sum(a.nbytes for a in (*arrays, *targets[-1:]))
        if examples >= MOST_EXAMPLES or size >= MOST_BYTES:
            break
    if not rows:
        raise InputError(
            "Calibration data is empty. Received: a dataset without batches. "
            "Give at least a few dozen examples."
        )
    joined = [join(parts) for parts in zip(*rows, strict=True)]
    y = join(targets) if len(targets) == len(rows) else None
    return _by_structure(walked, joined), y


def join(parts: Sequence[Array]) -> Array:
    """Joins what batches hold.

    Raises:
        InputError: shapes differ.
    """
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise InputError(
            "Batches of calibration data must have one shape. Received: "
            f"{', '.join(map(str, sorted(shapes)))}. Cut or pad examples to "
            "one length."
        )
    return np.concatenate(parts)


def _by_structure(walked: Walk, arrays: Sequence[Array]) -> Any:
    if len(arrays) == 1:
        return arrays[0]
    return dict(zip(walked.input_names, arrays, strict=True))


def _arrange(walked: Walk, x: Any) -> list[Array]:
    """Puts inputs into the order of the walk."""
    names = walked.input_names
    if isinstance(x, Mapping):
        return _arrange_mapping(walked, x)
    values = list(x) if isinstance(x, list | tuple) else [x]
    if len(names) == 1 and len(values) != 1 and not _are_arrays(values):
        values = [x]
    if len(values) != len(names) or x is None:
        raise InputError(
            f"The model has {len(names)} inputs: {', '.join(names)}. "
            f"Received: calibration data for "
            f"{0 if x is None else len(values)}. Pass data=(x, y) with x an "
            "array, a list in this order, or a dict by these names."
        )
    return [np.asarray(value) for value in values]


def _are_arrays(values: Sequence[Any]) -> bool:
    return all(hasattr(value, "shape") for value in values)


def _arrange_mapping(walked: Walk, x: Mapping[str, Any]) -> list[Array]:
    places = dict(zip(walked.inputs, walked.input_names, strict=True))
    if isinstance(walked.input_structure, Mapping):
        # The keys of the model's own dict may differ from the names.
        keys = {slot.key: name for name, slot in walked.input_structure.items()}
        if set(keys.values()) <= set(x):
            places = keys
    missing = [name for name in places.values() if name not in x]
    if missing:
        raise InputError(
            f"Calibration data lacks the input {missing[0]!r}. Received: "
            f"{', '.join(map(repr, x))}. The model takes "
            f"{', '.join(map(repr, places.values()))}."
        )
    return [np.asarray(x[places[key]]) for key in walked.inputs]


def _check_input(
    where: str, expected: tuple[int | None, ...], value: Array
) -> None:
    shape = value.shape
    fits = len(shape) == len(expected) and all(
        want is None or have == want
        for have, want in zip(shape[1:], expected[1:], strict=True)
    )
    if not fits:
        wanted = ", ".join(
            "any" if size is None else str(size) for size in expected[1:]
        )
        raise InputError(
            f"Calibration data for {where} must have shape (samples, "
            f"{wanted}). Received: {shape}. {_mend(expected, shape)}"
        )
    if not len(value):
        raise InputError(
            f"Calibration data for {where} is empty. Received: {shape}. "
            "Give at least a few dozen examples."
        )
    if value.dtype.kind not in "fiub":
        raise InputError(
            f"Calibration data for {where} must be numbers. Received: dtype "
            f"{value.dtype}. Convert it to float32."
        )
    _check_finite(where, value)


def _mend(expected: tuple[int | None, ...], shape: tuple[int, ...]) -> str:
    if len(shape) == len(expected) - 1:
        if expected[-1] == 1 and shape[-1] != 1:
            return "Add the channel axis: data[..., None]."
        if all(
            want is None or want == have
            for want, have in zip(expected[1:], shape, strict=True)
        ):
            return "Add the sample axis: data[None]."
    return "Reshape, cut or resample it to what the model was built for."


def _one_target(y: Any) -> Array:
    if isinstance(y, Mapping | list | tuple) and not np.isscalar(
        next(iter(y.values()) if isinstance(y, Mapping) else iter(y), 0.0)
    ):
        raise InputError(
            "Information is measured against one target array. Received: a "
            f"{type(y).__name__} of {len(y)}. Pass the one that matters as y, "
            "or concatenate them along the last axis."
        )
    return np.asarray(y)


def _check_target(y: Any) -> Array:
    if y is None:
        raise InputError(
            "Calibration data lacks targets. Received: inputs alone. Pass "
            "data=(x, y)."
        )
    target = _one_target(y)
    if not target.ndim or not target.size:
        raise InputError(
            f"Calibration targets are empty. Received: shape {target.shape}. "
            "Give one target for each example."
        )
    if target.dtype.kind == "f":
        _check_finite("the target", target)
    return target


def _check_finite(where: str, value: Array) -> None:
    if value.dtype.kind != "f":
        return
    finite = np.isfinite(value)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"Calibration data for {where} must be finite. Received: "
            f"{value.size - int(finite.sum())} NaN or infinite values, the "
            f"first at {first}. Drop those examples, or find what made them."
        )


def _check_lengths(walked: Walk, loaded: Calibration) -> None:
    lengths = {
        f"input {name!r}": len(value)
        for name, value in zip(walked.input_names, loaded.inputs, strict=True)
    }
    if loaded.y is not None:
        lengths["the target"] = len(loaded.y)
    if len(set(lengths.values())) > 1:
        raise InputError(
            "Calibration data must have one length. Received: "
            + ", ".join(f"{n} samples for {w}" for w, n in lengths.items())
            + ". Pair inputs and targets example by example."
        )
