# SPDX-License-Identifier: MIT
"""Attention without projections: which axes are tied, and which must stay."""

from collections.abc import Hashable, Iterable, Sequence

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels, Mask
from tf_diet.graph.operation import Args, Kwargs
from tf_diet.graph.rule import Fresh, Rule, Signature, own_variables
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.contraction import (
    Contraction,
    Index,
    Term,
    bind,
    bound,
    contract,
    operand,
)
from tf_diet.rules.outcomes import freeze

_MASKS = ("attention_mask", "query_mask", "value_mask", "key_mask", "mask")
_PLACES = ("batch", "row", "source")


def kind_of(index: Index) -> Hashable:
    """Returns the kind of an index: "batch", "row", "source" or a name."""
    return index[0] if isinstance(index, tuple) else index


def attend(
    call: Call,
    terms: dict[str, Term],
    masks: Iterable[Term],
    ordered: bool,
) -> Contraction:
    """Returns which axes attention ties, and which must stay.

    Args:
        call: the application.
        terms: the operands by name; a position that others look at has an
            index ("source", axis), one that looks ("row", axis).
        masks: what says which positions see each other.
        ordered: the place of a position matters beyond its values.
    """
    solved = contract(call, list(terms.values()))
    frozen = list(solved.frozen)
    for index, axis in solved.axes.items():
        if axis is not None and kind_of(index) == "source":
            frozen.append((axis, f"{call.path!r} attends over this axis"))
        elif axis is not None and ordered and kind_of(index) in _PLACES:
            frozen.append((axis, f"{call.path!r} has a mask along this axis"))
    seen = (axis for mask in masks for axis in mask.labels.axes)
    frozen += freeze(call, seen, "takes it as a mask")
    return Contraction(solved.axes, solved.ties, frozen)


def given_masks(call: Call, inputs: Sequence[Labels]) -> list[Term]:
    """Returns the masks that a call takes, tensors and constants."""
    given = bound(call)
    return [
        operand(call, inputs, mask)
        for name in _MASKS
        for mask in keras.tree.flatten(given.get(name))
        if mask is not None
    ]


@register_rule(keras.layers.Attention, keras.layers.AdditiveAttention)
def attention(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Ties the channels of query and key; those of the value pass.

    Dead channels add nothing to a dot product, nor does tanh(0) to a sum.
    """
    given = bound(call)
    query, value, *rest = (operand(call, inputs, x) for x in given["inputs"])
    key = rest[0] if rest else value
    batch = [("batch", place) for place in range(len(query.shape) - 2)]
    terms = {
        "query": query.named([*batch, "row", "sum"]),
        "key": key.named([*batch, "source", "sum"]),
        "value": value.named([*batch, "source", "channels"]),
    }
    masks = given_masks(call, inputs)
    ordered = bool(masks or given.get("use_causal_mask"))
    solved = attend(call, terms, masks, ordered)
    outputs = [
        solved.labels([*batch, "row", "channels"]),
        Labels((*solved.labels([*batch, "row"]).axes, None)),
    ]
    # The scale of an additive attention is one for each channel, or one.
    scales = {
        name: (solved.axes["sum"],) * len(variable.shape)
        for name, variable in own_variables(call.operation).items()
    }
    return Signature(
        outputs=outputs[: len(call.outputs)],
        weights=scales,
        ties=solved.ties,
        frozen=solved.frozen,
    )


@register_rule("ops.DotProductAttention")
class DotProductAttentionRule(Rule):
    """Attention as one operation; query, key and value are equally wide."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties heads and channels of all three, group by group."""
        given = bound(call)
        query, key, value = (
            operand(call, inputs, given[name])
            for name in ("query", "key", "value")
        )
        terms = {
            "query": query.named(["batch", "row", "heads", "channels"]),
            "key": _for_each_query(key, query),
            "value": _for_each_query(value, query),
        }
        for name in ("bias", "mask"):
            if given.get(name) is not None:
                extra = operand(call, inputs, given[name])
                terms[name] = extra.named(
                    ["batch", "heads", "row", "source"][-len(extra.shape) :]
                )
        solved = attend(call, terms, [], call.operation.is_causal)
        return Signature(
            outputs=[solved.labels(terms["query"].indices)],
            ties=solved.ties,
            frozen=solved.frozen,
        )

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Keeps the scale of the full model, the root of its channels."""
        given = bound(call)
        if given.get("scale") is not None:
            return args, kwargs
        width = operand(call, inputs, given["query"]).shape[-1]
        named = bind(call.operation, args, kwargs)
        return (), {**named, "scale": float(width or 1) ** -0.5}


def _for_each_query(source: Term, query: Term) -> Term:
    """Repeats the heads of keys or values for the queries that share them."""
    batch, place, heads, width = source.shape
    times = 1 if heads in (None, 1) else (query.shape[2] or 1) // heads
    axis = source.labels.axes[2]
    if axis is not None:
        axis = np.repeat(axis, times)
    return Term(
        source.labels.at(2, axis),
        (batch, place, heads and heads * times, width),
        ("batch", "source", "heads", "channels"),
    )
