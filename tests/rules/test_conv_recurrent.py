# SPDX-License-Identifier: MIT
"""ConvLSTM layers: feature maps as states."""

import keras
import pytest
from keras import layers

from tf_diet.testing import assert_law

pytestmark = pytest.mark.slow


def feature_maps(layer, shape):
    x = keras.Input(shape)
    outputs = keras.tree.flatten(layer(x))
    return keras.Model(
        x, [layers.Dense(2)(layers.Flatten()(y)) for y in outputs]
    )


def first_state(x):
    h = layers.ConvLSTM1D(4, 1, return_sequences=True, name="low")(x)
    start = layers.Conv1D(3, 2, name="start")(h[:, 0])
    return layers.ConvLSTM1D(3, 2)(h, initial_state=[start, start])


FEATURE_MAPS = {
    "ConvLSTM1D": (
        lambda x: layers.ConvLSTM1D(
            3, 2, strides=2, use_bias=False, return_state=True, name="top"
        )(layers.ConvLSTM1D(4, 1, return_sequences=True, name="low")(x)),
        (2, 5, 2),
        {"low": 4, "top": 3},
    ),
    "ConvLSTM2D": (
        lambda x: layers.ConvLSTM2D(
            3, 2, padding="same", return_sequences=True, name="top"
        )(x),
        (2, 3, 3, 2),
        {"top": 3},
    ),
    "ConvLSTM3D": (
        lambda x: layers.ConvLSTM3D(3, 2, name="top")(x),
        (2, 3, 3, 3, 1),
        {"top": 3},
    ),
    "initial state": (first_state, (2, 5, 2), {"low": 4, "start": 3}),
}


@pytest.mark.parametrize("name", FEATURE_MAPS)
def test_feature_maps_over_time(name):
    layer, shape, expected = FEATURE_MAPS[name]
    graph = assert_law(feature_maps(layer, shape), seed=1)
    assert {g.name: g.n_units for g in graph.groups} == expected


def test_channels_first():
    def layer(x):
        h = layers.ConvLSTM2D(
            4, 2, data_format="channels_first", return_sequences=True
        )(x)
        return layers.ConvLSTM2D(3, 2, data_format="channels_first")(h)

    model = feature_maps(layer, (2, 1, 4, 4))
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow convolves channels_last alone on a CPU")
    graph = assert_law(model)
    assert sorted(g.n_units for g in graph.groups) == [3, 4]
