"""Recurrent layers: SimpleRNN, GRU and LSTM."""

from collections.abc import Sequence

import keras
import numpy as np

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
