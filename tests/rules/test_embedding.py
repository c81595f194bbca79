# SPDX-License-Identifier: MIT
"""Tables of vectors, and the way back."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.graph.build import build
from tf_diet.testing import assert_law


def units_of(model):
    graph = assert_law(model, rate=0.5)
    assert not graph.barriers
    return {g.name: g.n_units for g in graph.groups}


def test_masking_of_zeros_passes():
    x = keras.Input((12,), dtype="int32")
    h = layers.Embedding(8, 6, mask_zero=True, name="table")(x)
    model = keras.Model(x, layers.Dense(2)(h))
    assert units_of(model) == {"table": 6}


@pytest.mark.parametrize("tied", [True, False])
def test_there_and_back(tied):
    x = keras.Input((12,), dtype="int32")
    table = layers.ReversibleEmbedding(
        8, 6, tie_weights=tied, logit_soft_cap=3.0, name="table"
    )
    h = table(x)
    h = layers.Add()([h, layers.Dense(6)(layers.Dense(5, name="mlp")(h))])
    model = keras.Model(x, table(h, reverse=True))
    assert units_of(model) == {"table": 6, "mlp": 5}


def test_only_back():
    x = keras.Input((12, 3))
    table = layers.ReversibleEmbedding(8, 6, name="table")
    table.build()
    h = layers.Dense(6, name="before")(x)
    assert units_of(keras.Model(x, table(h, reverse=True))) == {"before": 6}


def test_the_way_back_costs_a_product():
    x = keras.Input((12,), dtype="int32")
    table = layers.ReversibleEmbedding(8, 6)
    model = keras.Model(x, table(table(x), reverse=True))
    graph = build(model)
    assert graph.cost().flops == 2 * 12 * 6 * 8
    alive = graph.alive({graph.groups[0].name: np.arange(3)})
    assert graph.cost(alive).flops == 2 * 12 * 3 * 8
