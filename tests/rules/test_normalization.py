# SPDX-License-Identifier: MIT
"""Normalisations: what goes exactly, what stays, what goes at a price."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.errors import StreamingError
from tf_diet.graph.build import build
from tf_diet.graph.groups import Options
from tf_diet.graph.rule_table import rule_for
from tf_diet.graph.walk import walk
from tf_diet.pruning.trim import trim
from tf_diet.testing import assert_law, random_inputs, random_kept, randomise


def around(layer, shape=(12, 6), permute=None):
    """A model of Dense, perhaps Permute, the layer, and Dense."""
    x = keras.Input(shape)
    h = layers.Dense(shape[-1], name="before")(x)
    if permute:
        h = layers.Permute(permute)(h)
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(layer(h))))


def law(model, units, groups=1):
    graph = assert_law(model, rate=0.5)
    assert sum(g.n_units for g in graph.groups) == units
    assert len(graph.groups) == groups
    assert not graph.barriers
    return graph


EXACT = {
    "batch": lambda: layers.BatchNormalization(),
    "batch bare": lambda: layers.BatchNormalization(scale=False, center=False),
    "batch renorm": lambda: layers.BatchNormalization(renorm=True),
    "batch over time": lambda: layers.BatchNormalization(axis=1),
    "layer over time": lambda: layers.LayerNormalization(axis=1),
    "instance": lambda: layers.GroupNormalization(groups=-1),
    "instance bare": lambda: layers.GroupNormalization(
        6, center=False, scale=False
    ),
    "rms": layers.RMSNormalization,
    "rms wide epsilon": lambda: layers.RMSNormalization(epsilon=0.3),
    "rms over time too": lambda: layers.RMSNormalization(axis=[1, 2]),
    "unit": layers.UnitNormalization,
    "unit over both": lambda: layers.UnitNormalization(axis=[1, 2]),
    "given": lambda: layers.Normalization(
        mean=np.arange(6.0), variance=np.arange(1.0, 7.0)
    ),
    "given for all": lambda: layers.Normalization(
        axis=None, mean=2.0, variance=3.0
    ),
    "given on two axes": lambda: layers.Normalization(
        axis=(1, 2), mean=np.arange(6.0), variance=np.arange(1.0, 7.0)
    ),
    "given, inverted": lambda: layers.Normalization(
        mean=np.arange(6.0), variance=np.arange(1.0, 7.0), invert=True
    ),
    "adapted": layers.Normalization,
    "adapted on two axes": lambda: layers.Normalization(axis=(1, 2)),
    "rescaled": lambda: layers.Rescaling(list(range(1, 7)), np.arange(6.0)),
    "offset": lambda: layers.Rescaling(0.5, [1, 2, 3, 4, 5, 6]),
    "prelu": layers.PReLU,
    "prelu of one slope": lambda: layers.PReLU(shared_axes=[1, 2]),
    "prelu shared": lambda: layers.PReLU(shared_axes=[1]),
    "dropout": lambda: layers.Dropout(0.5, noise_shape=(None, 1, 6)),
    "alpha dropout": lambda: layers.AlphaDropout(0.5, noise_shape=(1, 6)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_single_channels_go(name):
    law(around(EXACT[name]()), 6)


MOVED = {
    "batch": lambda: layers.BatchNormalization(axis=1),
    "instance": lambda: layers.GroupNormalization(-1, axis=1),
    "given": lambda: layers.Normalization(
        axis=1, mean=np.arange(6.0), variance=np.arange(1.0, 7.0)
    ),
    "adapted": lambda: layers.Normalization(axis=-2),
    "rescaled": lambda: layers.Rescaling(np.arange(1.0, 7.0)[:, None]),
    "prelu": lambda: layers.PReLU(shared_axes=[2]),
    "unit": lambda: layers.UnitNormalization(axis=1),
    "layer over the rest": lambda: layers.LayerNormalization(),
    "rms over the rest": lambda: layers.RMSNormalization(),
    "dropout": lambda: layers.Dropout(0.5, noise_shape=(None, 6, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MOVED)
def test_channels_that_are_not_last(name):
    law(around(MOVED[name](), (12, 6), permute=(2, 1)), 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "units"), [(1, 0), (2, 2), (3, 3), (6, 6), (-1, 6)]
)
def test_groups_go_whole(groups, units):
    model = around(layers.GroupNormalization(groups))
    graph = law(model, units, groups=1 if units else 0)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.6)))
    layer = next(
        x for x in small.layers if isinstance(x, layers.GroupNormalization)
    )
    width = small.get_layer("before").units
    assert width % layer.groups == 0
    assert layer.get_config()["groups"] == layer.groups
    if units == 3:
        assert width // layer.groups == 2


PINNED = {
    "layer": layers.LayerNormalization,
    "layer, variance only": lambda: layers.LayerNormalization(
        center=False, scale=False
    ),
    "layer over both": lambda: layers.LayerNormalization(axis=[1, 2]),
    "one group": lambda: layers.GroupNormalization(1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PINNED)
def test_statistics_over_channels_keep_them_or_break_the_law(name):
    model = around(PINNED[name]())
    graph = law(model, 0, groups=0)
    (pin,) = (p for p in graph.pinned if p.name == "before")
    assert "takes statistics over this axis" in pin.reason
    graph = build(model, Options(exact=False))
    assert [g.n_units for g in graph.groups] == [6]
    assert [p.n_units for p in graph.inexact] == [6]
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    outputs = small(random_inputs(model))
    assert np.isfinite(keras.ops.convert_to_numpy(outputs)).all()
    assert small.count_params() < model.count_params()


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling")
def test_scaling_by_the_variance_keeps_channels():
    law(around(layers.LayerNormalization(rms_scaling=True)), 0, groups=0)


def test_weights_in_another_order_than_the_axes_are_never_cut():
    model = around(layers.LayerNormalization(axis=[1, -1]), (6, 6))
    graph = build(model, Options(exact=False))
    assert not graph.groups
    reasons = [p.reason for p in graph.pinned if p.name == "before"]
    assert "another order" in reasons[0]


def test_rms_with_a_scale_on_other_axes_keeps_channels():
    law(around(layers.RMSNormalization(axis=1), (6, 6)), 0, groups=0)


def test_rms_is_wrong_without_its_correction():
    model = around(layers.RMSNormalization(epsilon=0.5))
    randomise(model)
    graph = build(model)
    alive = graph.alive({"before": [1, 4, 5]})
    small = trim(model, graph, alive)
    layer = small.layers[2]
    assert layer.get_config()["epsilon"] == pytest.approx(1.0)
    before = keras.ops.convert_to_numpy(model.layers[2].scale)
    after = keras.ops.convert_to_numpy(layer.scale)
    np.testing.assert_allclose(after, before[[1, 4, 5]] * np.sqrt(2), rtol=1e-6)


def test_rms_that_is_called_twice_is_corrected_once():
    x = keras.Input((12, 4))
    norm = layers.RMSNormalization()
    h = norm(layers.Dense(6)(x))
    h = norm(layers.Dense(6)(h))
    law(keras.Model(x, layers.Dense(2)(h)), 6)


def test_adapted_statistics_survive_saving(tmp_path):
    layer = layers.Normalization()
    model = around(layer)
    layer.adapt(np.random.default_rng(0).normal(3, 2, (20, 12, 6)))
    graph = build(model)
    small = trim(model, graph, graph.alive({"before": [0, 2, 3]}))
    mean = keras.ops.convert_to_numpy(small.layers[2].mean)
    full = keras.ops.convert_to_numpy(layer.mean)
    np.testing.assert_allclose(mean, full[..., [0, 2, 3]])
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    x = random_inputs(model)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(again(x)),
        keras.ops.convert_to_numpy(small(x)),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["given", "rescaled", "dropout", "rms"])
def test_edited_config_survives_saving(name, tmp_path):
    model = around(EXACT[name]())
    randomise(model)
    graph = build(model)
    small = trim(model, graph, graph.alive({"before": [0, 2, 3]}))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    x = random_inputs(model)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(again(x, training=False)),
        keras.ops.convert_to_numpy(small(x, training=False)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_dropout_trains_with_a_recounted_noise_shape():
    model = around(layers.Dropout(0.5, noise_shape=(None, 1, 6)))
    graph = build(model)
    small = trim(model, graph, graph.alive({"before": [0, 2, 3]}))
    assert small(random_inputs(model), training=True).shape == (2, 2)


def test_a_normalisation_over_time_has_no_step():
    model = around(layers.LayerNormalization(axis=1))
    call = walk(model).calls[1]
    with pytest.raises(StreamingError, match="which is time"):
        rule_for(call.operation).in_time(call, [1])
