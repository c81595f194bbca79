# SPDX-License-Identifier: MIT
"""The consumers that ship: dense, convolutional, depthwise, recurrent."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.pruning.repair.linear import (
    Array,
    Floats,
    Ints,
    Linear,
    register_consumer,
)


def _is_linear(layer: Any) -> bool:
    return layer.activation in (None, keras.activations.linear)


class _LastAxis(Linear):
    """A kernel that multiplies the last axis at every position."""

    def positions(self, layer: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """All that are not channels."""
        return shape[:-1]

    def rows(self, layer: Any, x: Array, at: Ints) -> Floats:
        """The channels at each position."""
        return x.reshape(-1, x.shape[-1])[at].astype(np.float64)[None]

    def constant(self, layer: Any, means: Floats) -> Floats:
        """The values themselves."""
        return means[None]


@register_consumer(keras.layers.Dense)
class DenseLinear(_LastAxis):
    """y = x W + b."""

    def refuses(self, call: Call) -> str:
        """A kernel that is kept as something else cannot be set."""
        layer = call.operation
        if getattr(layer, "lora_enabled", False):
            return "it has LoRA weights"
        if getattr(layer, "quantization_mode", None):
            return "it is quantised"
        return ""

    def plain(self, layer: Any) -> bool:
        """Where there is no activation."""
        return _is_linear(layer)


class _Window(Linear):
    """What plain and depthwise convolutions share: patches."""

    def refuses(self, call: Call) -> str:
        """Kernels that are kept as something else cannot be set."""
        if getattr(call.operation, "lora_enabled", False):
            return "it has LoRA weights"
        return ""

    def read(self, call: Call, values: Mapping[int, Array]) -> Array:
        """The feature map, channels last."""
        x = values[call.inputs[0]]
        first = call.operation.data_format == "channels_first"
        return np.moveaxis(x, 1, -1) if first else x

    def positions(self, layer: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Where the window stops."""
        return tuple(
            max((size + sum(around) - reach) // stride + 1, 0)
            for size, around, reach, stride in zip(
                shape[:-1],
                _padding(layer, shape[:-1]),
                _reach(layer),
                _strides(layer),
                strict=True,
            )
        )

    def patches(self, layer: Any, x: Array, at: Ints) -> Floats:
        """Returns what the window sees, shape (rows, taps, channels)."""
        around = _padding(layer, x.shape[1:-1])
        places = self.positions(layer, x.shape[1:])
        example, *where = np.unravel_index(at, (len(x), *places))
        x = np.pad(x, ((0, 0), *around, (0, 0)))
        taps = []
        for tap in np.ndindex(*layer.kernel_size):
            index = [
                place * stride + step * dilation
                for place, stride, step, dilation in zip(
                    where,
                    _strides(layer),
                    tap,
                    layer.dilation_rate,
                    strict=True,
                )
            ]
            taps.append(x[(example, *index)])
        return np.stack(taps, axis=1).astype(np.float64)

    def plain(self, layer: Any) -> bool:
        """Where there is no activation."""
        return _is_linear(layer)


def _strides(layer: Any) -> tuple[int, ...]:
    strides = layer.strides
    if isinstance(strides, int):
        return (strides,) * layer.rank
    return tuple(strides)


def _reach(layer: Any) -> tuple[int, ...]:
    """Returns how far the window reaches along each axis."""
    return tuple(
        (size - 1) * dilation + 1
        for size, dilation in zip(
            layer.kernel_size, layer.dilation_rate, strict=True
        )
    )


def _padding(layer: Any, sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Returns how many zeros stand before and after each axis."""
    if layer.padding == "valid":
        return [(0, 0)] * len(sizes)
    found = []
    for size, reach, stride in zip(
        sizes, _reach(layer), _strides(layer), strict=True
    ):
        last = (-(-size // stride) - 1) * stride
        total = max(last + reach - size, 0)
        before = reach - 1 if layer.padding == "causal" else total // 2
        found.append((before, max(total - before, 0)))
    return found


@register_consumer(
    keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D
)
class ConvolutionLinear(_Window):
    """A convolution; each of its groups is a block."""

    def rows(self, layer: Any, x: Array, at: Ints) -> Floats:
        """The patches, tap by tap, of each group."""
        rows = self.patches(layer, x, at)
        number, taps, _ = rows.shape
        rows = rows.reshape(number, taps, layer.groups, -1)
        rows = rows.transpose(2, 0, 1, 3)
        return rows.reshape(layer.groups, number, -1)

    def constant(self, layer: Any, means: Floats) -> Floats:
        """The values once for each tap: what the window sees inside."""
        taps = int(np.prod(layer.kernel_size))
        return np.tile(means.reshape(layer.groups, -1), (1, taps))

    def to_matrix(self, layer: Any, kernel: Array) -> Array:
        """Taps and channels of the input make the columns."""
        *window, seen, _ = kernel.shape
        columns = int(np.prod(window)) * seen
        matrix = kernel.reshape(columns, layer.groups, -1)
        return matrix.transpose(1, 0, 2)

    def from_matrix(
        self, layer: Any, matrix: Array, shape: tuple[int, ...]
    ) -> Array:
        """The other way round."""
        return matrix.transpose(1, 0, 2).reshape(shape)


@register_consumer(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
class DepthwiseLinear(_Window):
    """A depthwise convolution; each channel is a block.

    What it makes of a channel needs no other: it is refitted to what the
    layers before it have become.
    """

    def rows(self, layer: Any, x: Array, at: Ints) -> Floats:
        """The patches of each channel."""
        return self.patches(layer, x, at).transpose(2, 0, 1)

    def constant(self, layer: Any, means: Floats) -> Floats:
        """The value of a channel at each tap."""
        taps = int(np.prod(layer.kernel_size))
        return np.repeat(means[:, None], taps, axis=1)

    def to_matrix(self, layer: Any, kernel: Array) -> Array:
        """Taps make the columns."""
        *_, channels, depth = kernel.shape
        return kernel.reshape(-1, channels, depth).transpose(1, 0, 2)

    def from_matrix(
        self, layer: Any, matrix: Array, shape: tuple[int, ...]
    ) -> Array:
        """The other way round."""
        return matrix.transpose(1, 0, 2).reshape(shape)


@register_consumer(keras.layers.SimpleRNN, keras.layers.GRU, keras.layers.LSTM)
class InputLinear(_LastAxis):
    """What a recurrent layer makes of its input, all gates alike."""

    def bias_place(self, layer: Any) -> tuple[int, ...]:
        """A GRU that resets after the product has two rows of biases."""
        return (0,) if getattr(layer, "reset_after", False) else ()


@register_consumer(keras.layers.SimpleRNN, keras.layers.GRU, keras.layers.LSTM)
class StateLinear(_LastAxis):
    """What a recurrent layer makes of its last state, all gates alike.

    The states are those of the full model: what is fitted is one step, not
    what many steps make of it.
    """

    kernel = "recurrent_kernel"
    given = True

    def refuses(self, call: Call) -> str:
        """States must start from zero and meet the kernel as they are."""
        layer = call.operation
        if len(call.inputs) > 1:
            return "its first state or its mask is given by the model"
        if layer.stateful:
            return "it goes on from the batch before"
        if not getattr(layer, "reset_after", True):
            return "a gate stands between its state and the kernel"
        return ""

    def keys(self, call: Call) -> tuple[int, ...]:
        """The outputs, where they are all states."""
        if call.operation.return_sequences:
            return call.outputs[:1]
        return call.inputs[:1]

    def read(self, call: Call, values: Mapping[int, Array]) -> Array:
        """The state before each step."""
        (key,) = self.keys(call)
        after = values[key]
        if not call.operation.return_sequences:
            after = _all_states(call.operation, after)
        before = np.zeros_like(after)
        before[:, 1:] = after[:, :-1]
        return before

    def bias_place(self, layer: Any) -> tuple[int, ...]:
        """A GRU that resets after the product has two rows of biases."""
        return (1,) if getattr(layer, "reset_after", False) else ()


def _all_states(layer: Any, x: Array) -> Array:
    """Returns every state of a layer that returns the last one alone."""
    config = layer.get_config()
    zeros = {n: "zeros" for n in config if n.endswith("_initializer")}
    twin = type(layer).from_config(
        {
            **config,
            **zeros,
            "return_sequences": True,
            "return_state": False,
            "seed": 0,
            "name": f"{layer.name}_states",
        }
    )
    twin.build(x.shape)
    twin.set_weights(layer.get_weights())
    y = twin(keras.ops.convert_to_tensor(x))
    return np.array(keras.ops.convert_to_numpy(y))
