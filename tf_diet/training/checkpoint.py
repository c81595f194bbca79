# SPDX-License-Identifier: MIT
"""The state inside a training: all that going on needs, in one file."""

import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet.errors import RunFolderError
from tf_diet.files import replacing

# What a file of another layout would be refused by.
_FORMAT = 1
_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Checkpoint:
    """Where a training is, and all that it has changed on the way.

    Args:
        epoch: that is under way.
        step: batches of it that are done.
        values: of the model and its optimizer, in their order.
        metrics: of the metrics, in an epoch that is under way.
        callbacks: the plain attributes of each callback, by number and class.
        stopped: a callback has ended the training.
        seconds: of training so far.
    """

    epoch: int
    step: int
    values: Sequence[np.ndarray]
    metrics: Sequence[np.ndarray] = ()
    callbacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stopped: bool = False
    seconds: float = 0.0

    @classmethod
    def of(
        cls,
        model: keras.Model,
        epoch: int,
        step: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        seconds: float = 0.0,
    ) -> "Checkpoint":
        """Returns the state of a model that is being trained."""
        return cls(
            epoch,
            step,
            _values(_lasting(model)),
            _values(model.metrics_variables) if step else (),
            {
                _name(number, callback): _plain(callback)
                for number, callback in enumerate(callbacks)
            },
            bool(model.stop_training),
            seconds,
        )

    def restore(
        self,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        """Puts a model and its callbacks into this state.

        Args:
            model: compiled, its metrics built if an epoch is under way.
            callbacks: those of the training, in the same order.

        Raises:
            RunFolderError: it is the state of another model.
        """
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        _assign(_lasting(model), self.values)
        if self.step:
            _assign(model.metrics_variables, self.metrics)
        for number, callback in enumerate(callbacks):
            kept = self.callbacks.get(_name(number, callback), {})
            vars(callback).update(kept)

    def save(self, path: Path) -> None:
        """Writes the state in one move."""
        arrays: dict[str, Any] = {}
        facts = {
            "format": _FORMAT,
            "epoch": self.epoch,
            "step": self.step,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "callbacks": _encode(self.callbacks, arrays),
            "values": _encode(self.values, arrays),
            "metrics": _encode(self.metrics, arrays),
        }
        arrays["facts"] = np.array(json.dumps(facts))
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint | None":
        """Reads a state; None where there is none.

        Raises:
            RunFolderError: the file is not such a state.
        """
        try:
            with np.load(path, allow_pickle=False) as read:
                facts = json.loads(str(read["facts"]))
                if facts["format"] != _FORMAT:
                    raise KeyError("format")
                held = [
                    _decode(facts[name], read.__getitem__)
                    for name in ("values", "metrics", "callbacks")
                ]
        except FileNotFoundError:
            return None
        except (KeyError, ValueError, zipfile.BadZipFile) as error:
            raise RunFolderError(
                f"The state of a training cannot be read. Received: {path}. "
                "Delete the file to start its round again."
            ) from error
        names = ("epoch", "step", "stopped", "seconds")
        return cls(
            values=held[0],
            metrics=held[1],
            callbacks=held[2],
            **{name: facts[name] for name in names},
        )


def _lasting(model: keras.Model) -> list[Any]:
    """Returns what a training changes for longer than an epoch, seeds too."""
    metrics = {id(variable) for variable in model.metrics_variables}
    found = [*model.variables, *model.optimizer.variables]
    return [variable for variable in found if id(variable) not in metrics]


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [value.shape for value in values]:
        raise RunFolderError(
            "The state of a training does not fit the model. Received: "
            f"{len(values)} values for {len(variables)} variables, or other "
            "shapes. Was a file of the run folder replaced? Delete its "
            "state_*.npz to start the round again."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _known(value: np.ndarray) -> np.ndarray:
    """Returns the bytes of types that NumPy's files do not know."""
    unknown = value.dtype.kind == "V"
    return value.view(f"u{value.dtype.itemsize}") if unknown else value


def _name(number: int, callback: keras.callbacks.Callback) -> str:
    return f"{number} {type(callback).__name__}"


def _plain(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Returns what a callback remembers, so far as it is plain data."""
    held = {k: v for k, v in vars(callback).items() if k != "params"}
    return {name: value for name, value in held.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        keys = all(isinstance(key, str) for key in value)
        return keys and all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biufV"
    if keras.ops.is_tensor(value):
        # Such as the best loss so far, which is a tensor on JAX.
        return True
    return isinstance(value, _PLAIN)


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Returns a value as JSON knows it, with its arrays put aside."""
    if isinstance(value, Mapping):
        return {"map": {k: _encode(v, arrays) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_encode(item, arrays) for item in value]}
    if keras.ops.is_tensor(value):
        value = keras.ops.convert_to_numpy(value)
    if isinstance(value, np.ndarray | np.generic):
        name = f"a{len(arrays)}"
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        arrays[name] = _known(np.asarray(value))
        return {kind: [name, value.dtype.name]}
    return value


def _decode(value: Any, array: Callable[[str], np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "map":
        return {key: _decode(item, array) for key, item in held.items()}
    if kind in ("array", "scalar"):
        name, dtype = held
        read = array(name).view(np.dtype(dtype))
        return read if kind == "array" else read[()]
    items = [_decode(item, array) for item in held]
    return tuple(items) if kind == "tuple" else items
