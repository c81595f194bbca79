# SPDX-License-Identifier: MIT
"""Shapes of graphs: sharing, nesting, branching; the law and what can go."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.pruning.trim import trim
from tf_diet.testing import assert_law, random_kept

pytestmark = pytest.mark.slow

RATES = (0.3, 0.7)
DENSE = layers.Dense


def shared_layer_on_three_inputs():
    inputs = [keras.Input((4,), name=f"in{n}") for n in range(3)]
    shared = DENSE(6, name="shared", activation="relu")
    joined = layers.Concatenate()([shared(x) for x in inputs])
    return keras.Model(inputs, DENSE(2)(joined)), {"shared": 6}


def shared_layer_on_units():
    """Both readers of "shared" must lose the same inputs."""
    x = keras.Input((4,))
    shared = DENSE(5, name="shared")
    a, b = DENSE(6, name="a")(x), DENSE(6, name="b")(x)
    y = layers.Add()([shared(a), ops.tanh(shared(b))])
    return keras.Model(x, DENSE(2)(y)), {"b": 6, "shared": 5}


def recurrence_unrolled():
    """A layer that reads what it has made ties its inputs to its units."""
    x = keras.Input((4,))
    h = DENSE(6, name="first")(x)
    step = DENSE(6, name="step", activation="tanh")
    for _ in range(3):
        h = step(h)
    return keras.Model(x, DENSE(2)(h)), {"first": 6}


def one_layer_with_different_constants():
    x = keras.Input((4,))
    drop = layers.Dropout(0.2)
    h = DENSE(8, name="h")(x)
    a = drop(h, training=False)
    b = drop(h, training=True) * 0.0
    # The same operation with other arguments in each call.
    cut = h[:, :4] + h[:, 4:]
    y = layers.Concatenate()([a, b, cut])
    return keras.Model(x, DENSE(2)(y)), {"h": 4}


def one_reshape_called_twice():
    """Its sizes follow the units, so each call needs one of its own."""
    x = keras.Input((4,))
    shared = layers.Reshape((6, 1))
    a, b = DENSE(6, name="a")(x), DENSE(6, name="b")(x)
    a, b = shared(a), shared(b)
    y = layers.Concatenate()([ops.sum(a, axis=1), ops.sum(b, axis=1)])
    return keras.Model(x, DENSE(2)(y)), {"a": 6, "b": 6}


def attention_with_two_masks():
    x = keras.Input((5, 4))
    h = DENSE(6, name="h")(x)
    attend = layers.MultiHeadAttention(3, 4, name="attend")
    y = attend(h, h) + attend(h, h, use_causal_mask=True)
    groups = {
        "h": 6,
        "attend.heads": 3,
        "attend.key_dim": 4,
        "attend": 6,
    }
    return keras.Model(x, DENSE(2)(y)), groups


def nested_three_deep_called_twice():
    a = keras.Input((5,))
    deepest = keras.Model(a, DENSE(6, name="deep")(a), name="deepest")
    b = keras.Input((4,))
    middle = keras.Model(
        b, ops.tanh(deepest(DENSE(5, name="mid")(b))), name="middle"
    )
    c = keras.Input((4,))
    outer = keras.Sequential([c, middle, layers.ReLU()], name="outer")
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    joined = layers.Concatenate()([outer(x), outer(y)])
    model = keras.Model([x, y], DENSE(2, name="out")(joined))
    return model, {
        "outer/middle/mid": 5,
        "outer/middle/deepest/deep": 6,
    }


def layer_shared_across_nestings():
    shared = DENSE(6, name="shared")
    a = keras.Input((4,))
    one = keras.Model(a, ops.tanh(shared(a)), name="one")
    b = keras.Input((4,))
    other = keras.Model(b, ops.sigmoid(shared(b)), name="other")
    x = keras.Input((4,))
    y = layers.Multiply()([one(x), other(x)]) + shared(x)
    return keras.Model(x, DENSE(2)(y)), {"one/shared": 6}


def nested_model_with_its_own_branches():
    a, b = keras.Input((4,), name="a"), keras.Input((5,), name="b")
    inner = keras.Model(
        {"a": a, "b": b},
        {"sum": DENSE(6, name="p")(a), "rest": DENSE(7, name="q")(b)},
        name="inner",
    )
    x, y = keras.Input((4,), name="x"), keras.Input((5,), name="y")
    made = inner({"b": y, "a": x})
    outputs = [DENSE(2, name="u")(made["sum"]), DENSE(3)(made["rest"])]
    return keras.Model([x, y], outputs), {"inner/p": 6, "inner/q": 7}


def tuples_in_dicts():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    h, g = DENSE(6, name="h")(a), DENSE(5, name="g")(b)
    outputs = {
        "first": DENSE(2, name="u")(h),
        "rest": (DENSE(2, name="v")(g), [DENSE(2, name="w")(h)]),
    }
    return keras.Model({"a": a, "b": b}, outputs), {"h": 6, "g": 5}


def an_output_that_is_read_again():
    x = keras.Input((4,))
    h = DENSE(6, name="h")(x)
    g = DENSE(5, name="g")(h)
    return keras.Model(x, [h, DENSE(2)(g)]), {"g": 5}


def the_same_tensor_out_twice():
    x = keras.Input((4,))
    y = DENSE(2)(DENSE(6, name="h")(x))
    return keras.Model(x, [y, y]), {"h": 6}


def several_outputs_of_one_layer():
    x = keras.Input((6, 3))
    gru = layers.GRU(5, return_sequences=True, return_state=True, name="gru")
    frames, state = gru(x)
    y = layers.Concatenate()([layers.LSTM(4, name="lstm")(frames), state])
    return keras.Model(x, DENSE(2)(y)), {"gru": 5, "lstm": 4}


def tied_weights():
    """The embeddings are the kernel of the last layer too."""
    tokens = keras.Input((5,), dtype="int32")
    table = layers.ReversibleEmbedding(8, 6, name="table")
    h = layers.Conv1D(6, 1, name="conv")(table(tokens))
    return keras.Model(tokens, table(h, reverse=True)), {"table": 6}


def residuals_across_stages():
    x = keras.Input((8, 8, 3))
    h = layers.Conv2D(6, 3, padding="same", name="stage1")(x)
    for number in range(2):
        g = layers.Conv2D(4, 3, padding="same", name=f"inner1{number}")(h)
        g = layers.BatchNormalization()(layers.ReLU()(g))
        h = layers.Add()([h, layers.Conv2D(6, 1)(g)])
    h = layers.Conv2D(8, 2, strides=2, name="stage2")(h)
    h = layers.Add()([h, layers.Conv2D(8, 1)(layers.ReLU()(h))])
    y = DENSE(2)(layers.GlobalAveragePooling2D()(h))
    groups = {"stage1": 6, "inner10": 4, "inner11": 4, "stage2": 8}
    return keras.Model(x, y), groups


def dense_block():
    x = keras.Input((6, 3))
    h = layers.Conv1D(5, 1, name="c0")(x)
    for number in range(1, 4):
        g = layers.ReLU()(layers.BatchNormalization()(h))
        g = layers.Conv1D(4, 2, padding="same", name=f"c{number}")(g)
        h = layers.Concatenate()([h, g])
    y = DENSE(2)(layers.Flatten()(h))
    return keras.Model(x, y), {"c0": 5, "c1": 4, "c2": 4, "c3": 4}


def squeeze_and_excite():
    x = keras.Input((6, 6, 3))
    h = layers.Conv2D(8, 3, name="conv")(x)
    s = layers.GlobalAveragePooling2D(keepdims=True)(h)
    s = layers.Conv2D(4, 1, activation="relu", name="squeeze")(s)
    s = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(s)
    y = DENSE(2)(layers.GlobalMaxPooling2D()(h * s))
    return keras.Model(x, y), {"conv": 8, "squeeze": 4}


def siamese_branches():
    a = keras.Input((6, 3))
    h = layers.Conv1D(6, 2, name="conv")(a)
    tower = keras.Model(a, layers.GlobalMaxPooling1D()(h), name="tower")
    x, y = keras.Input((6, 3), name="x"), keras.Input((6, 3), name="y")
    p, q = tower(x), tower(y)
    near = layers.Concatenate()([ops.abs(p - q), p * q])
    return keras.Model([x, y], DENSE(1)(near)), {"tower/conv": 6}


def map_to_flatten_and_to_convolution():
    x = keras.Input((4, 4, 3))
    h = layers.Conv2D(6, 1, name="map")(x)
    flat = DENSE(5, name="flat")(layers.Flatten()(h))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 2, name="c")(h))
    y = layers.Concatenate()([flat, pooled])
    return keras.Model(x, DENSE(2)(y)), {"map": 6, "flat": 5, "c": 4}


def dead_branches():
    """Tensors that lead nowhere are no part of the model."""
    x = keras.Input((4,))
    h = DENSE(6, name="h")(x)
    DENSE(9, name="nowhere")(h)
    ops.cumsum(h, axis=-1)
    a, _ = ops.split(DENSE(8, name="half")(h), 2, axis=-1)
    return keras.Model(x, DENSE(2)(a)), {"h": 6, "half": 8}


def from_intermediate_tensors():
    x = keras.Input((4,))
    h = DENSE(6, name="before")(x)
    g = DENSE(7, name="inside")(h)
    y = DENSE(5, name="after")(g)
    keras.Model(x, DENSE(3)(y))
    return keras.Model(h, DENSE(2, name="out")(y)), {"inside": 7, "after": 5}


def model_in_two_models():
    a = keras.Input((4,))
    inner = keras.Model(a, DENSE(6, name="h")(a), name="inner")
    other = keras.Input((4,))
    keras.Model(other, ops.softmax(inner(other)))
    x = keras.Input((4,))
    return keras.Model(x, DENSE(2)(inner(x))), {"inner/h": 6}


def head_of_another_model():
    """A new top on the last map of a model, which is then a prefix."""
    x = keras.Input((4,))
    base = keras.Model(x, DENSE(3)(DENSE(6, name="h")(x)))
    h = base.layers[1].output
    return keras.Model(base.input, DENSE(2)(h)), {"h": 6}


def u_net():
    x = keras.Input((8, 8, 2))
    a = layers.Conv2D(4, 3, padding="same", name="down")(x)
    b = layers.Conv2D(6, 3, padding="same", name="low")(
        layers.MaxPooling2D()(a)
    )
    c = layers.Conv2DTranspose(5, 2, strides=2, name="up")(b)
    y = layers.Conv2D(2, 1)(layers.Concatenate()([a, c]))
    return keras.Model(x, y), {"down": 4, "low": 6, "up": 5}


def channel_shuffle():
    """Blocks that are cut apart and laid crosswise go as a whole."""
    x = keras.Input((5, 3))
    h = layers.Conv1D(8, 1, name="h")(x)
    h = layers.Reshape((5, 4, 2))(h)
    h = layers.Reshape((5, 8))(layers.Permute((1, 3, 2))(h))
    y = DENSE(2)(layers.Conv1D(8, 1, groups=1, name="g")(h))
    return keras.Model(x, y), {"h": 4, "g": 8}


SHAPES = {
    f.__name__: f
    for f in (
        shared_layer_on_three_inputs,
        shared_layer_on_units,
        recurrence_unrolled,
        one_layer_with_different_constants,
        one_reshape_called_twice,
        attention_with_two_masks,
        nested_three_deep_called_twice,
        layer_shared_across_nestings,
        nested_model_with_its_own_branches,
        tuples_in_dicts,
        an_output_that_is_read_again,
        the_same_tensor_out_twice,
        several_outputs_of_one_layer,
        tied_weights,
        residuals_across_stages,
        dense_block,
        squeeze_and_excite,
        siamese_branches,
        map_to_flatten_and_to_convolution,
        dead_branches,
        from_intermediate_tensors,
        model_in_two_models,
        head_of_another_model,
        u_net,
        channel_shuffle,
    )
}


@pytest.mark.parametrize("name", SHAPES)
def test_law_and_units(name):
    model, units = SHAPES[name]()
    for seed, rate in enumerate(RATES):
        graph = assert_law(model, rate=rate, seed=seed)
    assert {g.name: g.n_units for g in graph.groups} == units
    assert not graph.barriers


@pytest.mark.parametrize("name", SHAPES)
def test_smaller_model_takes_and_gives_the_same_structure(name):
    model, _ = SHAPES[name]()
    graph = build(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    for side in ("input", "output"):
        full, less = getattr(model, side), getattr(small, side)
        keras.tree.assert_same_structure(full, less)
        for one, other in zip(
            keras.tree.flatten(full), keras.tree.flatten(less), strict=True
        ):
            assert one.shape == other.shape
    again = type(small).from_config(small.get_config())
    assert again.count_params() == small.count_params()


def test_surgery_leaves_no_nodes_in_the_callers_layers():
    model, _ = nested_three_deep_called_twice()
    flat = list(model._flatten_layers())
    nodes = [(len(a._inbound_nodes), len(a._outbound_nodes)) for a in flat]
    weights = [np.array(w) for w in model.get_weights()]
    graph = build(model)
    trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    assert nodes == [
        (len(a._inbound_nodes), len(a._outbound_nodes)) for a in flat
    ]
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
