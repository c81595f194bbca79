# SPDX-License-Identifier: MIT
"""Heads of attention, the widths inside them, and what goes in and out."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.groups import MINIMUM_WIDTH
from tf_diet.graph.labels import Axis, Labels, Mask, Vector, count_alive
from tf_diet.graph.operation import Config, Operation, Variable
from tf_diet.graph.rule import Fresh, Rule, Signature, own_variables
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.attention import attend, given_masks, kind_of
from tf_diet.rules.contraction import (
    Contraction,
    Index,
    Term,
    bound,
    operand,
)
from tf_diet.rules.remembering import Remembering


class _ProjectedRule(Rule):
    """Attention between projections: what both kinds of heads share.

    Scores are divided by the root of the key width: where it shrinks, the
    query shrinks as much.
    """

    @abstractmethod
    def attended(self, call: Call) -> Sequence[int]:
        """Returns the axes over which positions look at each other."""

    def weights(self, operation: Operation) -> dict[str, Variable]:
        """Returns the variables as "query/kernel", "query/bias" and so on."""
        return {
            "/".join(variable.path.split("/")[-2:]): variable
            for variable in own_variables(operation).values()
        }

    def terms(self, call: Call, inputs: Sequence[Labels]) -> dict[str, Term]:
        """Returns query, key and value with names for their axes."""
        given = bound(call)
        attended = set(self.attended(call))
        terms = {}
        for name in ("query", "value", "key"):
            source = given.get(name)
            term = operand(
                call, inputs, given["value"] if source is None else source
            )
            own = "row" if name == "query" else "source"
            indices: list[Index] = [
                (own if place in attended else "batch", place)
                for place in range(len(term.shape) - 1)
            ]
            terms[name] = term.named([*indices, name])
        return terms

    def solve(
        self, call: Call, inputs: Sequence[Labels], terms: dict[str, Term]
    ) -> Contraction:
        """Returns which axes are tied, and which must stay."""
        masks = given_masks(call, inputs)
        ordered = bool(
            masks
            or bound(call).get("use_causal_mask")
            or call.operation.get_config().get("sliding_window")
        )
        return attend(call, terms, masks, ordered)

    def heads_seen(
        self, call: Call, inputs: Sequence[Labels], heads: Vector
    ) -> list[tuple[Vector, str]]:
        """Pins heads that have a mask of their own."""
        given = bound(call)
        if given.get("attention_mask") is None:
            return []
        query = operand(call, inputs, given["query"]).shape
        shape = operand(call, inputs, given["attention_mask"]).shape
        among = len(self.attended(call))
        if len(shape) != len(query) + among or shape[-2 * among - 1] == 1:
            return []
        return [(heads, f"{call.path!r} has a mask for each head")]

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns the products of all projections and of the attention."""
        plain = [Labels.none(len(spec.shape)) for spec in call.input_specs]
        terms = self.terms(call, plain)
        rows = _size(terms["query"], ("batch", "row"))
        total = 0
        for name, variable in self.weights(call.operation).items():
            axes = signature.weights[name]
            counts = [
                count_alive(axis, size, alive)
                for axis, size in zip(axes, variable.shape, strict=True)
            ]
            part, kind = name.split("/")
            source = part in ("key", "value")
            times = _size(terms[part], ("batch", "source")) if source else rows
            total += (1 + (kind == "kernel")) * times * int(np.prod(counts))
            seen = rows * _size(terms["value"], ("source",))
            if name == "query/kernel":
                total += 2 * seen * counts[1] * counts[2]
            elif name == "attention_output/kernel":
                total += 2 * seen * counts[0] * counts[1]
        return total


def _size(term: Term, kinds: Sequence[str]) -> int:
    """Returns the number of positions along some axes, but for the batch."""
    return int(
        np.prod(
            [
                size or 1
                for index, size in zip(term.indices, term.shape, strict=True)
                if kind_of(index) in kinds and index != ("batch", 0)
            ]
        )
    )


