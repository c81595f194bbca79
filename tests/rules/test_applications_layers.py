# SPDX-License-Identifier: MIT
"""Layers that keras.applications defines, and a whole ConvNeXt."""

import keras
import numpy as np
from keras import layers
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from tf_diet.graph.build import build
from tf_diet.graph.groups import Options
from tf_diet.pruning.trim import trim
from tf_diet.testing import assert_law, random_inputs, random_kept, randomise


def units_of(model, **options):
    graph = assert_law(model, rate=0.6, **options)
    assert not graph.barriers
    return {g.name: g.n_units for g in graph.groups}


def block(normalisation):
    """A block of ConvNeXt on narrow tensors."""
    x = keras.Input((6, 6, 3))
    stem = layers.Conv2D(8, 1, name="stem")(x)
    h = layers.Conv2D(8, 3, padding="same", groups=8)(stem)
    h = layers.Dense(12, activation="gelu", name="wide")(normalisation(h))
    h = LayerScale(1e-6, 8, name="scale")(layers.Dense(8)(h))
    h = layers.Add()([stem, StochasticDepth(0.1)(h)])
    return keras.Model(x, layers.Dense(2)(h))


def test_factors_of_channels_follow_them():
    model = block(layers.BatchNormalization())
    assert units_of(model) == {"stem": 8, "wide": 12}
    graph = build(model)
    small = trim(model, graph, graph.alive({"stem": [1, 2, 7]}))
    scale = small.get_layer("scale")
    assert scale.get_config()["projection_dim"] == 3
    full = keras.ops.convert_to_numpy(model.get_layer("scale").gamma)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(scale.gamma), full[[1, 2, 7]]
    )


def test_layer_normalisation_keeps_the_stream_of_a_block():
    model = block(layers.LayerNormalization())
    assert units_of(model) == {"wide": 12}
    graph = build(model, Options(exact=False))
    assert {g.name: g.n_units for g in graph.groups} == {"stem": 8, "wide": 12}
    assert [(p.name, p.n_units) for p in graph.inexact] == [("stem", 8)]


def test_a_scaled_sum_ties_its_terms():
    x = keras.Input((6, 6, 3))
    one = layers.Conv2D(8, 1, name="one")(x)
    other = layers.Conv2D(8, 1, name="other")(x)
    h = CustomScaleLayer(0.3)([one, other])
    units = units_of(keras.Model(x, layers.Dense(2)(h)))
    assert list(units.values()) == [8]


def test_a_whole_convnext_shrinks_all_over_where_the_law_is_given_up():
    model = keras.applications.ConvNeXtTiny(
        weights=None,
        input_shape=(32, 32, 3),
        classes=10,
        classifier_activation=None,
    )
    randomise(model)
    exact, free = build(model), build(model, Options(exact=False))
    assert not exact.barriers
    assert 0.93 < exact.prunable_share < 0.94
    assert free.prunable_share > 0.999
    assert {p.name for p in free.pinned} == {"convnext_tiny_head_dense"}
    assert sum(g.n_units for g in free.groups) == 27936
    small = trim(model, free, free.alive(random_kept(free, 0.7)))
    assert small.count_params() < 0.2 * model.count_params()
    outputs = small(random_inputs(model, batch=1))
    assert np.isfinite(keras.ops.convert_to_numpy(outputs)).all()
