"""Recurrent layers: SimpleRNN, GRU and LSTM."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.errors import StreamingError
from tf_diet.graph.labels import Axis, Labels, Mask, last
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call


class _Recurrent(Rule):
    """One cell over time; a cell's gates live and die with it.

    Args of subclasses:
        gates: how many blocks of `units` columns the kernels have.
    """

    gates = 1
    n_states = 1

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `units` units; initial states are tied to them."""
        x, *states = inputs
        layer = call.operation
        units = fresh(layer.units)
        columns = np.tile(units, self.gates)
        bias: tuple[Axis, ...] = (columns,)
        if getattr(layer, "reset_after", False):
            bias = (None, columns)
        sequence = last(3 if layer.return_sequences else 2, units)
        returned = self.n_states if layer.return_state else 0
        frozen = [
            (axis, f"{call.path!r} runs along this axis")
            for axis in x.axes[:-1]
            if axis is not None
        ]
        ties = []
        for state in states:
            if state.channels is None:
                frozen.append(
                    (units, f"{call.path!r} starts from a state that is fixed")
                )
            else:
                ties.append((units, state.channels))
        return Signature(
            outputs=[sequence, *[last(2, units)] * returned],
            weights={
                "kernel": (x.channels, columns),
                "recurrent_kernel": (units, columns),
                "bias": bias,
            },
            sizes={"units": units},
            ties=ties,
            frozen=frozen,
        )

    def positions(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns the number of time steps."""
        return int(call.input_specs[0].shape[1] or 1)

    def state_spec(self, call: Call, batch: int) -> dict[str, tuple[int, ...]]:
        """Names one vector of units a state: "state", or "state_0", ..."""
        shape = (batch, call.operation.units)
        if self.n_states == 1:
            return {"state": shape}
        return {f"state_{number}": shape for number in range(self.n_states)}

    def step(
        self,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        state: Mapping[str, Any],
    ) -> tuple[Any, dict[str, Any]]:
        """Runs the layer's cell, without its time loop, on each frame."""
        layer = call.operation
        _check_causal(call)
        cell = type(layer.cell).from_config(
            {**layer.cell.get_config(), "name": f"{call.step_name}_cell"}
        )
        batch, frame, seen = args[0].shape
        # A reshape costs a microcontroller less than to unstack one frame.
        inputs = (
            [keras.ops.reshape(args[0], (batch, seen))]
            if frame == 1
            else keras.ops.unstack(args[0], axis=1)
        )
        outputs, states = [], list(state.values())
        for x in inputs:
            y, states = cell(x, states)
            outputs.append(keras.ops.reshape(y, (batch, 1, layer.units)))
        cell.set_weights(layer.cell.get_weights())
        if frame > 1:
            outputs = [keras.ops.concatenate(outputs, axis=1)]
        return outputs[0], dict(zip(state, states, strict=True))


def _check_causal(call: Call) -> None:
    layer = call.operation
    reason = (
        "it runs from the end to the start"
        if layer.go_backwards
        else "it answers once for a whole sequence"
        if not layer.return_sequences
        else "it also returns its last state"
        if layer.return_state
        else "its first state is given by the model"
        if len(call.inputs) > 1
        else ""
    )
    if reason:
        raise StreamingError(
            f"The layer {call.path!r} cannot run one frame at a time. "
            f"Received: {type(layer).__name__}, and {reason}. Build it with "
            "return_sequences=True and nothing else of the kind."
        )


@register_rule(keras.layers.SimpleRNN)
class SimpleRNNRule(_Recurrent):
    """Elman's recurrent layer."""


@register_rule(keras.layers.LSTM)
class LSTMRule(_Recurrent):
    """Long short-term memory: input, forget, cell and output gates."""

    gates = 4
    n_states = 2


@register_rule(keras.layers.GRU)
class GRURule(_Recurrent):
    """Gated recurrent unit: update, reset and candidate gates."""

    gates = 3
