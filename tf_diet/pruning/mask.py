# SPDX-License-Identifier: MIT
"""The masked model: what a trimmed model must be equivalent to.

A trimmed model must compute what the full model computes when everything that
is dead is zero: the dead slices of every weight *and* the dead channels of
every tensor. Weights alone would let biases and statistics revive a unit;
tensors alone would miss what a recurrent layer keeps inside.
"""

from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array, Ints
from tf_diet.graph.calls import Call, replay
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.operation import Args, Kwargs, Tensor
from tf_diet.pruning.rebuild import fresh_inputs, rebuild
from tf_diet.pruning.trim import Scale, fill


def mask(model: keras.Model, graph: ChannelGraph, alive: Mask) -> keras.Model:
    """Returns a copy of a model, of full size, with its dead units at zero.

    Args:
        model: the full model; it is not touched.
        graph: its channel graph.
        alive: which labels live.

    Returns:
        A functional model, not compiled.
    """
    return Masked(model, graph).model(alive)


class Masked:
    """A copy of a model whose units can be put to zero, again and again.

    Args:
        model: the full model; it is not touched.
        graph: its channel graph.
        untrained: run all layers as in inference, those too that the model
            calls with `training=True`.
    """

    def __init__(
        self,
        model: keras.Model,
        graph: ChannelGraph,
        *,
        untrained: bool = False,
    ) -> None:
        self.untrained = untrained
        self.name = f"{model.name}_masked"
        self.graph = graph
        _, self.made = rebuild(model, graph, graph.everything, nested=False)

    def model(self, alive: Mask) -> keras.Model:
        """Returns a model under one mask; it shares weights with the next.

        Args:
            alive: which labels live.
        """
        walked = self.graph.walk
        values = self._replay(alive, fresh_inputs(self.graph))
        return keras.Model(
            walked.pack(walked.input_structure, values),
            walked.pack(walked.output_structure, values),
            name=self.name,
        )

    def outputs(self, alive: Mask, x: Any) -> list[Array]:
        """Returns the flattened outputs under one mask.

        Args:
            alive: which labels live.
            x: inputs as the model takes them.
        """
        walked = self.graph.walk
        slots = keras.tree.flatten(walked.input_structure)
        given = {
            slot.key: keras.ops.convert_to_tensor(
                value, dtype=walked.tensors[slot.key].dtype
            )
            for slot, value in zip(slots, keras.tree.flatten(x), strict=True)
        }
        values = self._replay(alive, [given[key] for key in walked.inputs])
        return [keras.ops.convert_to_numpy(values[k]) for k in walked.outputs]

    def _replay(self, alive: Mask, inputs: list[Tensor]) -> dict[int, Tensor]:
        graph = self.graph
        for call in graph.walk.calls:
            fill(call, self.made[call.index], graph, alive, _silenced)

        def apply(call: Call, args: Args, kwargs: Kwargs) -> Any:
            told = call.untrained if self.untrained else call.told
            result = self.made[call.index](*args, **told(kwargs))
            values = [
                _silence(value, graph.labels[key], alive)
                for key, value in zip(
                    call.outputs, keras.tree.flatten(result), strict=True
                )
            ]
            return keras.tree.pack_sequence_as(result, values)

        return replay(graph.walk, inputs, apply)


def _silenced(
    value: Array, axes: tuple[Axis, ...], alive: Mask, scale: Scale | None
) -> Array:
    """A masked layer still divides by all its channels: nothing to scale."""
    return zero(value, axes, alive)


def zero(value: Array, axes: tuple[Axis, ...], alive: Mask) -> Array:
    """Returns a copy of an array with its dead positions at zero."""
    value = np.array(value)
    for place, axis in enumerate(axes):
        if axis is not None:
            index: list[slice | Ints] = [slice(None)] * value.ndim
            index[place] = np.flatnonzero(~alive[axis])
            value[tuple(index)] = 0
    return value


class _Silence(keras.layers.Layer):
    """Puts zeros at dead positions.

    It chooses instead of multiplying, since a dead channel need not be finite
    (0 / 0, log 0), and is a layer, since operations lose the masks of time
    steps that Keras hangs on tensors.

    Args:
        living: per axis that has dead positions, booleans that broadcast.
    """

    def __init__(self, living: list[Mask]) -> None:
        super().__init__(autocast=False)
        self.living = living
        self.supports_masking = True

    def call(self, value: Tensor) -> Tensor:
        for positions in self.living:
            value = keras.ops.where(
                positions, value, keras.ops.zeros_like(value)
            )
        return value

    def compute_output_spec(
        self, value: keras.KerasTensor
    ) -> keras.KerasTensor:
        return keras.KerasTensor(value.shape, value.dtype)


def _silence(value: Tensor, labels: Labels, alive: Mask) -> Tensor:
    living = [
        _along(value, place, axis, alive)
        for place, axis in enumerate(labels.axes)
        if axis is not None and not alive[axis].all()
    ]
    return _Silence(living)(value) if living else value


def _along(value: Tensor, place: int, axis: Vector, alive: Mask) -> Mask:
    shape = [1] * len(value.shape)
    shape[place] = len(axis)
    return alive[axis].reshape(shape)
