"""Optimizer slots through surgery: momentum follows its weight."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.labels import Mask
from tf_diet.pruning.trim import Pair, take


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
    """
    if not model.compiled:
        return
    small.compile_from_config(model.get_compile_config())
    source, target = model.optimizer, small.optimizer
    if source is None or not source.built:
        return
    target.build(small.trainable_variables)
    targets = {variable.name: variable for variable in target.variables}
    for variable in source.variables:
        if variable.name in ("iteration", "learning_rate"):
            targets[variable.name].assign(variable.value)
    for variable, twin, axes in pairs:
        for slot, kind in _slots(source, variable):
            name = f"{_prefix(twin)}{kind}"
            if name in targets:
                value = np.asarray(keras.ops.convert_to_numpy(slot.value))
                # Some optimizers keep a number, or one a row, for a weight.
                if value.ndim == len(axes):
                    value = take(value, axes, alive)
                targets[name].assign(value)


def _prefix(variable: Any) -> str:
    return variable.path.replace("/", "_") + "_"


def _slots(optimizer: Any, variable: Any) -> Iterator[tuple[Any, str]]:
    prefix = _prefix(variable)
    for slot in optimizer.variables:
        if slot.name.startswith(prefix):
            yield slot, slot.name[len(prefix) :]