@register_rule(keras.layers.MultiHeadAttention)
class MultiHeadAttentionRule(Remembering, _ProjectedRule):
    """Removes whole heads, and the same key or value width from all heads."""

    def attended(self, call: Call) -> Sequence[int]:
        """Returns the axes over which positions look at each other."""
        return tuple(call.operation.attention_axes)

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes heads, widths and the channels of the result."""
        layer = call.operation
        terms = self.terms(call, inputs)
        solved = self.solve(call, inputs, terms)
        heads = fresh(layer.num_heads, "heads")
        keys = fresh(layer.key_dim, "key_dim")
        values = keys
        if not self.fused(call, terms):
            values = fresh(layer.value_dim, "value_dim")
        rank = len(terms["query"].shape)
        wide = call.output_specs[0].shape[rank - 1 :]
        made = [
            fresh(int(size or 0), f"output_{number}" if wide[1:] else "")
            for number, size in enumerate(wide)
        ]
        channels = {name: solved.axes[name] for name in terms}
        channels["gate"] = channels["query"]
        weights: dict[str, tuple[Axis, ...]] = {}
        for name, seen in channels.items():
            width = keys if name in ("query", "key") else values
            weights[f"{name}/kernel"] = (seen, heads, width)
            weights[f"{name}/bias"] = (heads, width)
        weights["attention_output/kernel"] = (heads, values, *made)
        weights["attention_output/bias"] = tuple(made)
        places = solved.labels(terms["query"].indices[:-1])
        outputs = [Labels((*places.axes, *made))]
        frozen = [*solved.frozen, *self.heads_seen(call, inputs, heads)]
        if len(call.outputs) > 1 and rank == 3:
            batch, rows = places.axes
            outputs.append(Labels((batch, heads, rows, None)))
        elif len(call.outputs) > 1:
            # The shape that Keras states for these scores has no room for
            # the other axes.
            outputs.append(Labels.none(len(call.output_specs[1].shape)))
            reason = f"{call.path!r} returns scores of unknown shape"
            frozen.append((heads, reason))
        return Signature(
            outputs=outputs,
            weights=weights,
            sizes={"num_heads": heads, "key_dim": keys, "value_dim": values},
            ties=solved.ties,
            frozen=frozen,
            scales=_shrunk(self.weights(layer), keys),
        )

    def fused(self, call: Call, terms: dict[str, Term]) -> bool:
        """Says whether key and value must stay equally wide.

        The kernel that does attention in one go takes no others on JAX.
        """
        layer = call.operation
        return (
            layer.key_dim == layer.value_dim
            and not layer.dropout
            and len(call.outputs) == 1
            and len(terms["query"].shape) == 3
        )

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Sets the output shape too, where it was set or is another."""
        config = super().config(call, signature, alive)
        made = signature.weights["attention_output/bias"]
        shape = tuple(count_alive(axis, None, alive) for axis in made)
        seen = signature.weights["query/kernel"][0]
        size = self.weights(call.operation)["query/kernel"].shape[0]
        if config["output_shape"] or shape != (count_alive(seen, size, alive),):
            config["output_shape"] = shape
        return config


@register_rule(keras.layers.GroupQueryAttention)
class GroupedQueryAttentionRule(_ProjectedRule):
    """Several query heads share one head of keys and values.

    A head of keys is removed with its queries. Where there are too few for
    that, the same query is removed from every group.
    """

    def attended(self, call: Call) -> Sequence[int]:
        """Returns the axes over which positions look at each other."""
        return (1,)

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes heads and their width; the result is as wide as the query."""
        layer = call.operation
        terms = self.terms(call, inputs)
        # Keras takes no value of another width than the query.
        places = terms["value"].indices[:-1]
        terms["value"] = terms["value"].named([*places, "query"])
        solved = self.solve(call, inputs, terms)
        groups = layer.num_key_value_heads
        times = layer.num_query_heads // groups
        shared: Axis = None
        if groups > MINIMUM_WIDTH or times == 1:
            shared = fresh(groups, "heads")
            heads = np.repeat(shared, times)
        else:
            heads = np.tile(fresh(times, "heads"), groups)
        width = fresh(layer.head_dim, "head_dim")
        stream = solved.axes["query"]
        made = fresh(int(call.output_specs[0].shape[-1] or 0))
        ties, frozen = list(solved.ties), list(solved.frozen)
        if stream is None:
            reason = f"{call.path!r} gives as many channels as its query has"
            frozen.append((made, reason))
        else:
            ties.append((stream, made))
        frozen += self.heads_seen(call, inputs, heads)
        weights: dict[str, tuple[Axis, ...]] = {}
        for name in ("query", "gate", "key", "value"):
            mine = heads if name in ("query", "gate") else shared
            source = solved.axes["key"] if name == "key" else stream
            weights[f"{name}/kernel"] = (source, mine, width)
            weights[f"{name}/bias"] = (mine, width)
        weights["attention_output/kernel"] = (heads, width, made)
        weights["attention_output/bias"] = (made,)
        batch, rows = solved.labels(terms["query"].indices[:-1]).axes
        scores = Labels((batch, heads, rows, None))
        return Signature(
            outputs=[Labels((batch, rows, made)), scores][: len(call.outputs)],
            weights=weights,
            sizes={
                "num_query_heads": heads,
                "num_key_value_heads": shared,
                "head_dim": width,
            },
            ties=ties,
            frozen=frozen,
            scales=_shrunk(self.weights(layer), width),
        )


def _shrunk(
    weights: Mapping[str, Variable], width: Vector
) -> dict[str, tuple[Vector, float]]:
    """Scales the query, since scores are divided by the root of the width."""
    names = ("query/kernel", "query/bias")
    return {name: (width, 0.5) for name in names if name in weights}
