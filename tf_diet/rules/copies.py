# SPDX-License-Identifier: MIT
"""Layers of a step model: copies with the same weights."""

from collections.abc import Sequence
from typing import Any

import keras

from tf_diet.errors import StreamingError
from tf_diet.graph.operation import Operation, weights_of


def copied(
    layer: Operation,
    name: str,
    shape: Sequence[int | None] | None = None,
    **changes: Any,
) -> Any:
    """Returns a layer with the same weights, which nothing has called yet.

    Args:
        layer: a layer that is built.
        name: of the copy.
        shape: of its input, where that matters and is another.
        changes: entries of the config that differ.

    Raises:
        StreamingError: its config does not give it again.
    """
    config = {**layer.get_config(), "name": name, **changes}
    try:
        copy = type(layer).from_config(config)
        # An activation or a merge has nothing to build.
        if shape is not None:
            copy.build(tuple(shape))
        elif weights_of(layer):
            copy.build_from_config(layer.get_build_config())
        # One that is built without its bias lacks the last weight.
        for new, old in zip(
            weights_of(copy), weights_of(layer), strict=not changes
        ):
            # JAX would keep one array for both, and give it up with either.
            new.assign(keras.ops.copy(old.value))
    except (AttributeError, TypeError, ValueError) as error:
        raise StreamingError(
            f"The layer {layer.name!r} cannot be copied into a step model. "
            f"Received: {type(layer).__name__}, whose config does not give it "
            f"again ({' '.join(str(error).split())[:200]}). Give it a "
            "get_config that names all arguments of its constructor."
        ) from error
    return copy


def renamed(operation: Operation, name: str) -> Any:
    """Returns an operation of `keras.ops` under another name.

    Args:
        operation: an operation without weights.
        name: of the copy.
    """
    try:
        config = {**operation.get_config(), "name": name}
        return type(operation).from_config(config)
    except (NotImplementedError, TypeError, ValueError):
        # Arrays in the constructor have no config.
        return operation
