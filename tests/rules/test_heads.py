# SPDX-License-Identifier: MIT
"""MultiHeadAttention and GroupedQueryAttention: heads, widths, channels."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.pruning.trim import trim
from tf_diet.rules import heads
from tf_diet.testing import assert_law, random_kept

pytestmark = pytest.mark.slow


def units(model):
    """Checks the law and returns how many units each group has."""
    graph = assert_law(model, rate=0.6)
    return {group.name: group.n_units for group in graph.groups}


def reasons(model):
    return {p.name: p.reason for p in build(model).pinned}


def trimmed(model, rate=0.5):
    graph = build(model)
    return trim(model, graph, graph.alive(random_kept(graph, rate)))


def crossed(layer, value=7, key=None, name="", **kwargs):
    """Queries q of 6 channels, values v of 7 and, where asked, keys k."""
    x, z = keras.Input((7, 4)), keras.Input((7, 3))
    given = {
        "value": layers.Dense(value, name=f"{name}v")(z),
        "query": layers.Dense(6, name=f"{name}q")(x),
    }
    if key:
        given["key"] = layers.Dense(key, name=f"{name}k")(z)
    y, *scores = keras.tree.flatten(layer(**given, **kwargs))
    shown = [ops.sum(s, axis=(1, 2)) for s in scores]
    return keras.Model([x, z], [layers.Dense(2)(y), *shown])


def side_by_side(models):
    """One model of several: a law test of each takes longer to set up."""
    outputs = {name: model.output for name, model in models.items()}
    inputs = [x for model in models.values() for x in model.inputs]
    return keras.Model(inputs, outputs)


def units_by_name(models):
    """Checks the law on all and returns the units of each."""
    found = {name: {} for name in models}
    for group, count in units(side_by_side(models)).items():
        name, part = group.split("__")
        found[name][part] = count
    return found


def attention(name="mha", **kwargs):
    return layers.MultiHeadAttention(4, 5, name=name, **kwargs)


ALL = {"q": 6, "v": 7, "mha.heads": 4, "mha.key_dim": 5, "mha": 6}
APART = ALL | {"mha.value_dim": 5}
MULTI = {
    "plain": ({}, {}, ALL),
    "value_dim": (
        {"value_dim": 3, "dropout": 0.1},
        {},
        APART | {"mha.value_dim": 3},
    ),
    "dropout": ({"dropout": 0.1}, {}, APART),
    "no_bias": ({"use_bias": False}, {"key": 5}, ALL | {"k": 5}),
    "gate": ({"use_gate": True}, {}, ALL),
    "causal": ({}, {"use_causal_mask": True}, ALL),
    "window": ({"sliding_window": 2}, {}, ALL),
    "scores": ({}, {"return_attention_scores": True}, APART),
    "mask": ({}, {"attention_mask": np.tri(7, dtype="bool")[None]}, ALL),
    "output_of_8": ({"output_shape": 8}, {}, ALL | {"mha": 8}),
}


def test_multi_head_attention():
    models = {
        name: crossed(
            attention(f"{name}__mha", **settings), name=f"{name}__", **given
        )
        for name, (settings, given, _) in MULTI.items()
    }
    expected = {name: groups for name, (_, _, groups) in MULTI.items()}
    assert units_by_name(models) == expected


def test_self_attention_by_position():
    x = keras.Input((7, 4))
    h = layers.Dense(6, name="h")(x)
    y = attention()(h, h)
    model = keras.Model(x, layers.Dense(2)(y))
    assert units(model) == {"h": 6, "mha.heads": 4, "mha.key_dim": 5, "mha": 6}


def test_output_shape_of_several_axes():
    x = keras.Input((7, 4))
    y = attention(output_shape=(3, 5))(x, x)
    y = layers.Dense(2)(ops.transpose(y, (0, 1, 3, 2)))
    y = ops.sum(y, axis=2)
    found = units(keras.Model(x, y))
    assert found == {
        "mha.heads": 4,
        "mha.key_dim": 5,
        "mha.output_0": 3,
        "mha.output_1": 5,
    }


def test_output_shape_is_set_only_where_it_must_be():
    x = keras.Input((7, 4))
    h = layers.Dense(6, name="h")(x)
    model = keras.Model(
        x, layers.Dense(2)(layers.Add()([attention()(h, h), h]))
    )
    small = trimmed(model)
    assert small.get_layer("mha").get_config()["output_shape"] is None
    apart = crossed(attention())
    kept = {"q": [0, 2, 3], "mha": [1, 2, 4, 5]}
    graph = build(apart)
    small = trim(apart, graph, graph.alive(kept))
    assert small.get_layer("mha").get_config()["output_shape"] == (4,)


def test_attention_over_chosen_axes():
    x = keras.Input((3, 5, 4))
    h = layers.Dense(6, name="h")(x)
    y = attention(attention_axes=(2,))(h, h)
    model = keras.Model(x, layers.Dense(2)(y))
    expected = {"h": 6, "mha.heads": 4, "mha.key_dim": 5, "mha": 6}
    assert units(model) == expected | {"mha.value_dim": 5}


def test_masks_of_time_steps():
    x = keras.Input((7,), dtype="int32")
    h = layers.Embedding(8, 6, mask_zero=True, name="h")(x)
    y = layers.Add()([h, attention()(h, h)])
    model = keras.Model(x, layers.Dense(2)(y))
    assert units(model) == {"h": 6, "mha.heads": 4, "mha.key_dim": 5}


def test_a_layer_called_twice_has_one_set_of_heads():
    x, z = keras.Input((7, 4)), keras.Input((5, 4))
    layer = attention()
    first = layer(layers.Dense(6, name="a")(x), layers.Dense(6, name="b")(z))
    second = layer(layers.Dense(6, name="c")(z), layers.Dense(6, name="d")(x))
    model = keras.Model(
        [x, z], [layers.Dense(2)(first), layers.Dense(2)(second)]
    )
    counts = sorted(units(model).values())
    assert counts == [4, 5, 6, 6, 6]


def test_a_mask_for_each_head_keeps_them():
    mask = np.random.default_rng(0).random((1, 4, 7, 7)) > 0.3
    model = crossed(attention(), attention_mask=mask)
    found = units(model)
    assert "mha.heads" not in found
    assert "mask for each head" in reasons(model)["mha.heads"]


def test_without_the_rescale_the_law_breaks(monkeypatch):
    monkeypatch.setattr(heads, "_shrunk", lambda weights, width: {})
    with pytest.raises(AssertionError, match="differ"):
        units(crossed(attention()))


def test_trimmed_heads_are_saved(tmp_path):
    small = trimmed(crossed(attention(output_shape=8, value_dim=5)))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(2, 7, c)).astype("float32") for c in (4, 3)]
    for one, other in zip(
        keras.tree.flatten(again(data)),
        keras.tree.flatten(small(data)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_heads_count_in_the_cost():
    x = keras.Input((7, 6))
    model = keras.Model(x, attention()(x, x))
    projections = 7 * (3 * (2 * 6 * 20 + 20) + 2 * 20 * 6 + 6)
    scores = 2 * 7 * 7 * 4 * (5 + 5)
    assert build(model).cost().flops == projections + scores


def grouped(queries, sources, name="gqa", **kwargs):
    return layers.GroupQueryAttention(5, queries, sources, name=name, **kwargs)


# What a GroupedQueryAttention has besides the stream of 6 channels.
GROUPED = {
    "groups": (8, 4, {}, {}, {"gqa.heads": 4}),
    "few_groups": (8, 2, {}, {}, {"gqa.heads": 4}),
    "one_group": (4, 1, {"use_gate": True}, {}, {"gqa.heads": 4}),
    "as_many": (
        4,
        4,
        {"use_bias": False},
        {"key": 5},
        {"gqa.heads": 4, "k": 5},
    ),
    "scores": (
        6,
        3,
        {},
        {"return_attention_scores": True, "use_causal_mask": True},
        {"gqa.heads": 3},
    ),
    "dropout": (8, 4, {"dropout": 0.1}, {}, {"gqa.heads": 4}),
}


def test_grouped_query_attention():
    models = {}
    for name, (queries, sources, settings, given, _) in GROUPED.items():
        layer = grouped(queries, sources, f"{name}__gqa", **settings)
        models[name] = crossed(layer, value=6, name=f"{name}__", **given)
    for name, found in units_by_name(models).items():
        stream = min(found.keys() & {"q", "v"})
        expected = GROUPED[name][-1] | {stream: 6, "gqa.head_dim": 5}
        assert found == expected, name


def test_grouped_queries_of_data_keep_the_result():
    x = keras.Input((7, 6))
    model = keras.Model(x, layers.Dense(2)(grouped(4, 4)(x, x)))
    assert units(model) == {"gqa.heads": 4, "gqa.head_dim": 5}
    assert "as its query has" in reasons(model)["gqa"]
