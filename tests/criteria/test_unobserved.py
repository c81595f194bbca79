# SPDX-License-Identifier: MIT
"""Units that no tensor shows: they stay whole, and the plan says so."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet.criteria import Criterion, rank
from tf_diet.graph.build import build

HIDDEN = ("mha.heads", "mha.key_dim")


def attention():
    """Heads and key width are inside; the other units can be seen."""
    x = keras.Input((6, 4))
    h = layers.Dense(8, activation="tanh", name="h")(x)
    y = layers.MultiHeadAttention(4, 3, name="mha")(h, h)
    y = layers.GlobalAveragePooling1D()(y)
    return keras.Model(x, layers.Dense(1)(y))


def data(examples=64):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, 6, 4)).astype("float32")
    return x, x[:, :, 0].sum(axis=1)


@pytest.mark.parametrize(
    "criterion", ["mutual_information", "information_gain", "activation"]
)
def test_hidden_units_score_infinity(criterion):
    model = attention()
    scores = rank(model, build(model), data(), criterion)
    assert scores.unseen == {"mha.heads": 4, "mha.key_dim": 3}
    for name, values in scores.values.items():
        assert np.isinf(values).all() == (name in HIDDEN)
        assert np.isinf(values).any() == (name in HIDDEN)


@pytest.mark.parametrize(
    ("scope", "scaling"),
    [("global", "none"), ("global", "max"), ("local", "dimension")],
)
def test_they_stay_whole_at_any_rate(scope, scaling):
    model = attention()
    plan = tf_diet.plan(model, data(), rate=0.99, scope=scope, scaling=scaling)
    assert plan.kept_units["mha.heads"] == (0, 1, 2, 3)
    assert plan.kept_units["mha.key_dim"] == (0, 1, 2)
    assert len(plan.kept_units["h"]) == 2
    assert "only" in plan.not_reached
    assert "no tensor shows them" in plan.summary()
    small = plan.apply(model)
    assert small.get_layer("mha").num_heads == 4


def test_a_rate_that_the_seen_ones_reach():
    plan = tf_diet.plan(attention(), data(), rate=0.3)
    assert plan.reached >= 0.3
    assert {n: len(plan.kept_units[n]) for n in HIDDEN} == {
        "mha.heads": 4,
        "mha.key_dim": 3,
    }


def test_criteria_of_weights_see_them():
    model = attention()
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude", scope="local")
    assert not rank(model, build(model), None, "magnitude").unseen
    assert len(plan.kept_units["mha.heads"]) < 4
    assert all("no tensor" not in p.reason for p in plan.pinned)


class Half(Criterion):
    """Scores what it is shown."""

    needs = frozenset({"activations"})

    def score(self, group, seen):
        return np.zeros(group.n_units)


def test_units_of_which_only_some_are_seen():
    x = keras.Input((6, 4))
    h = layers.Dense(8, name="h")(x)
    model = keras.Model(x, layers.Dense(1)(h))
    graph = build(model)
    (site,) = graph.group("h").sites
    # As if the tensor showed the first three units alone.
    site.units[3:] = -1
    values = rank(model, graph, data(), Half()).values["h"]
    assert values.tolist() == [0.0] * 3 + [np.inf] * 5
