# SPDX-License-Identifier: MIT
"""Layers that loop over time, run as one compiled function.

TensorFlow runs such a loop operation by operation where nothing compiles it,
and ranking a recurrent layer would take longer than all else.
"""

from collections.abc import Sequence
from typing import Any

import keras

from tf_diet.graph.calls import Call
from tf_diet.graph.operation import Args, Kwargs, Operation, Tensor
from tf_diet.graph.rule_table import rule_for


class Loops:
    """Runs calls; what loops over time is compiled once for all batches."""

    def __init__(self) -> None:
        self._compiled: dict[int, _Loop] = {}

    def run(self, call: Call, args: Args, kwargs: Kwargs) -> Any:
        """Returns what a call gives in inference.

        Args:
            call: the call.
            args: its arguments, with tensors in place of slots.
            kwargs: likewise.
        """
        rule = rule_for(call.operation)
        loops = rule is not None and rule.loops_over_time
        if not loops or keras.backend.backend() != "tensorflow":
            return call.operation(*args, **kwargs)
        leaves = keras.tree.flatten((args, kwargs))
        if any(hasattr(leaf, "_keras_mask") for leaf in leaves):
            # Masks travel on tensors, and would be left behind.
            return call.operation(*args, **kwargs)
        if call.index not in self._compiled:
            self._compiled[call.index] = _Loop(call.operation)
        return self._compiled[call.index].run(args, kwargs)


class _Loop(keras.Model):
    """A model of one layer, with its arguments as a list of tensors."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(autocast=False, name="loop")
        self.operation = operation

    def run(self, args: Args, kwargs: Kwargs) -> Any:
        """Returns what the layer gives, as tensors."""
        leaves = keras.tree.flatten((args, kwargs))
        tensors = list(filter(keras.ops.is_tensor, leaves))

        def arguments(given: Sequence[Tensor]) -> Any:
            rest = iter(given)
            return keras.tree.pack_sequence_as(
                (args, kwargs),
                [
                    next(rest) if keras.ops.is_tensor(leaf) else leaf
                    for leaf in leaves
                ],
            )

        self.arguments = arguments
        return keras.tree.map_structure(
            keras.ops.convert_to_tensor, self.predict_on_batch(tensors)
        )

    def call(self, tensors: Sequence[Tensor]) -> Any:
        """Calls the layer, when the function is traced."""
        args, kwargs = self.arguments(tensors)
        return self.operation(*args, **kwargs)
