# SPDX-License-Identifier: MIT
"""How the sums of a layer follow linearly from what it reads.

Which weights belong to which channels is said by a rule's signature; a form
says how a weight, as a matrix, meets rows that are read off the input tensor.
Repair refits such a matrix by least squares.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.graph.calls import Call
from tf_diet.graph.operation import Operation


class LinearForm(ABC):
    """One kernel of a kind of layer, and the rows that it multiplies.

    A kernel is seen as matrices of shape (blocks, columns, outputs); the
    output channel of column j of block b is `b * outputs + j`. Dense layers
    have one block, grouped convolutions one a group. Subclass, implement the
    abstract methods, return an instance from `Rule.linear_forms`.

    Attributes:
        kernel: the name of the weight, as in signatures.
        bias: the name of the weight that is added, likewise.
        given: whether the rows are what the full model made, less what is
            gone, also in the small model: for what goes round in a layer.
    """

    kernel = "kernel"
    bias = "bias"
    given = False

    def refuses(self, call: Call) -> str:
        """Returns why this call cannot be repaired; empty if it can."""
        return ""

    def keys(self, call: Call) -> tuple[int, ...]:
        """Returns the tensors that `read` needs."""
        return call.inputs[:1]

    def read(self, call: Call, values: Mapping[int, Array]) -> Array:
        """Returns what the kernel reads, channels on the last axis."""
        return values[call.inputs[0]]

    @abstractmethod
    def positions(
        self, layer: Operation, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Returns the output positions of one example.

        Args:
            layer: the layer.
            shape: of what `read` returned, without the examples.
        """

    @abstractmethod
    def rows(self, layer: Operation, x: Array, at: Ints) -> Floats:
        """Returns the rows that the kernel multiplies.

        Args:
            layer: the layer.
            x: what `read` returned.
            at: flat numbers of (example, position).

        Shapes:
            Output: (blocks, rows, columns).
        """

    @abstractmethod
    def constant(self, layer: Operation, means: Floats) -> Floats:
        """Returns the row of an input that is the same everywhere.

        Args:
            layer: the layer.
            means: one value a channel.

        Shapes:
            Output: (blocks, columns).
        """

    def to_matrix(self, layer: Operation, kernel: Array) -> Array:
        """Returns a kernel as (blocks, columns, outputs)."""
        return kernel[None]

    def from_matrix(
        self, layer: Operation, matrix: Array, shape: tuple[int, ...]
    ) -> Array:
        """Returns the kernel of a shape that `to_matrix` took apart."""
        return matrix.reshape(shape)

    def bias_place(self, layer: Operation) -> tuple[int, ...]:
        """Returns where in the bias weight this kernel's bias is."""
        return ()

    def plain(self, layer: Operation) -> bool:
        """Says whether the sums are the outputs, with nothing after them."""
        return False


class LastAxisForm(LinearForm):
    """A kernel that multiplies the last axis at every position."""

    def positions(
        self, layer: Operation, shape: tuple[int, ...]
    ) -> tuple[int, ...]:
        """All that are not channels."""
        return shape[:-1]

    def rows(self, layer: Operation, x: Array, at: Ints) -> Floats:
        """The channels at each position."""
        return x.reshape(-1, x.shape[-1])[at].astype(np.float64)[None]

    def constant(self, layer: Operation, means: Floats) -> Floats:
        """The values themselves."""
        return means[None]
