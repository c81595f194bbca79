# SPDX-License-Identifier: MIT
"""Sums of products: what is summed over, what runs together, what passes."""

import keras
import numpy as np
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.pruning.trim import trim
from tf_diet.rules import contraction
from tf_diet.testing import assert_law, law_error, random_inputs, random_kept

H, E = [6], [4]
TABLE = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def sandwich(name, middle):
    """Dense layers h and k of 6 units and e of 4 before, Dense after."""
    x, z = keras.Input((7, 5)), keras.Input((7, 3))
    made = (
        layers.Dense(6, name=f"{name}__h")(x),
        layers.Dense(6, name=f"{name}__k")(z),
        layers.Dense(4, name=f"{name}__e")(z),
    )
    return keras.Model([x, z], layers.Dense(2)(middle(*made)))


def side_by_side(models):
    """One model of several: a law test of each takes longer to set up."""
    outputs = {name: model.output for name, model in models.items()}
    inputs = [x for model in models.values() for x in model.inputs]
    return keras.Model(inputs, outputs)


def units(model):
    """Checks the law and returns how many units each group has."""
    graph = assert_law(model, rate=0.6)
    return {group.name: group.n_units for group in graph.groups}


def units_by_name(models):
    """Does so for several models; tied groups go by either name."""
    found = {name: [] for name in models}
    for group, count in units(side_by_side(models)).items():
        found[group.split("__")[0]].append(count)
    return {name: sorted(counts) for name, counts in found.items()}


def over_time(x):
    return ops.sum(x, axis=(0, 1))


# Operands, and the sizes of the groups that are left of h, k and e.
PRODUCTS = {
    "contracted": (lambda h, k, e: ops.einsum("bth,bsh->bts", h, k), H),
    "kept": (lambda h, k, e: ops.einsum("bth,btg->bhg", h, e), E),
    "shared": (lambda h, k, e: ops.einsum("bth,bth->bth", h, k), H),
    "ellipsis": (lambda h, k, e: ops.einsum("bt...,bs...->b...", h, k), H),
    "three": (
        lambda h, k, e: ops.einsum("bth,bsh,bsg->btg", h, k, e),
        E + H,
    ),
    "implicit": (lambda h, k, e: ops.einsum("abx,acx", h, k), H),
    "summed_alone": (lambda h, k, e: ops.einsum("bth,btg->bg", h, e), E + H),
    "matmul": (
        lambda h, k, e: ops.matmul(h, ops.transpose(k, (0, 2, 1))),
        H,
    ),
    "matmul_kept": (
        lambda h, k, e: ops.matmul(ops.transpose(h, (0, 2, 1)), e),
        E,
    ),
    "matmul_of_a_vector": (
        lambda h, k, e: ops.matmul(h, over_time(k))[..., None],
        H,
    ),
    "matmul_over_time": (
        lambda h, k, e: ops.matmul(np.ones((2, 7), "float32"), h),
        H,
    ),
    "dot": (lambda h, k, e: ops.dot(h, over_time(k))[..., None], H),
    "dot_of_constants": (lambda h, k, e: ops.dot(h, TABLE), H),
    "inner": (lambda h, k, e: ops.inner(h, over_time(k))[..., None], H),
    "tensordot": (
        lambda h, k, e: ops.tensordot(h, TABLE, axes=1),
        H,
    ),
    "outer": (
        lambda h, k, e: ops.matmul(h, ops.outer(over_time(k), over_time(e))),
        E + H,
    ),
    "vdot": (lambda h, k, e: h * ops.vdot(h, k), H),
    "layer": (lambda h, k, e: layers.Dot(axes=2)([h, k]), H),
    "layer_kept": (lambda h, k, e: layers.Dot(axes=(1, 1))([h, e]), E),
    "layer_of_vectors": (
        lambda h, k, e: layers.Dot(axes=-1)([h[:, 0], k[:, 0]]),
        H,
    ),
    "cosine": (lambda h, k, e: layers.Dot(axes=2, normalize=True)([h, k]), H),
    "cosine_over_time": (
        lambda h, k, e: layers.Dot(axes=1, normalize=True)([h, e]),
        E,
    ),
}


def test_products():
    models = {name: sandwich(name, f) for name, (f, _) in PRODUCTS.items()}
    expected = {name: counts for name, (_, counts) in PRODUCTS.items()}
    assert units_by_name(models) == expected


PINNING = {
    "variable": lambda h, k, e: ops.matmul(h, keras.Variable(TABLE)),
    "layer": lambda h, k, e: layers.Dot(axes=2)([h, ops.ones((2, 7, 6))]),
    "flattened": lambda h, k, e: h * ops.vdot(h, ops.transpose(k, (0, 2, 1))),
}


def test_data_keeps_its_partner():
    models = {name: sandwich(name, f) for name, f in PINNING.items()}
    assert units_by_name(models) == {name: [] for name in PINNING}
    pinned = build(side_by_side(models)).pinned
    reasons = {p.name: p.reason for p in pinned}
    assert "combines it with data" in reasons["variable__h"]
    assert "combines it with data" in reasons["layer__h"]
    assert "mixes this axis" in reasons["flattened__h"]


