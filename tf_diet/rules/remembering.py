# SPDX-License-Identifier: MIT
"""The step form of causal attention: keys and values of a bounded past."""

import copy
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.operation import Args, Kwargs, Tensor
from tf_diet.graph.rule import Rule
from tf_diet.graph.timing import Axes, StepForm, check_apart, refused
from tf_diet.rules.contraction import bind, bound
from tf_diet.rules.copies import copied

# The score of what is not to be seen: nothing beside any score above -80 that
# is seen, and near enough for integers to hold both.
_UNSEEN = -100.0


class Remembering(Rule):
    """Keeps the keys and values of the steps before.

    Attributes:
        past: how many steps a query sees, its own included; 0 is no bound.
    """

    past = 0

    def bounded(self, past: int) -> Rule:
        """Returns the rule with a bound."""
        rule = copy.copy(self)
        rule.past = past
        return rule

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns the form: each step sees itself and those before it."""
        given = bound(call)
        times = dict(zip(call.inputs, axes, strict=True))
        names = [n for n in ("query", "value", "key") if _is_slot(given, n)]
        timed = {n for n in names if times[given[n].key] is not None}
        check_apart(
            call,
            axes,
            [p for p in range(len(call.input_specs[0].shape)) if p != 1],
        )
        causal = bool(given.get("use_causal_mask"))
        if timed == {"query"} and not causal:
            return StepForm(outputs=(1,) * len(call.outputs))
        reason, remedy = _hindrance(call, given, timed == set(names), causal)
        if not reason and not self.past:
            reason = "which sees the whole past, and memory has a bound"
            remedy = (
                "Say how many steps it may see: "
                "to_streaming(model, attention_window=...)."
            )
        if reason:
            raise refused(call, reason, remedy)
        return StepForm(outputs=(1,), carries=True, exact=self.past)

    def _cached(self, call: Call) -> bool:
        return bool(bound(call).get("use_causal_mask"))

    def state_spec(self, call: Call, batch: int) -> dict[str, tuple[int, ...]]:
        """Names keys and values of the past, and which of them there are."""
        layer, past = call.operation, self.past - 1
        if not self._cached(call) or not past:
            return {}
        return {
            "keys": (batch, past, layer.num_heads, layer.key_dim),
            "values": (batch, past, layer.num_heads, layer.value_dim),
            "seen": (batch, past),
        }

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Attends to the keys kept and to those of this call."""
        layer = call.operation
        if not self._cached(call):
            return layer(*args, **kwargs), {}
        given = bind(layer, args, kwargs)
        query, value = given["query"], given["value"]
        steps, past = query.shape[1], self.past - 1
        key = value if given.get("key") is None else given["key"]
        parts = {
            name: copied(
                part,
                f"{call.step_name}_{name}",
                shape,
                output_shape=(steps, *part.get_config()["output_shape"][1:]),
            )
            for name, part, shape in (
                ("query", layer.query_dense, query.shape),
                ("key", layer.key_dense, key.shape),
                ("value", layer.value_dense, value.shape),
                (
                    "output",
                    layer.output_dense,
                    (1, steps, layer.num_heads, layer.value_dim),
                ),
            )
        }
        queries = parts["query"](query)
        new = {
            "keys": parts["key"](key),
            "values": parts["value"](value),
            "seen": np.ones((1, steps), "float32"),
        }
        found, after = new, {}
        if past:
            found = {
                name: keras.ops.concatenate([state[name], new[name]], axis=1)
                for name in new
            }
            after = {name: joined[:, steps:] for name, joined in found.items()}
        scores = keras.ops.einsum("bthd,bshd->bhts", queries, found["keys"])
        scores = scores * float(layer.key_dim) ** -0.5
        # Query t sees the keys t to t + past.
        ahead = np.arange(past + steps) - np.arange(steps)[:, None]
        seen = ((ahead >= 0) & (ahead <= past)).astype("float32")
        there = keras.ops.reshape(found["seen"], (1, 1, 1, past + steps))
        seen = there * seen[None, None]
        scores = scores * seen + (1.0 - seen) * _UNSEEN
        weights = keras.ops.softmax(scores, axis=-1)
        mixed = keras.ops.einsum("bhts,bshd->bthd", weights, found["values"])
        return parts["output"](mixed), after


def _is_slot(given: Kwargs, name: str) -> bool:
    return isinstance(given.get(name), Slot)


def _hindrance(
    call: Call, given: Kwargs, alike: bool, causal: bool
) -> tuple[str, str]:
    """Returns why attention cannot remember, and what to do."""
    layer = call.operation
    if not causal:
        return (
            "which mixes time steps: every step attends to those after it too",
            "Call it with use_causal_mask=True, and pass attention_window=...",
        )
    if not alike:
        return (
            "whose keys have no time and yet a causal mask",
            "Leave use_causal_mask out.",
        )
    if given.get("attention_mask") is not None:
        return "with a mask of its own", "Leave attention_mask out."
    plain = len(call.outputs) == 1 and not getattr(layer, "use_gate", False)
    if not plain or tuple(layer.attention_axes) != (1,):
        return (
            "with scores as outputs, a gate, or several axes attended to",
            "Use plain attention over axis 1.",
        )
    return "", ""
