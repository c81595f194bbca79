# SPDX-License-Identifier: MIT
"""Composites in models, and subclassed models, opened and trained on."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.errors import UnsupportedModelError
from tf_diet.graph.build import build
from tf_diet.pruning.trim import trim
from tf_diet.testing import assert_law, random_kept, randomise

pytestmark = pytest.mark.slow

register = keras.saving.register_keras_serializable("tests")


@register
class Block(layers.Layer):
    """Two layers and a sum; says what it does by calling them."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.wide = layers.Dense(units, activation="relu", name="wide")
        self.norm = layers.BatchNormalization(name="norm")
        self.back = layers.Dense(6, name="back")

    def call(self, x, training=None):
        return x + self.back(self.norm(self.wide(x), training=training))


@register
class Tower(layers.Layer):
    """A composite of composites, in a list, with a skip around each."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Block(n, name=f"block{n}") for n in (5, 7)]

    def call(self, x):
        for block in self.blocks:
            x = ops.tanh(block(x))
        return x


@register
class Crossed(layers.Layer):
    """Several inputs by name, several outputs in a dict."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.left = layers.Dense(6, name="left")
        self.right = layers.Dense(6, name="right")

    def call(self, a, *, b, scale=1.0):
        p, q = self.left(a), self.right(b)
        return {"sum": p + q, "product": p * q * scale}


def around(layer, times=1):
    x = keras.Input((4,))
    h = layers.Dense(6, name="before")(x)
    for _ in range(times):
        h = layer(h)
    return keras.Model(x, layers.Dense(2, name="out")(h))


def crossed():
    x, y = keras.Input((4,), name="x"), keras.Input((3,), name="y")
    made = Crossed(name="crossed")(x, b=y, scale=0.5)
    joined = layers.Concatenate()([made["sum"], made["product"]])
    return keras.Model([x, y], layers.Dense(2)(joined))


def in_nested_model():
    a = keras.Input((6,))
    inner = keras.Model(a, Block(5, name="block")(a), name="inner")
    x = keras.Input((4,))
    h = layers.Dense(6, name="before")(x)
    return keras.Model(x, layers.Dense(2)(inner(inner(h))))


OPENED = {
    "nested": (
        lambda: around(Tower(name="tower")),
        {"before": 6, "tower/block5/wide": 5, "tower/block7/wide": 7},
    ),
    "several in and out": (crossed, {"crossed/left": 6}),
    "in a nested model": (
        in_nested_model,
        {"before": 6, "inner/block/wide": 5},
    ),
}


@pytest.mark.parametrize("name", OPENED)
def test_composites_are_opened(name):
    make, units = OPENED[name]
    model = make()
    for seed, rate in enumerate((0.3, 0.7)):
        graph = assert_law(model, rate=rate, seed=seed)
    assert not graph.barriers
    assert {g.name: g.n_units for g in graph.groups} == units
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    again = type(small).from_config(small.get_config())
    assert again.count_params() == small.count_params()


def test_opening_leaves_no_nodes_and_no_weights_behind():
    model = around(Tower(name="tower"))
    flat = list(model._flatten_layers())
    nodes = [(len(a._inbound_nodes), len(a._outbound_nodes)) for a in flat]
    build(model)
    assert nodes == [
        (len(a._inbound_nodes), len(a._outbound_nodes)) for a in flat
    ]
    assert flat == list(model._flatten_layers())


@register
class Net(keras.Model):
    """A subclassed model with a composite inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.before = layers.Dense(6, name="before")
        self.block = Block(5, name="block")
        self.drop = layers.Dropout(0.3)
        self.head = layers.Dense(2, name="head")

    def call(self, x, training=None):
        h = self.block(self.before(x), training=training)
        return self.head(self.drop(h, training=training))


@register
class Pair(keras.Model):
    """Takes a dict, returns a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one = layers.Dense(6, name="one")
        self.other = layers.Conv1D(5, 2, name="other")
        self.pool = layers.GlobalMaxPooling1D()
        self.heads = [layers.Dense(2, name=f"head{n}") for n in range(2)]

    def call(self, inputs):
        h = self.one(inputs["vector"])
        g = self.pool(self.other(inputs["frames"]))
        return [self.heads[0](h), self.heads[1](g)]


@register
class TwoPaths(keras.Model):
    """Shares one layer between two paths of a list of inputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.shared = layers.Dense(6, name="shared")
        self.head = layers.Dense(2, name="head")

    def call(self, inputs):
        a, b = inputs
        return self.head(ops.abs(self.shared(a) - self.shared(b)))


def built(model, x):
    model(x)
    return model


def frames(*shape):
    return np.ones((2, *shape), "float32")


SUBCLASSED = {
    "plain": (lambda: built(Net(), frames(4)), 11),
    "dict in, list out": (
        lambda: built(Pair(), {"vector": frames(4), "frames": frames(5, 3)}),
        11,
    ),
    "list in": (lambda: built(TwoPaths(), [frames(4), frames(4)]), 6),
}


@pytest.mark.parametrize("name", SUBCLASSED)
def test_subclassed_models_are_opened(name):
    make, units = SUBCLASSED[name]
    model = make()
    for seed, rate in enumerate((0.3, 0.7)):
        graph = assert_law(model, rate=rate, seed=seed)
    assert sum(g.n_units for g in graph.groups) == units
    assert not graph.barriers


def test_an_opened_model_computes_what_it_did():
    model = built(Net(), frames(4))
    randomise(model)
    graph = build(model)
    same = trim(model, graph, graph.everything)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(same(x)),
        keras.ops.convert_to_numpy(model(x)),
        rtol=1e-5,
        atol=1e-6,
    )


@register
class Dropping(layers.Layer):
    """Trains only when told, as is often written."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(6, name="inner")
        self.drop = layers.Dropout(0.5)

    def call(self, x, training=False):
        return self.drop(self.inner(x), training=training)


def spread(model, training):
    """How far apart equal samples come out."""
    y = keras.ops.convert_to_numpy(model(frames(4), training=training))
    return float(np.ptp(y, axis=0).max())


def test_opened_composites_go_on_to_train():
    model = around(Dropping(name="mine"))
    graph = build(model)
    assert not graph.barriers
    same = trim(model, graph, graph.everything)
    assert spread(same, training=False) == 0
    assert spread(same, training=True) > 0


def test_a_call_that_is_told_whether_it_trains_stays_told():
    x = keras.Input((4,))
    h = Dropping(name="mine")(layers.Dense(6)(x), training=True)
    model = keras.Model(x, layers.Dense(2)(h))
    graph = build(model)
    same = trim(model, graph, graph.everything)
    # Keras' own call with True or False would tell all layers anew.
    assert spread(model, training=None) > 0
    assert spread(same, training=None) > 0


def test_a_subclassed_model_inside_a_functional_one():
    x = keras.Input((4,))
    h = layers.Dense(4, name="first")(x)
    model = keras.Model(x, layers.Dense(2)(ops.tanh(Net(name="net")(h))))
    graph = assert_law(model)
    assert {g.n_units for g in graph.groups} == {2, 4, 5, 6}
    assert not graph.barriers


class Argued(keras.Model):
    """Takes two arguments."""

    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(3)

    def call(self, a, b):
        return self.inner(a + b)


def test_what_cannot_be_walked_says_why():
    with pytest.raises(UnsupportedModelError, match="not been called"):
        build(Net())
    model = Argued()
    model(frames(4), frames(4))
    with pytest.raises(UnsupportedModelError, match="missing 1 required"):
        build(model)
