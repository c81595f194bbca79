# SPDX-License-Identifier: MIT
"""Layers and models made of other layers are opened, or say why not."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.errors import UnsupportedModelError
from tf_diet.graph.build import build
from tf_diet.graph.composite import sublayers
from tf_diet.graph.walk import walk
from tf_diet.pruning.trim import trim
from tf_diet.testing import assert_law, random_kept, randomise

pytestmark = pytest.mark.slow

Dense, Model, Input = layers.Dense, keras.Model, keras.Input


class Block(layers.Layer):
    def __init__(self, units=5, **kwargs):
        super().__init__(**kwargs)
        self.a = Dense(units, name="a")
        self.b = Dense(units, name="b")
        self.drop = layers.Dropout(0.5)

    def call(self, x, factor=1.0, training=False):
        x = ops.relu(self.a(x) * factor)
        return self.drop(self.b(x), training=training)


class Several(layers.Layer):
    """Several inputs, outputs in a structure, one of them its input."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a = Dense(6, name="a")
        self.b = Dense(5, name="b")

    def call(self, x, context):
        return {"x": x, "sum": self.a(x) + self.a(context), "l": [self.b(x)]}


class Holds(layers.Layer):
    """Holds a layer that others hold, too."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return ops.relu(self.inner(x))


def wide(units=6):
    x = Input((4,))
    return x, Dense(units, name="wide")(x)


def called_twice_with_other_constants():
    x, h = wide()
    block = Block(name="block")
    one, other = block(h, factor=2.0), block(h, factor=-3.0)
    return Model(x, Dense(2)(layers.Concatenate()([one, other])))


def several_tensors():
    x, h = wide()
    got = Several(name="several")(h, context=ops.tanh(h))
    return Model(x, [Dense(2)(got[k]) for k in ("x", "sum")] + got["l"])


def layer_of_two_composites():
    x, h = wide()
    inner = Dense(6, name="inner")
    one, other = Holds(inner, name="one"), Holds(inner, name="other")
    return Model(x, Dense(2)(other(one(h))))


def output_of_an_inner_model_that_nobody_reads():
    y = Input((4,))
    h = Dense(6, name="read")(y)
    inner = Model(y, [h, Dense(5, name="unread")(h)], name="inner")
    x = Input((4,))
    return Model(x, Dense(2)(inner(x)[0]))


OPENED = {
    called_twice_with_other_constants: {"wide": 6, "block/a": 5, "block/b": 5},
    several_tensors: {"wide": 6, "several/a": 6},
    layer_of_two_composites: {"wide": 6},
    output_of_an_inner_model_that_nobody_reads: {"inner/read": 6},
}


def nodes(model):
    found = [call.operation for call in walk(model).calls]
    return [
        (len(layer._inbound_nodes), len(layer._outbound_nodes))
        for one in [model, *found]
        for layer in sublayers(one)
    ]


@pytest.mark.parametrize("make", OPENED, ids=lambda make: make.__name__)
def test_law_and_units(make):
    model = make()
    called = nodes(model)
    graph = assert_law(model, rate=0.5, seed=1)
    assert {g.name: g.n_units for g in graph.groups} == OPENED[make]
    assert not graph.barriers
    assert nodes(model) == called


class Part(layers.Layer):
    """One layer inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a = Dense(5)


class OwnWeight(Part):
    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=(5,))
        self.a.build(shape)

    def call(self, x):
        return self.a(x) * self.gain


class OtherOperations(Part):
    def call(self, x, training=False):
        x = self.a(x)
        return ops.tanh(x) if training else ops.relu(x)


class OtherConstants(Part):
    def call(self, x, training=False):
        return self.a(x) * (1.0 if training else 2.0)


class OtherSettings(Part):
    def call(self, x, training=False):
        return ops.leaky_relu(self.a(x), 0.1 if training else 0.4)


class OtherOrder(Block):
    def call(self, x, training=False):
        x, y = self.a(x), ops.tanh(self.b(x))
        return y - x if training else x - y


class OtherLayers(Block):
    def call(self, x, training=False):
        a, b = self.a(x), self.b(x)
        return ops.relu(a if training else b) + ops.tanh(a * b)


class OtherArrays(Part):
    def call(self, x, training=False):
        factor = np.full(5, 1.0 if training else 2.0, "float32")
        return self.a(x) * ops.convert_to_tensor(factor)


class ReadsTransposed(Part):
    def call(self, x):
        return ops.matmul(self.a(x), ops.transpose(self.a.kernel))


class Frozen(Part):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization()

    def call(self, x):
        return self.norm(self.a(x), training=False)


TRAINING = "it has no pruning rule and does something else in training"
CLOSED = {
    OwnWeight: "it has weights of its own (gain) and no pruning rule",
    OtherOperations: TRAINING,
    OtherConstants: TRAINING,
    OtherSettings: TRAINING,
    OtherOrder: TRAINING,
    OtherLayers: TRAINING,
    OtherArrays: TRAINING,
    Frozen: "it has no pruning rule and tells its layers whether they train",
    ReadsTransposed: "it has no pruning rule and uses a weight directly",
}


@pytest.mark.parametrize("kind", CLOSED, ids=lambda kind: kind.__name__)
def test_what_cannot_be_opened_stops_the_graph_by_name(kind):
    x, h = wide()
    h = Dense(7, name="after")(kind(name="odd")(h))
    graph = build(Model(x, Dense(2)(h)))
    (barrier,) = graph.barriers
    assert (barrier.path, barrier.kind) == ("odd", kind.__name__)
    assert barrier.reason == CLOSED[kind]
    assert barrier.n_frozen == 6
    assert [g.name for g in graph.groups] == ["after"]


class ByLayers(Model):
    """Another branch in training; both are there."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a = Dense(6)
        self.b = Dense(2)

    def call(self, x, training=False):
        return self.b(self.a(x) * (2.0 if training else 1.0))


def test_subclassed_model_that_trains_otherwise_is_refused():
    model = ByLayers()
    model(np.zeros((1, 4), "float32"))
    with pytest.raises(UnsupportedModelError, match="in training"):
        build(model)


def test_dropout_inside_still_drops_in_training():
    model = called_twice_with_other_constants()
    randomise(model)
    graph = build(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.3)))
    x = np.ones((64, 4), "float32")
    for one in (model, small):
        still, trained = (
            ops.convert_to_numpy(one(x, training=flag))
            for flag in (False, True)
        )
        assert np.ptp(still, axis=0).max() < 1e-5
        assert np.ptp(trained, axis=0).max() > 1e-2
