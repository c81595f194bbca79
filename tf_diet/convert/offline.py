# SPDX-License-Identifier: MIT
"""Compares a step model with the model of whole sequences that it is of."""

from collections.abc import Callable
from math import ceil, lcm
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.convert.schedule import Schedule, Timing
from tf_diet.convert.step_runner import StepRunner
from tf_diet.errors import StreamingError

Offline = Callable[[keras.Model, list[Array]], Any]

_CHECKED_FRAMES = 8
_TOLERANCE = 1e-3


def check(model: keras.Model, streaming: StepRunner, plan: Schedule) -> None:
    """Compares the step model with the model on random frames.

    Raises:
        StreamingError: they differ.
    """
    calls = _CHECKED_FRAMES + ceil(plan.latency / streaming.frame)
    if plan.exact:
        calls = max(1, min(calls, plan.exact // streaming.frame))
    for name, error in compare(model, streaming, plan, calls).items():
        if isinstance(error, str) or not error <= _TOLERANCE:
            what = error if isinstance(error, str) else f"{error:.3g} apart"
            raise StreamingError(
                f"The step model does not give what the model gives at "
                f"{name!r}. Received: a difference on random frames "
                f"({what}). A layer before it mixes time steps although its "
                "rule calls it pointwise in time: make it causal."
            )


def compare(
    model: keras.Model,
    streaming: StepRunner,
    plan: Schedule,
    calls: int,
    seed: int = 0,
    offline: Offline | None = None,
) -> dict[str, float | str]:
    """Returns how far a step model and the model are apart on random frames.

    Args:
        model: of whole sequences.
        streaming: the step model.
        plan: from which it was built.
        calls: how many frames.
        seed: of the frames.
        offline: runs the model on a list of inputs; just calls it where left
            out. Compiling is worth it for long sequences.

    Returns:
        For each output the largest difference, relative to the largest value;
        or what is wrong with its shape.
    """
    flat = keras.Model(list(model.inputs), list(model.outputs))
    rng = np.random.default_rng(seed)
    # Whole steps of every input.
    unit = lcm(*(t.hold for t in plan.inputs))
    calls = ceil(calls / unit) * unit
    lengths = []
    for tensor, timing in zip(flat.inputs, plan.inputs, strict=True):
        steps = int(timing.rate * streaming.frame * calls)
        fixed = timing.timed and tensor.shape[1] is not None
        lengths.append(int(tensor.shape[1]) if fixed else steps)
    # A model of a fixed length may not fill its last frame.
    held = [
        int(length * t.hold / t.steps(streaming.frame))
        for length, t in zip(lengths, plan.inputs, strict=True)
        if t.timed
    ]
    calls = min([calls, *held])
    filled = all(
        int(t.rate * streaming.frame * calls) == length
        for length, t in zip(lengths, plan.inputs, strict=True)
        if t.timed
    )
    whole, sequences = [], {}
    for tensor, details, timing, length in zip(
        flat.inputs, streaming.free_inputs, plan.inputs, lengths, strict=True
    ):
        values = _random(rng, tensor, length)
        steps = calls * timing.steps(streaming.frame)
        whole.append(values)
        sequences[details.name] = (
            np.repeat(values, timing.hold, axis=1)[0, :steps]
            if timing.timed
            else np.repeat(values, calls, axis=0)
        )
    stepped = streaming.run(sequences)
    streaming.reset()
    found = (
        flat(whole, training=False) if offline is None else offline(flat, whole)
    )
    several = isinstance(stepped, dict)
    return {
        details.name: _apart(
            stepped[details.name] if several else stepped,
            keras.ops.convert_to_numpy(expected),
            timing,
        )
        for details, expected, timing in zip(
            streaming.free_outputs,
            keras.tree.flatten(found),
            plan.outputs,
            strict=True,
        )
        if filled or not timing.running
    }


def _random(rng: np.random.Generator, tensor: Any, time: int) -> Array:
    shape = [1, *(time if n is None else n for n in tensor.shape[1:])]
    if len(shape) > 2:
        shape[1] = time
    if str(tensor.dtype).startswith("float"):
        return rng.standard_normal(shape).astype(str(tensor.dtype))
    return rng.integers(0, 2, shape).astype(str(tensor.dtype))


def _apart(got: Array, wanted: Array, timing: Timing) -> float | str:
    """Returns the largest difference of the steps that both have."""
    if timing.timed:
        wanted, got = wanted[0], got[-timing.offset :]
        count = min(len(wanted), len(got))
        wanted, got = wanted[:count], got[:count]
    elif timing.running:
        got = got[-1:]
    else:
        wanted = np.broadcast_to(wanted, (len(got), *wanted.shape[1:]))
    if wanted.shape != got.shape:
        return f"shape {got.shape} against {wanted.shape}"
    if not wanted.size:
        return 0.0
    same = np.isnan(wanted) & np.isnan(got)
    largest = np.max(np.abs(wanted[~same]), initial=1e-2)
    gaps = np.abs(np.where(same, 0, wanted - got))
    return float(np.max(gaps) / largest)
