# SPDX-License-Identifier: MIT
"""Equivalence on random data, for unknown operations without weights."""

from collections.abc import Sequence

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels, last
from tf_diet.graph.rule import own_variables

_TRIES = 3
_TOLERANCE = 1e-5
_UNKNOWN = 5
_BACKENDS = ("tensorflow", "jax", "jaxlib")
_REFUSALS = (TypeError, ValueError, RuntimeError, ArithmeticError, IndexError)


def passes(call: Call, inputs: Sequence[Labels]) -> list[Labels] | None:
    """Returns output labels of an unknown operation, if models stay equivalent.

    The operation is taken to pass its last axis through. It is run on random
    data, once with some channels at zero and once without them; what stays
    must come out the same. Inputs whose channels carry units are cut alike.

    Args:
        call: the application of an operation that has no rule.
        inputs: the labels of each input.

    Returns:
        The labels of the outputs, or None: the operation has weights, has
        units on another axis, cannot run, or is not equivalent.
    """
    seen = [x.channels for x in inputs if x.channels is not None]
    if own_variables(call.operation) or not seen:
        return None
    if any(len(x.known()) > 1 for x in inputs if x.channels is not None):
        return None
    if any(x.known() and x.channels is None for x in inputs):
        return None
    width = len(seen[0])
    if any(len(vector) != width for vector in seen):
        return None
    if any(spec.shape[-1:] != (width,) for spec in call.output_specs):
        return None
    rng = np.random.default_rng(0)
    for _ in range(_TRIES):
        if not _holds(call, inputs, rng, width):
            return None
    return [last(len(s.shape), seen[0]) for s in call.output_specs]


def _holds(
    call: Call, inputs: Sequence[Labels], rng: np.random.Generator, width: int
) -> bool:
    kept = np.sort(rng.permutation(width)[: max(width // 2, 1)])
    alive = np.zeros(width, bool)
    alive[kept] = True
    masked, small = {}, {}
    for key, spec, labels in zip(
        call.inputs, call.input_specs, inputs, strict=True
    ):
        shape = [_UNKNOWN if size is None else size for size in spec.shape]
        value = rng.normal(size=shape).astype(spec.dtype)
        carries = labels.channels is not None
        masked[key] = value * alive.astype(spec.dtype) if carries else value
        small[key] = value[..., kept] if carries else value
    try:
        full, cut = (
            keras.tree.flatten(call.operation(*args, **kwargs))
            for args, kwargs in (call.fill(masked), call.fill(small))
        )
    except Exception as error:
        # It cannot do with fewer channels; TensorFlow's errors are a family
        # of their own, and the core does not import it.
        family = type(error).__module__.split(".")[0]
        if family in _BACKENDS or isinstance(error, _REFUSALS):
            return False
        raise
    for one, other in zip(full, cut, strict=True):
        a = keras.ops.convert_to_numpy(one)[..., kept]
        b = keras.ops.convert_to_numpy(other)
        scale = float(np.abs(a).max(initial=0.0)) or 1.0
        if a.shape != b.shape or np.abs(a - b).max() > _TOLERANCE * scale:
            return False
    return True
