# SPDX-License-Identifier: MIT
"""Nested models stay nested through surgery, and where they cannot, why."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tf_diet
from tf_diet.errors import UnsupportedModelError
from tf_diet.graph.build import build
from tf_diet.pruning.mask import mask
from tf_diet.pruning.rebuild import rebuild
from tf_diet.pruning.trim import trim
from tf_diet.testing import assert_law, random_inputs, random_kept, randomise

pytestmark = pytest.mark.slow

DENSE = layers.Dense


# Keras says so of every functional model that is called.
unmasked = pytest.mark.filterwarnings("ignore:.*does not support masking")


def encoder(name="encoder"):
    x = keras.Input((4,), name="features")
    h = DENSE(8, "relu", name="dense")(x)
    return keras.Model(x, layers.BatchNormalization(name="norm")(h), name=name)


def head():
    parts = [DENSE(6, "relu", name="dense"), DENSE(2, name="out")]
    return keras.Sequential([keras.Input((8,)), *parts], name="head")


def transfer():
    """Names that occur inside and outside, and two levels of nesting."""
    x = keras.Input((4,))
    inner, top = encoder(), head()
    y = keras.Input((8,))
    both = keras.Model(y, top(layers.ReLU(name="relu")(y)), name="both")
    h = inner(x)
    out = layers.Concatenate()([both(h), DENSE(3, name="dense")(h)])
    return keras.Model(x, out)


def smaller(model, rate=0.5):
    randomise(model)
    graph = build(model)
    return trim(model, graph, graph.alive(random_kept(graph, rate)))


def names(model):
    # The name of an input that was given none is counted up by Keras.
    return [
        part.name
        for part in model._flatten_layers(include_self=False)
        if not isinstance(part, layers.InputLayer)
    ]


def weight_paths(model):
    return [weight.path.split("/")[-2:] for weight in model.weights]


def test_models_layers_and_weights_keep_their_places():
    model = transfer()
    small = smaller(model)
    assert names(small) == names(model)
    assert weight_paths(small) == weight_paths(model)
    assert isinstance(small.get_layer("both").get_layer("head"), type(head()))
    assert small.get_layer("encoder").input.name == "features"
    graph = assert_law(model, rate=0.5)
    # The masked model is flat, so names that clash change in it.
    assert mask(model, graph, graph.everything).count_params() == sum(
        np.prod(weight.shape) for weight in model.weights
    )


def test_a_nested_model_called_twice_is_one_model():
    a, b = keras.Input((4,)), keras.Input((4,))
    inner = encoder()
    model = keras.Model([a, b], DENSE(2)(inner(a) * inner(b)))
    small = smaller(model)
    assert names(small) == names(model)
    assert len(small.get_layer("encoder")._inbound_nodes) == 2


def test_what_shares_weights_across_models_is_read_back_as_it_is(tmp_path):
    x = keras.Input((4,))
    inner = encoder()
    y = keras.Input((4,))
    outer = keras.Model(y, inner(y) + 1.0, name="outer")
    alone = keras.Model(y, DENSE(8, name="alone")(y), name="apart")
    model = keras.Model(x, DENSE(2)(inner(x) * outer(x) * alone(x)))
    small = smaller(model)
    assert "apart" in names(small)
    assert not {"encoder", "outer"} & set(names(small))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    assert again.count_params() == small.count_params()
    assert_law(model, rate=0.5)


def test_structures_of_inputs_and_outputs_are_kept():
    p, q = keras.Input((3,), name="p"), keras.Input((3,), name="q")
    h = DENSE(6, name="h")(layers.Concatenate()([p, q]))
    g = DENSE(6, name="g")(p)
    inner = keras.Model({"q": q, "p": p}, {"h": h, "g": g}, name="inner")
    x = keras.Input((3,))
    got = inner({"p": DENSE(3, name="first")(x), "q": x})
    model = keras.Model(x, DENSE(2)(got["h"] - got["g"]))
    small = smaller(model).get_layer("inner")
    assert set(small.input) == {"p", "q"}
    assert set(small.output) == {"h", "g"}
    # What "first" makes reaches "p" alone.
    assert small.input["p"].shape[-1] < 3 == small.input["q"].shape[-1]
    assert_law(model, rate=0.5)


def unread_output():
    y = keras.Input((4,))
    inner = keras.Model(
        y, [DENSE(6, name="a")(y), DENSE(6, name="b")(y)], name="inner"
    )
    x = keras.Input((4,))
    return keras.Model(x, DENSE(2)(inner(x)[0]))


def one_tensor_twice():
    p, q = keras.Input((4,)), keras.Input((4,))
    h = DENSE(6, name="a")(p) + DENSE(6, name="b")(q)
    inner = keras.Model([p, q], h, name="inner")
    x = keras.Input((4,))
    return keras.Model(x, DENSE(2)(inner([x, x])))


@pytest.mark.parametrize("make", [unread_output, one_tensor_twice])
def test_what_cannot_stay_nested_comes_out_flat(make):
    model = make()
    small = smaller(model)
    assert "inner" not in names(small)
    assert {"a"} <= set(names(small))
    assert_law(model, rate=0.5)


def test_a_second_call_that_meets_other_channels_comes_out_flat():
    y = keras.Input((None, 6))
    pool = keras.Model(y, layers.MaxPooling1D(name="pool")(y), name="pooling")
    x = keras.Input((8, 4))
    a = pool(layers.Conv1D(6, 1, name="a")(x))
    b = pool(layers.Conv1D(6, 1, name="b")(x))
    model = keras.Model(x, DENSE(2)(layers.Concatenate()([a, b])))
    randomise(model)
    graph = build(model)
    kept = {"a": [0, 1], "b": [2, 3, 4]}
    small = trim(model, graph, graph.alive(kept))
    assert names(small).count("pooling") == 1
    assert_law(model, rate=0.5)
    kept = {"a": [0, 1], "b": [0, 1]}
    small = trim(model, graph, graph.alive(kept))
    assert len(small.get_layer("pooling")._inbound_nodes) == 2


@unmasked
def test_masks_reach_what_is_nested():
    y = keras.Input((5, 6))
    inner = keras.Model(y, layers.GRU(6, name="gru")(y), name="inner")
    x = keras.Input((5,), dtype="int32")
    h = layers.Embedding(9, 6, mask_zero=True)(x)
    model = keras.Model(x, DENSE(2)(inner(h)))
    small = smaller(model)
    assert "inner" in names(small)
    tokens = np.array([[3, 4, 0, 0, 0], [3, 4, 0, 0, 7]])
    graph = build(model)
    copy = trim(model, graph, graph.everything)
    for net in (model, copy, small):
        padded, whole = ops.convert_to_numpy(net(tokens))
        recurrent = net.get_layer("inner").get_layer("gru")
        embedded = net.layers[1](tokens[:1, :2])
        read = net.layers[-1](recurrent(embedded))
        np.testing.assert_allclose(
            padded, ops.convert_to_numpy(read)[0], rtol=1e-5
        )
        assert np.abs(padded - whole).max() > 1e-3
    assert_law(model, rate=0.5)


@unmasked
def test_a_mask_of_its_own_is_refused():
    inner = encoder()
    x = keras.Input((4,))
    mask = keras.Input((), dtype="bool")
    model = keras.Model([x, mask], DENSE(2)(inner(x, mask=mask)))
    with pytest.raises(UnsupportedModelError, match="'encoder' is called with"):
        build(model)


def test_what_a_nested_model_is_told_of_training_is_kept():
    def dropping(flat):
        y = keras.Input((50,))
        h = layers.Dropout(0.5, seed=1)(y)
        inner = keras.Model(y, [h, DENSE(3)(y)] if flat else h, name="inner")
        x = keras.Input((50,))
        h = inner(DENSE(50, name="h")(x), training=True)
        return keras.Model(x, DENSE(2)(h[0] if flat else h))

    for flat in (False, True):
        small = smaller(dropping(flat))
        assert ("inner" in names(small)) != flat
        x = random_inputs(small)
        assert np.abs(ops.convert_to_numpy(small(x) - small(x))).max() > 1e-3


def test_pruning_goes_on_under_the_same_names():
    limits = tf_diet.Limits(keep="encoder")
    model = transfer()
    small = model
    for rate in (0.1, 0.2):
        # The second time as much as can go, which is less.
        small = tf_diet.prune(
            small,
            rate=rate,
            criterion="magnitude",
            limits=limits,
            allow_less=True,
        )
    for old, new in zip(
        model.get_layer("encoder").weights,
        small.get_layer("encoder").weights,
        strict=True,
    ):
        assert old.shape == new.shape
    assert small.count_params() < 0.8 * model.count_params()


def test_layers_as_limits_become_names_that_fit_the_copy():
    model = transfer()
    graph = build(model)
    limits = tf_diet.Limits(keep=[model.get_layer("both"), "encoder"])
    named = limits.by_name(graph)
    assert named.keep == (
        "both/relu",
        "both/head/dense",
        "both/head/out",
        "encoder",
    )
    copy, _ = rebuild(model, graph, graph.everything)
    copied = build(copy)
    for one, other in zip(
        limits.bounds(graph), named.bounds(copied), strict=True
    ):
        assert (one.group, one.least) == (other.group, other.least)


class Halved(keras.Model):
    """Trains in its own way; the constructor is that of keras.Model."""

    def train_step(self, data):
        return {"loss": ops.zeros(())}


class Named(keras.Model):
    def __init__(self, width):
        x = keras.Input((4,))
        super().__init__(x, DENSE(2)(DENSE(width)(x)))


def test_a_class_that_keeps_the_constructor_is_kept():
    x = keras.Input((4,))
    small = smaller(Halved(x, DENSE(2)(DENSE(8)(x)), name="mine"))
    assert type(small) is Halved
    assert small.name == "mine"


def test_a_class_with_a_constructor_of_its_own_becomes_plain(caplog):
    small = smaller(Named(8))
    assert type(small) is not Named
    assert "Named" in caplog.text
    assert_law(Named(8), rate=0.5)
