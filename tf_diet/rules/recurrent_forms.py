# SPDX-License-Identifier: MIT
"""The linear forms of recurrent layers: of their inputs and their states."""

from collections.abc import Mapping

import keras
import numpy as np

from tf_diet.arrays import Array
from tf_diet.graph.calls import Call
from tf_diet.graph.linear_form import LastAxisForm
from tf_diet.graph.operation import Operation


class InputForm(LastAxisForm):
    """The kernel that multiplies the input, the gates side by side."""

    def bias_place(self, layer: Operation) -> tuple[int, ...]:
        """Returns a row of a GRU with reset_after, which has two of biases."""
        return (0,) if getattr(layer, "reset_after", False) else ()


class StateForm(LastAxisForm):
    """The kernel that multiplies the state before, the gates side by side.

    The states are those of the full model: what is fitted is one step, not
    what many steps make of it.
    """

    kernel = "recurrent_kernel"
    given = True

    def refuses(self, call: Call) -> str:
        """Returns why the states that the kernel reads are not known."""
        layer = call.operation
        if len(call.inputs) > 1:
            return "its first state or its mask is given by the model"
        if layer.stateful:
            return "it goes on from the batch before"
        if not getattr(layer, "reset_after", True):
            return "a gate stands between its state and the kernel"
        return ""

    def keys(self, call: Call) -> tuple[int, ...]:
        """Returns the outputs if these are all the states, else the inputs."""
        if call.operation.return_sequences:
            return call.outputs[:1]
        return call.inputs[:1]

    def read(self, call: Call, values: Mapping[int, Array]) -> Array:
        """Returns the state before each step."""
        (key,) = self.keys(call)
        after = values[key]
        if not call.operation.return_sequences:
            after = _all_states(call.operation, after)
        before = np.zeros_like(after)
        before[:, 1:] = after[:, :-1]
        return before

    def bias_place(self, layer: Operation) -> tuple[int, ...]:
        """Returns a row of a GRU with reset_after, which has two of biases."""
        return (1,) if getattr(layer, "reset_after", False) else ()


def _all_states(layer: Operation, x: Array) -> Array:
    """Returns every state of a layer that returns only the last one."""
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