def test_tensordot_over_named_axes():
    x = keras.Input((7, 4), batch_size=2)
    h = layers.Dense(6, name="h")(x)
    y = ops.tensordot(TABLE, h, axes=([0], [-1]))
    model = keras.Model(x, layers.Dense(2)(ops.transpose(y, (1, 2, 0))))
    assert units(model) == {"h": 6}


def test_an_input_of_the_model_keeps_its_partner():
    x = keras.Input((7, 6))
    h = layers.Dense(6, name="h")(x)
    y = layers.Dense(2)(ops.einsum("bth,bsh->bts", h, x))
    model = keras.Model(x, y)
    assert units(model) == {}


def test_constants_are_cut_and_saved(tmp_path):
    model = sandwich(
        "c",
        lambda h, k, e: ops.einsum("ij,bti,btj->bt", TABLE, h, e)[..., None],
    )
    graph = assert_law(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(2, 7, c)).astype("float32") for c in (5, 3)]
    np.testing.assert_allclose(again(data), small(data), rtol=1e-5)


def test_a_missing_tie_breaks_the_law(monkeypatch):
    whole = contraction.contract

    def loose(call, terms):
        found = whole(call, terms)
        return contraction.Contraction(found.axes, (), found.frozen)

    monkeypatch.setattr(contraction, "contract", loose)
    model = sandwich("c", PRODUCTS["contracted"][0])
    graph = build(model)
    kept = {"c__h": [0, 1, 2], "c__k": [3, 4, 5]}
    assert law_error(model, kept, random_inputs(model), graph) > 0.01


# Equation, output shape and bias axes; the groups of the layer, named by what
# comes after its name; and whether the Dense before it can shrink.
DENSE = {
    "channels": ("btc,cd->btd", (None, 5), "d", {"": 5}, True),
    "ellipsis": ("...c,cd->...d", 5, "d", {"": 5}, True),
    "without_bias": ("...c,cd->...d", 5, None, {"": 5}, True),
    "heads": ("btc,chk->bthk", (None, 3, 4), "hk", {".k": 4}, True),
    "bias_on_one": ("btc,chk->bthk", (None, 3, 4), "h", {}, True),
    "kept": ("btc,ct->btc", (7, 6), "c", {}, True),
    "each_its_own": ("btc,tcd->btd", (7, 5), "d", {"": 5}, True),
    "over_time": ("btc,td->bdc", (5, 6), None, {}, True),
    "hidden_behind": ("bt...,td->bd...", 5, None, {}, True),
    "bias_over_time": ("btc,td->bdc", (5, 6), "d", {}, False),
    "summed_away": ("btc,td->bd", (5,), "d", {"": 5}, True),
}


def einsum_dense(name):
    equation, shape, bias_axes, _, _ = DENSE[name]
    x = keras.Input((7, 4))
    layer = layers.EinsumDense(
        equation, output_shape=shape, bias_axes=bias_axes, name=f"{name}__"
    )
    return keras.Model(
        x, layers.Dense(2)(layer(layers.Dense(6, name=f"{name}__h")(x)))
    )


def test_einsum_dense(tmp_path):
    model = side_by_side({name: einsum_dense(name) for name in DENSE})
    expected = {}
    for name, (*_, made, shrinks) in DENSE.items():
        expected |= {f"{name}__{part}": count for part, count in made.items()}
        expected |= {f"{name}__h": 6} if shrinks else {}
    assert units(model) == expected
    graph = build(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    data = random_inputs(model)
    for name, y in small(data).items():
        np.testing.assert_allclose(again(data)[name], y, rtol=1e-5)


def test_einsum_dense_contracts_several_axes():
    x = keras.Input((7, 4))
    split = layers.EinsumDense(
        "btc,chk->bthk", output_shape=(None, 3, 4), bias_axes="hk", name="split"
    )
    merge = layers.EinsumDense(
        "bthk,hkd->btd", output_shape=(None, 5), bias_axes="d", name="merge"
    )
    model = keras.Model(x, layers.Dense(2)(merge(split(x))))
    assert units(model) == {"split.h": 3, "split.k": 4, "merge": 5}


def test_einsum_dense_pins_what_its_activation_mixes():
    x = keras.Input((7, 4))
    layer = layers.EinsumDense(
        "btc,cd->btd", output_shape=(None, 5), activation="softmax", name="soft"
    )
    model = keras.Model(x, layers.Dense(2)(layer(x)))
    assert units(model) == {}
    assert "softmax" in build(model).pinned[0].reason


def test_einsum_dense_costs_what_dense_costs():
    x = keras.Input((7, 4))
    layer = layers.EinsumDense(
        "btc,chk->bthk", output_shape=(None, 3, 4), bias_axes="hk"
    )
    cost = build(keras.Model(x, layer(x))).cost()
    plain = build(keras.Model(x, layers.Dense(12)(x))).cost()
    assert cost.flops == plain.flops
    assert cost.parameters == plain.parameters
