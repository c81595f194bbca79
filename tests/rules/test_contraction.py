"""Sums of products: what is summed over, what runs together, what passes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.pruning.trim import trim
from tf_diet.rules import contraction
from tf_diet.testing import assert_law, law_error, random_inputs, random_kept

H, K, E = {"h": 6}, {"k": 6}, {"e": 4}
TABLE = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def sandwich(middle):
    """Dense layers h and k of 6 units and e of 4 before, Dense after."""
    x, z = keras.Input((7, 5)), keras.Input((7, 3))
    made = (
        layers.Dense(6, name="h")(x),
        layers.Dense(6, name="k")(z),
        layers.Dense(4, name="e")(z),
    )
    y = middle(*made)
    return keras.Model([x, z], layers.Dense(2, name="out")(y))


def units(model, rates=(0.6,)):
    """Checks the law and returns how many units each group has."""
    for seed, rate in enumerate(rates):
        graph = assert_law(model, rate=rate, seed=seed)
    return {group.name: group.n_units for group in graph.groups}


def over_time(x):
    return ops.sum(x, axis=(0, 1))


# Two operands, and the groups that the model has: tied ones go by one name.
PRODUCTS = {
    "contracted": (lambda h, k, e: ops.einsum("bth,bsh->bts", h, k), H),
    "kept": (lambda h, k, e: ops.einsum("bth,btg->bhg", h, e), E),
    "shared": (lambda h, k, e: ops.einsum("bth,bth->bth", h, k), H),
    "ellipsis": (lambda h, k, e: ops.einsum("bt...,bs...->b...", h, k), H),
    "three": (
        lambda h, k, e: ops.einsum("bth,bsh,bsg->btg", h, k, e),
        H | E,
    ),
    "implicit": (lambda h, k, e: ops.einsum("abx,acx", h, k), H),
    "summed alone": (lambda h, k, e: ops.einsum("bth,btg->bg", h, e), H | E),
    "matmul": (
        lambda h, k, e: ops.matmul(h, ops.transpose(k, (0, 2, 1))),
        K,
    ),
    "matmul kept": (
        lambda h, k, e: ops.matmul(ops.transpose(h, (0, 2, 1)), e),
        E,
    ),
    "matmul of a vector": (
        lambda h, k, e: ops.matmul(h, over_time(k))[..., None],
        K,
    ),
    "matmul over time": (
        lambda h, k, e: ops.matmul(np.ones((2, 7), "float32"), h),
        H,
    ),
    "dot": (lambda h, k, e: ops.dot(h, over_time(k))[..., None], K),
    "dot of constants": (lambda h, k, e: ops.dot(h, TABLE), H),
    "inner": (lambda h, k, e: ops.inner(h, over_time(k))[..., None], K),
    "tensordot": (
        lambda h, k, e: ops.tensordot(h, TABLE, axes=1),
        H,
    ),
    "outer": (
        lambda h, k, e: ops.matmul(h, ops.outer(over_time(k), over_time(e))),
        K | E,
    ),
    "vdot": (lambda h, k, e: h * ops.vdot(h, k), H),
    "Dot": (lambda h, k, e: layers.Dot(axes=2)([h, k]), H),
    "Dot kept": (lambda h, k, e: layers.Dot(axes=(1, 1))([h, e]), E),
    "Dot of vectors": (
        lambda h, k, e: layers.Dot(axes=-1)([h[:, 0], k[:, 0]]),
        K,
    ),
    "cosine": (lambda h, k, e: layers.Dot(axes=2, normalize=True)([h, k]), H),
    "cosine over time": (
        lambda h, k, e: layers.Dot(axes=1, normalize=True)([h, e]),
        E,
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_product(name):
    middle, expected = PRODUCTS[name]
    assert units(sandwich(middle)) == expected


PINNING = {
    "variable": lambda h, k, e: ops.matmul(h, keras.Variable(TABLE)),
    "Dot": lambda h, k, e: layers.Dot(axes=2)([h, ops.ones((2, 7, 6))]),
    "flattened": lambda h, k, e: h * ops.vdot(h, ops.transpose(k, (0, 2, 1))),
}


@pytest.mark.parametrize("name", PINNING)
def test_data_keeps_its_partner(name):
    model = sandwich(PINNING[name])
    assert "h" not in units(model)
    reasons = {p.name: p.reason for p in build(model).pinned}
    said = "mixes this axis" if name == "flattened" else "combines it with data"
    assert said in reasons["h"]


def test_tensordot_over_named_axes():
    x = keras.Input((7, 4), batch_size=2)
    h = layers.Dense(6, name="h")(x)
    y = ops.tensordot(TABLE, h, axes=([0], [-1]))
    model = keras.Model(x, layers.Dense(2)(ops.transpose(y, (1, 2, 0))))
    assert units(model) == H


def test_an_input_of_the_model_keeps_its_partner():
    x = keras.Input((7, 6))
    h = layers.Dense(6, name="h")(x)
    y = layers.Dense(2)(ops.einsum("bth,bsh->bts", h, x))
    model = keras.Model(x, y)
    assert units(model) == {}


def test_constants_are_cut_and_saved(tmp_path):
    model = sandwich(
        lambda h, k, e: ops.einsum("ij,bti,btj->bt", TABLE, h, e)[..., None]
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
    model = sandwich(PRODUCTS["contracted"][0])
    graph = build(model)
    kept = {"h": [0, 1, 2], "k": [3, 4, 5]}
    assert law_error(model, kept, random_inputs(model), graph) > 0.01


# Equation, output shape and bias axes; the groups of the layer, named by what
# comes after its name; and whether the Dense before it can shrink.
DENSE = {
    "channels": ("btc,cd->btd", (None, 5), "d", {"": 5}, True),
    "ellipsis": ("...c,cd->...d", 5, "d", {"": 5}, True),
    "without bias": ("...c,cd->...d", 5, None, {"": 5}, True),
    "heads": ("btc,chk->bthk", (None, 3, 4), "hk", {".k": 4}, True),
    "bias on one": ("btc,chk->bthk", (None, 3, 4), "h", {}, True),
    "kept": ("btc,ct->btc", (7, 6), "c", {}, True),
    "each its own": ("btc,tcd->btd", (7, 5), "d", {"": 5}, True),
    "over time": ("btc,td->bdc", (5, 6), None, {}, True),
    "hidden behind": ("bt...,td->bd...", 5, None, {}, True),
    "bias over time": ("btc,td->bdc", (5, 6), "d", {}, False),
    "summed away": ("btc,td->bd", (5,), "d", {"": 5}, True),
}


@pytest.mark.parametrize("name", DENSE)
def test_einsum_dense(name, tmp_path):
    equation, shape, bias_axes, made, shrinks = DENSE[name]
    x = keras.Input((7, 4))
    h = layers.Dense(6, name="h")(x)
    layer = layers.EinsumDense(
        equation, output_shape=shape, bias_axes=bias_axes, name="einsum"
    )
    model = keras.Model(x, layers.Dense(2)(layer(h)))
    expected = {f"einsum{part}": count for part, count in made.items()}
    assert units(model) == expected | (H if shrinks else {})
    graph = build(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    data = np.ones((2, 7, 4), "float32")
    np.testing.assert_allclose(again(data), small(data), rtol=1e-5)


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
