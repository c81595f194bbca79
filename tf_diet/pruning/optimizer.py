# SPDX-License-Identifier: MIT
"""Optimizer slots through surgery: momentum follows its weight."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.errors import PlanError
from tf_diet.graph.labels import Mask, take
from tf_diet.graph.operation import Variable
from tf_diet.graph.walk import compile_arguments, functional, trained_by
from tf_diet.pruning.trim import Pair


def compile_like(
    model: keras.Model,
    small: keras.Model,
    pairs: Sequence[Pair],
    alive: Mask,
) -> None:
    """Compiles the trimmed model as the full one is, slots included.

    Does nothing when the full model is not compiled; the optimizer starts
    afresh when the full model's has not been built.

    Args:
        model: the full model.
        small: the trimmed model.
        pairs: which weights became which, from `trim_pairs`.
        alive: which labels live.

    Raises:
        PlanError: the optimizer or a metric cannot be made again.
    """
    if not model.compiled:
        return
    # Losses hold no state and are shared, so that they need not be written
    # down; what holds state is made again.
    names = _output_names(model, small)
    small.compile(
        **{
            entry: keras.tree.map_structure(_again, _renamed(value, names))
            for entry, value in compile_arguments(model).items()
        }
    )
    source, target = model.optimizer, small.optimizer
    if source is None or not source.built:
        return
    target.build(small.trainable_variables)
    slots, targets = _slots(source), _slots(target)
    own = zip(_own(source, slots), _own(target, targets), strict=True)
    for variable, twin in own:
        # As an array of its own: JAX gives up those it trains on.
        twin.assign(_read(variable))
    for variable, twin, axes in pairs:
        for kind, slot in slots.get(id(variable), {}).items():
            if kind in targets.get(id(twin), {}):
                value = np.asarray(_read(slot))
                # Some optimizers keep a number, or one a row, for a weight.
                if value.ndim == len(axes):
                    value = take(value, axes, alive)
                targets[id(twin)][kind].assign(value)


def _read(variable: Variable) -> Array:
    """Returns the value of a variable, also of one that devices share."""
    # What comes of an operation is a tensor, whatever the variable is.
    tensor = keras.ops.multiply(variable.value, 1)
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _again(value: Any) -> Any:
    """Returns what may be compiled into another model.

    Raises:
        PlanError: it holds state and cannot be made again.
    """
    if not isinstance(value, keras.optimizers.Optimizer | keras.metrics.Metric):
        return value
    try:
        return type(value).from_config(value.get_config())
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        raise PlanError(
            f"The {type(value).__name__} that the model is compiled with "
            f"cannot be made again from its config. Received: {error}. "
            "Register what it is made of with "
            "keras.saving.register_keras_serializable, or prune a model that "
            "is not compiled."
        ) from error


def _output_names(model: keras.Model, small: keras.Model) -> dict[str, str]:
    """Returns what each output of a model is called in the trimmed one."""
    names = (functional(m).output_names for m in (model, small))
    return dict(zip(*names, strict=True))


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Names outputs as the trimmed model does, where it is flat."""
    if not isinstance(value, Mapping):
        return value
    return {names.get(name, name): entry for name, entry in value.items()}


def _own(
    optimizer: keras.optimizers.Optimizer,
    slots: Mapping[int, Mapping[str, Variable]],
) -> list[Variable]:
    """Returns what an optimizer keeps for itself: steps, a loss scale."""
    kept = {id(slot) for held in slots.values() for slot in held.values()}
    return [v for v in optimizer.variables if id(v) not in kept]


def _slots(
    optimizer: keras.optimizers.Optimizer,
) -> dict[int, dict[str, Variable]]:
    """Returns, by the id of each weight, its slots by kind.

    Slots are named after weights, of which several may have one path, in
    nested models say: then they come in the order of those.
    """
    by_name: dict[str, list[Variable]] = {}
    for slot in optimizer.variables:
        by_name.setdefault(slot.name, []).append(slot)
    seen: dict[str, int] = {}
    found: dict[int, dict[str, Variable]] = {}
    for weight in trained_by(optimizer):
        prefix = f"{weight.path.replace('/', '_')}_"
        place = seen.get(prefix, 0)
        seen[prefix] = place + 1
        found[id(weight)] = {
            name.removeprefix(prefix): slots[place]
            for name, slots in by_name.items()
            if name.startswith(prefix) and place < len(slots)
        }
    return found
