# SPDX-License-Identifier: MIT
"""What a wrapper says of layers and models inside that it cannot prune."""

import keras
import pytest
from keras import layers

from tf_diet.graph.build import build
from tf_diet.testing import assert_law


def each(layer):
    return layers.TimeDistributed(layer, name="each")


def wrapped(layer, shape=(3, 4)):
    """A model with a layer between Dense layers."""
    x = keras.Input(shape)
    h = layer(layers.Dense(6, name="before")(x))
    return keras.Model(x, layers.Dense(2)(h))


class Doubled(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(name="factor", shape=())

    def call(self, x):
        return x * self.factor

    def compute_output_shape(self, shape):
        return shape


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 3)


STOPS = {
    "a layer": (lambda: each(Doubled()), "Doubled 'doubled"),
    "a layer in a model": (
        lambda: each(keras.Sequential([layers.Dense(3), Doubled()])),
        "Doubled 'doubled",
    ),
    "a layer in a wrapper": (
        lambda: each(layers.TimeDistributed(Doubled())),
        "Doubled 'doubled",
    ),
    "a model in a model": (
        lambda: each(keras.Sequential([keras.Sequential([layers.Dense(3)])])),
        "holds another model",
    ),
    "a subclassed model": (
        lambda: each(Subclassed()),
        "subclass of keras.Model",
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_stops_inside_a_wrapper_is_named(name):
    make, words = STOPS[name]
    shape = (3, 2, 4) if name == "a layer in a wrapper" else (3, 4)
    graph = build(wrapped(make(), shape))
    (barrier,) = graph.barriers
    assert (barrier.path, barrier.kind) == ("each", "TimeDistributed")
    assert words in barrier.reason
    assert barrier.n_frozen == 6
    assert not graph.groups


@keras.saving.register_keras_serializable("test_wrappers")
class Twice(layers.Wrapper):
    def call(self, x):
        return self.layer(x) * 2


@keras.saving.register_keras_serializable("test_wrappers")
class Scaled(layers.Wrapper):
    def build(self, shape):
        super().build(shape)
        self.gain = self.add_weight(name="gain", shape=())

    def call(self, x):
        return self.layer(x) * self.gain


def test_wrappers_of_ones_own():
    opened = assert_law(wrapped(Twice(layers.Dense(5), name="twice")))
    assert not opened.barriers
    assert sorted(g.n_units for g in opened.groups) == [5, 6]
    closed = assert_law(wrapped(Scaled(layers.Dense(5), name="scaled")))
    assert not closed.groups
    (barrier,) = closed.barriers
    assert barrier.kind == "Scaled"
    assert "weights of its own (gain)" in barrier.reason
