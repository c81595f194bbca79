# SPDX-License-Identifier: MIT
"""What a model takes, and how data is put beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.errors import InputError

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Inputs:
    """The inputs of a model, in their order.

    Args:
        names: of the inputs.
        shapes: of the inputs, the batch axis first.
        keys: of the model's own dict, by the name of the input, where the
            model takes a dict; they may differ from the names.
        structure: in which the model takes them, with anything for leaves;
            None for one tensor by itself.
        what: the data is called, at the beginning of messages.
        exact: a dict may hold nothing but the inputs.
        targets: the loss of the model needs targets.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    keys: Mapping[str, str] = field(default_factory=dict)
    structure: Any = None
    what: str = "Calibration data"
    exact: bool = False
    targets: bool = False

    @property
    def inside(self) -> str:
        """What the data is called inside a sentence."""
        return self.what[:1].lower() + self.what[1:]

    @classmethod
    def of(cls, model: keras.Model, what: str) -> "Inputs | None":
        """Returns the inputs of a functional or Sequential model.

        Args:
            model: the model.
            what: the data is called in messages.

        Returns:
            None for a model that does not say what it takes.
        """
        tensors = getattr(model, "inputs", None)
        if not tensors:
            return None
        own = None if isinstance(model, keras.Sequential) else model.input
        keys = {}
        if isinstance(own, Mapping) and not is_nested(own):
            keys = {tensor.name: str(key) for key, tensor in own.items()}
        return cls(
            tuple(tensor.name for tensor in tensors),
            tuple(tuple(tensor.shape) for tensor in tensors),
            keys,
            own if isinstance(own, Mapping | list | tuple) else None,
            what,
            targets=getattr(model, "loss", None) is not None,
        )

    def arranged(self, x: Any) -> list[Any]:
        """Returns the data of each input in turn, as it was given.

        Args:
            x: an array, list, tuple or dict as the model takes it.

        Raises:
            InputError: inputs are missing or too many.
        """
        if is_nested(self.structure) and is_nested(x):
            return self._counted(keras.tree.flatten(x))
        if isinstance(x, Mapping):
            return self._by_name(x)
        values = list(x) if isinstance(x, list | tuple) else [x]
        if len(self.names) == 1 and len(values) != 1:
            # Numbers in lists are one array.
            values = values if all(map(is_array, values)) else [x]
        return self._counted([] if x is None else values)

    def _counted(self, values: list[Any]) -> list[Any]:
        if len(values) != len(self.names):
            raise InputError(
                f"The model has {len(self.names)} inputs: "
                f"{', '.join(self.names)}. Received: {self.inside} for "
                f"{len(values)}. Pass data=(x, y) with x "
                "an array, a list in this order, or a dict by these names."
            )
        return values

    def _by_name(self, x: Mapping[str, Any]) -> list[Any]:
        names = list(self.names)
        if self.keys and set(self.keys.values()) <= set(x):
            names = [self.keys[name] for name in names]
        missing = [name for name in names if name not in x]
        if missing:
            raise InputError(
                f"{self.what} lacks the input {missing[0]!r}. Received: "
                f"{', '.join(map(repr, x)) or 'an empty dict'}. The model "
                f"takes {', '.join(map(repr, names))}."
            )
        if self.exact and len(x) > len(names):
            raise InputError(
                f"The model takes the inputs {sorted(names)}. Received: "
                f"{sorted(x)}. Pass each by its name; states are kept by the "
                "model itself."
            )
        return [x[name] for name in names]

    def packed(self, arrays: Sequence[Any]) -> Any:
        """Returns arrays in the structure that the model takes."""
        if self.keys:
            pairs = zip(self.names, arrays, strict=True)
            return {self.keys[name]: array for name, array in pairs}
        if self.structure is None:
            return arrays[0] if len(arrays) == 1 else list(arrays)
        return keras.tree.pack_sequence_as(self.structure, list(arrays))

    def single(self, shapes: Sequence[Sequence[int | None]]) -> bool:
        """Says whether these are the shapes of one example, not of a batch.

        Args:
            shapes: of the data of each input.
        """
        pairs = zip(shapes, self.shapes, strict=True)
        return all(
            _fits(shape, want[1:]) or (not shape and want[1:] == (1,))
            for shape, want in pairs
        )

    def check_targets(self, y: Any) -> None:
        """Checks that there are targets.

        Raises:
            InputError: there are none.
        """
        if y is None:
            raise InputError(
                f"{self.what} lacks targets. Received: inputs alone. Pass "
                "data=(x, y)."
            )

    def checked(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """Returns the arrays of all examples, each of the input's shape.

        A plain column is taken for an input of width one, as Keras does.

        Raises:
            InputError: shapes do not fit, or values are no finite numbers.
        """
        found = []
        for name, want, array in zip(
            self.names, self.shapes, arrays, strict=True
        ):
            if array.ndim == 1 and tuple(want[1:]) == (1,):
                array = array[:, None]
            self._check(f"input {name!r}", want, array)
            found.append(array)
        return tuple(found)

    def _check(self, where: str, want: Shape, array: Array) -> None:
        shape = array.shape
        if not shape or not _fits(shape[1:], want[1:]):
            wanted = ", ".join(
                "any" if size is None else str(size) for size in want[1:]
            )
            raise InputError(
                f"{self.what} for {where} must have shape (samples, "
                f"{wanted}). Received: {shape}. {_mend(want, shape)}"
            )
        if not len(array):
            raise InputError(
                f"{self.what} for {where} is empty. Received: {shape}. Give "
                "at least a few dozen examples."
            )
        if array.dtype.kind not in "fiub":
            raise InputError(
                f"{self.what} for {where} must be numbers. Received: dtype "
                f"{array.dtype}. Convert it to float32."
            )
        check_finite(f"{self.what} for {where}", array)


def is_nested(structure: Any) -> bool:
    """Says whether a list, tuple or dict holds others of its kind."""
    kinds = (Mapping, list, tuple)
    values = structure.values() if isinstance(structure, Mapping) else structure
    return isinstance(structure, kinds) and any(
        isinstance(value, kinds) for value in values
    )


def is_array(value: Any) -> bool:
    """Says whether something is an array, tensor or table."""
    return hasattr(value, "shape")


def check_finite(what: str, array: Array) -> None:
    """Checks that there is no NaN and no infinity.

    Args:
        what: the array is called in the message.
        array: of any type; those that are no floats pass.

    Raises:
        InputError: there is.
    """
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{what} must be finite. Received: "
            f"{array.size - int(finite.sum())} NaN or infinite values, the "
            f"first at {first}. Drop those examples, or find what made them."
        )


def _fits(shape: Sequence[int | None], want: Sequence[int | None]) -> bool:
    return len(shape) == len(want) and all(
        None in (size, other) or size == other
        for size, other in zip(shape, want, strict=True)
    )


def _mend(want: Shape, shape: tuple[int, ...]) -> str:
    if len(shape) == len(want) - 1:
        if want[-1] == 1 and shape[-1] != 1:
            return "Add the channel axis: data[..., None]."
        if _fits(shape, want[1:]):
            return "Add the sample axis: data[None]."
    return "Reshape, cut or resample it to what the model was built for."
