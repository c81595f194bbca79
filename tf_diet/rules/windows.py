# SPDX-License-Identifier: MIT
"""Windows that slide over a feature map: their positions and patches."""

from collections.abc import Mapping

import numpy as np

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.graph.calls import Call
from tf_diet.graph.linear_form import LinearForm
from tf_diet.graph.operation import Operation
from tf_diet.rules.activation import is_linear


def strides(layer: Operation) -> tuple[int, ...]:
    """Returns by how much the window moves on along each axis."""
    given = layer.strides
    if given is None:
        return reach(layer)
    return _each(layer, given)


def reach(layer: Operation) -> tuple[int, ...]:
    """Returns how far the window reaches along each axis."""
    pooled = getattr(layer, "pool_size", None)
    if pooled is not None:
        return _each(layer, pooled)
    return tuple(
        (size - 1) * dilation + 1
        for size, dilation in zip(
            _each(layer, layer.kernel_size),
            _each(layer, layer.dilation_rate),
            strict=True,
        )
    )


def _each(layer: Operation, given: int | tuple[int, ...]) -> tuple[int, ...]:
    rank = getattr(layer, "rank", 1)
    return (given,) * rank if isinstance(given, int) else tuple(given)


def padding(layer: Operation, sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Returns how many zeros stand before and after each axis."""
    if layer.padding == "valid":
        return [(0, 0)] * len(sizes)
    found = []
    for size, window, stride in zip(
        sizes, reach(layer), strides(layer), strict=True
    ):
        last = (-(-size // stride) - 1) * stride
        total = max(last + window - size, 0)
        before = window - 1 if layer.padding == "causal" else total // 2
        found.append((before, max(total - before, 0)))
    return found


class WindowForm(LinearForm):
    """What plain and depthwise convolutions share: the patches they read."""

    def refuses(self, call: Call) -> str:
        """Returns why a kernel that is stored in another form cannot be set."""
        if getattr(call.operation, "lora_enabled", False):
            return "it has LoRA weights"
        return ""

    def read(self, call: Call, values: Mapping[int, Array]) -> Array:
        """Returns the feature map, channels last."""
        x = values[call.inputs[0]]
        first = call.operation.data_format == "channels_first"
        return np.moveaxis(x, 1, -1) if first else x

    def positions(
        self, layer: Operation, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Returns the output positions of the window."""
        return tuple(
            max((size + sum(around) - window) // stride + 1, 0)
            for size, around, window, stride in zip(
                shape[:-1],
                padding(layer, shape[:-1]),
                reach(layer),
                strides(layer),
                strict=True,
            )
        )

    def patches(self, layer: Operation, x: Array, at: Ints) -> Floats:
        """Returns what the window sees, shape (rows, taps, channels)."""
        around = padding(layer, x.shape[1:-1])
        places = self.positions(layer, x.shape[1:])
        example, *where = np.unravel_index(at, (len(x), *places))
        x = np.pad(x, ((0, 0), *around, (0, 0)))
        taps = []
        for tap in np.ndindex(*layer.kernel_size):
            index = [
                place * stride + step * dilation
                for place, stride, step, dilation in zip(
                    where,
                    strides(layer),
                    tap,
                    layer.dilation_rate,
                    strict=True,
                )
            ]
            taps.append(x[(example, *index)])
        return np.stack(taps, axis=1).astype(np.float64)

    def plain(self, layer: Operation) -> bool:
        """Says whether there is no activation."""
        return is_linear(layer)


class ConvolutionForm(WindowForm):
    """A convolution; each of its groups is a block."""

    def rows(self, layer: Operation, x: Array, at: Ints) -> Floats:
        """Returns the patches of each group, tap by tap."""
        rows = self.patches(layer, x, at)
        number, taps, _ = rows.shape
        rows = rows.reshape(number, taps, layer.groups, -1)
        rows = rows.transpose(2, 0, 1, 3)
        return rows.reshape(layer.groups, number, -1)

    def constant(self, layer: Operation, means: Floats) -> Floats:
        """Returns the values once for each tap, as inside a feature map."""
        taps = int(np.prod(layer.kernel_size))
        return np.tile(means.reshape(layer.groups, -1), (1, taps))

    def to_matrix(self, layer: Operation, kernel: Array) -> Array:
        """Returns taps and input channels as columns, for each group."""
        *window, seen, _ = kernel.shape
        columns = int(np.prod(window)) * seen
        matrix = kernel.reshape(columns, layer.groups, -1)
        return matrix.transpose(1, 0, 2)

    def from_matrix(
        self, layer: Operation, matrix: Array, shape: tuple[int, ...]
    ) -> Array:
        """Returns the kernel of such a matrix."""
        return matrix.transpose(1, 0, 2).reshape(shape)


class DepthwiseForm(WindowForm):
    """A depthwise convolution; each channel is a block.

    No other channel contributes to an output, so it is refitted only to
    changes in the layers before it.
    """

    def rows(self, layer: Operation, x: Array, at: Ints) -> Floats:
        """Returns the patches of each channel."""
        return self.patches(layer, x, at).transpose(2, 0, 1)

    def constant(self, layer: Operation, means: Floats) -> Floats:
        """Returns the value of a channel at each tap."""
        taps = int(np.prod(layer.kernel_size))
        return np.repeat(means[:, None], taps, axis=1)

    def to_matrix(self, layer: Operation, kernel: Array) -> Array:
        """Returns taps as columns, for each channel."""
        *_, channels, depth = kernel.shape
        return kernel.reshape(-1, channels, depth).transpose(1, 0, 2)

    def from_matrix(
        self, layer: Operation, matrix: Array, shape: tuple[int, ...]
    ) -> Array:
        """Returns the kernel of such a matrix."""
        return matrix.transpose(1, 0, 2).reshape(shape)
