# SPDX-License-Identifier: MIT
"""Attention without projections, as a layer and as an operation."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.testing import assert_law

pytestmark = pytest.mark.slow


def units(model):
    """Checks the law and returns how many units each group has."""
    graph = assert_law(model, rate=0.6)
    return {group.name: group.n_units for group in graph.groups}


def reasons(model):
    return {p.name: p.reason for p in build(model).pinned}


def attended(layer, *, key=False, **kwargs):
    """Queries q of 6 units, values v of 6 and keys k of 6, or values of 5."""
    x, z = keras.Input((7, 4)), keras.Input((5, 3))
    given = [layers.Dense(6, name="q")(x)]
    given.append(layers.Dense(5 if key else 6, name="v")(z))
    if key:
        given.append(layers.Dense(6, name="k")(z))
    y, *scores = keras.tree.flatten(layer(given, **kwargs))
    summed = [ops.sum(s, axis=-1) for s in scores]
    return keras.Model([x, z], [layers.Dense(2)(y), *summed])


LAYERS = {
    "dot": lambda: layers.Attention(use_scale=True),
    "tanh": lambda: layers.Attention(score_mode="concat", use_scale=True),
    "additive": layers.AdditiveAttention,
    "plain additive": lambda: layers.AdditiveAttention(use_scale=False),
}


def test_query_and_key_share_their_units():
    for name, make in LAYERS.items():
        assert list(units(attended(make())).values()) == [6], name


def test_the_value_has_units_of_its_own():
    for name, make in LAYERS.items():
        model = attended(make(), key=True, return_attention_scores=True)
        found = units(model)
        assert found["v"] == 5, name
        assert sorted(found.values()) == [5, 6], name


def test_masks_and_order_leave_channels_free():
    x = keras.Input((7,), dtype="int32")
    h = layers.Embedding(8, 6, mask_zero=True, name="h")(x)
    y = layers.Attention(dropout=0.1)([h, h], use_causal_mask=True)
    model = keras.Model(x, layers.Dense(2)(y))
    assert units(model) == {"h": 6}


def test_a_query_of_data_keeps_the_keys():
    x = keras.Input((7, 6))
    k = layers.Dense(6, name="k")(x)
    v = layers.Dense(4, name="v")(x)
    y = layers.Attention()([x, v, k])
    model = keras.Model(x, layers.Dense(2)(y))
    assert units(model) == {"v": 4}
    assert "data" in reasons(model)["k"]


def positions(**kwargs):
    """Units on the axis of the positions that look, and of those seen."""
    x = keras.Input((5, 4))

    def turned(name):
        made = layers.Dense(6, name=name)(ops.transpose(x, (0, 2, 1)))
        return ops.transpose(made, (0, 2, 1))

    q, v = turned("q"), turned("v")
    y = layers.Attention()([q, v], **kwargs)
    return keras.Model(x, layers.Dense(2)(ops.transpose(y, (0, 2, 1))))


def test_who_looks_can_go_and_who_is_seen_stays():
    model = positions()
    assert units(model) == {"q": 6}
    assert "attends over this axis" in reasons(model)["v"]


def test_positions_in_order_stay():
    model = positions(use_causal_mask=True)
    assert units(model) == {}
    assert "mask along this axis" in reasons(model)["q"]


def operation(heads, sources, **kwargs):
    """q of heads x 4, k and v of sources x 4, as keras.ops takes them."""
    x = keras.Input((7, 5))

    def made(name, count):
        return layers.EinsumDense(
            "btc,chk->bthk",
            output_shape=(7, count, 4),
            bias_axes="hk",
            name=name,
        )(x)

    q, k, v = made("q", heads), made("k", sources), made("v", sources)
    y = ops.dot_product_attention(q, k, v, **kwargs)
    merged = layers.EinsumDense("bthk,hkd->btd", output_shape=(7, 2))(y)
    return keras.Model(x, merged)


OPERATIONS = {
    # Without a scale it would divide by the root of what is left.
    "heads": ((4, 4, {}), [4, 4]),
    "scale": ((4, 4, {"scale": 0.3}), [4, 4]),
    "causal": ((4, 4, {"is_causal": True}), [4, 4]),
    "groups": ((6, 3, {}), [3, 4]),
    "mask": (
        (4, 4, {"mask": np.tri(7, dtype="bool")[None, None]}),
        [4, 4],
    ),
    "bias for each head": (
        (4, 4, {"bias": np.ones((1, 4, 7, 7), "float32")}),
        [4],
    ),
}


def test_dot_product_attention():
    for name, ((heads, sources, kwargs), expected) in OPERATIONS.items():
        found = units(operation(heads, sources, **kwargs))
        assert sorted(found.values()) == sorted(expected), name
