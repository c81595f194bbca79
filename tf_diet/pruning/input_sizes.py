# SPDX-License-Identifier: MIT
"""How large inputs of unknown size must be for a model to give something."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import keras

from tf_diet.graph.calls import Call, TensorSpec, Walk, replay
from tf_diet.graph.forward import forward, unchanged
from tf_diet.graph.operation import Args, Kwargs, Tensor

USUAL = 12
# From steps to samples of a spectrogram's window.
_LONGER = (16, 24, 64, 128, 256, 1024, 4096, 16384)
_SEVERAL = 2


def filled(tensor: TensorSpec, size: int) -> list[int]:
    """Returns a shape without the batch, its unknown sizes filled in."""
    return [size if n is None else n for n in tensor.shape[1:]]


def open_sizes(walked: Walk) -> dict[int, int]:
    """Returns what the unknown sizes of each input may be.

    They are 12, or else the least of a few longer ones for which every call
    gives something. Inputs of two rates, such as frames beside samples, differ.
    """
    unknown = [
        key for key in walked.inputs if None in walked.tensors[key].shape[1:]
    ]
    usual = dict.fromkeys(unknown, USUAL)
    if not unknown or _gives(walked, usual):
        return usual
    apart = unknown if len(unknown) <= _SEVERAL else unknown[:1]
    choices = product((USUAL, *_LONGER), repeat=len(apart))
    for sizes in sorted(choices, key=sum):
        given = dict.fromkeys(unknown, sizes[0])
        given.update(zip(apart, sizes, strict=True))
        if _gives(walked, given):
            return given
    return usual


def _gives(walked: Walk, sizes: Mapping[int, int]) -> bool:
    """Says whether each call gives something for inputs of these sizes.

    TensorFlow convolves what is shorter than the kernel without an error
    (2.21), and its recurrent layers make numbers of no steps at all; Keras
    notices where it works out shapes, but not what spectrograms need.
    """
    shapes = [
        (
            walked.tensors[key].shape[0] or 1,
            *filled(walked.tensors[key], sizes.get(key, USUAL)),
        )
        for key in walked.inputs
    ]
    kinds = [walked.tensors[key].dtype for key in walked.inputs]
    specs = list(map(keras.KerasTensor, shapes, kinds))
    seen: list[int] = []

    def apply(call: Call, args: Args, kwargs: Kwargs) -> Any:
        results = call.operation.compute_output_spec(*args, **kwargs)
        for tensor in keras.tree.flatten(results):
            seen.extend(tensor.shape)
        return results

    def see(key: int, value: Tensor) -> None:
        seen.extend(value.shape)

    try:
        replay(walked, specs, apply)
        ones = list(map(keras.ops.ones, shapes, kinds))
        with unchanged(walked):
            forward(walked, ones, {call.index for call in walked.calls}, see)
    except Exception:  # noqa: BLE001 - every backend has errors of its own.
        return False
    return 0 not in seen
