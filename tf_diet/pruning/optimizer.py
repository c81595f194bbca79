"""Optimizer slots through surgery: momentum follows its weight."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.errors import PlanError
from tf_diet.graph.labels import Mask, take
from tf_diet.graph.walk import compile_arguments, functional
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
    targets = {variable.name: variable for variable in target.variables}
    for variable in source.variables:
        if variable.name in ("iteration", "learning_rate"):
            # As an array of its own: JAX gives up those it trains on.
            value = keras.ops.convert_to_numpy(variable.value)
            targets[variable.name].assign(value)
    for variable, twin, axes in pairs:
        for slot, kind in _slots(source, variable):
            name = f"{_prefix(twin)}{kind}"
            if name in targets:
                value = np.asarray(keras.ops.convert_to_numpy(slot.value))
                # Some optimizers keep a number, or one a row, for a weight.
                if value.ndim == len(axes):
                    value = take(value, axes, alive)
                targets[name].assign(value)


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


def _prefix(variable: Any) -> str:
    return variable.path.replace("/", "_") + "_"


def _slots(optimizer: Any, variable: Any) -> Iterator[tuple[Any, str]]:
    prefix = _prefix(variable)
    for slot in optimizer.variables:
        if slot.name.startswith(prefix):
            yield slot, slot.name[len(prefix) :]
