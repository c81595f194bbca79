# SPDX-License-Identifier: MIT
"""What limits ask for holds, in every scope, down to parts of a group."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tf_diet
from tf_diet import Limits
from tf_diet.errors import InputError
from tf_diet.graph.build import build
from tf_diet.pruning.selection import scopes, select
from tf_diet.testing import random_kept


def branches():
    """Two halves joined and added to a third layer: one group, three layers."""
    x = keras.Input((5,), name="x")
    left = layers.Dense(8, name="left")(x)
    right = layers.Dense(8, name="right")(x)
    both = layers.Concatenate(name="both")([left, right])
    whole = layers.Dense(16, name="whole")(x)
    h = layers.Add(name="sum")([both, whole])
    h = layers.Dense(12, activation="relu", name="hidden")(h)
    return keras.Model(x, layers.Dense(3, name="head")(h), name="branches")


def nested():
    a = keras.Input((6,))
    inner = keras.Model(
        a, layers.Dense(8, name="out")(layers.Dense(10, name="in")(a))
    )
    inner.name = "backbone"
    x = keras.Input((6,))
    h = layers.Dense(9, name="top")(inner(x))
    return keras.Model(x, layers.Dense(2, name="head")(h))


def kept_of(model, limits, scope="global", rate=0.999, seed=0):
    graph = build(model, limits.options())
    rng = np.random.default_rng(seed)
    values = {g.name: rng.uniform(size=g.n_units) for g in graph.groups}
    order = scopes.get(scope)(values, graph)
    most = (1 - rate) * graph.parameters()
    bounds = limits.bounds(graph)
    kept, _ = select(
        graph,
        order,
        bounds,
        lambda alive: graph.parameters(alive) <= most,
        limits.round_to,
    )
    return graph, kept


def width(graph, kept, layer):
    """How many columns a Dense layer keeps."""
    axis = graph.axes[f"{layer}/kernel"][1]
    return int(graph.alive(kept)[axis].sum())


@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_kept_layer_keeps_its_part_of_a_group_of_another_name(scope):
    model = branches()
    assert [g.name for g in build(model).groups] == ["left", "hidden"]
    graph, kept = kept_of(model, Limits(keep=["right"]), scope)
    assert width(graph, kept, "right") == 8
    assert width(graph, kept, "left") < 8
    assert width(graph, kept, "whole") == 8 + width(graph, kept, "left")


@pytest.mark.parametrize(
    "keep",
    [
        "right",
        ["righ?"],
        lambda model: model.get_layer("right"),
        lambda model: [model.get_layer("right")],
        lambda model: lambda layer: layer.name == "right",
    ],
    ids=["name", "pattern", "layer", "layers", "predicate"],
)
def test_ways_to_name_a_layer_agree(keep):
    model = branches()
    keep = keep(model) if callable(keep) else keep
    _, kept = kept_of(model, Limits(keep=keep))
    _, named = kept_of(model, Limits(keep=("right",)))
    for name, units in named.items():
        np.testing.assert_array_equal(kept[name], units)


def test_a_layer_without_weights_keeps_what_it_hands_on():
    _, kept = kept_of(branches(), Limits(keep="both"))
    assert len(kept["left"]) == 16
    assert len(kept["hidden"]) == 2


def test_a_layer_keeps_the_units_that_it_has_inside():
    x = keras.Input((5, 4))
    h = layers.Dense(6, name="front")(x)
    h = layers.MultiHeadAttention(6, 2, name="mha")(h, h)
    model = keras.Model(x, layers.Dense(2)(h))
    for keep in ("mha", "mha.heads", [model.get_layer("mha")]):
        _, kept = kept_of(model, Limits(keep=keep))
        assert len(kept["mha.heads"]) == 6
        assert len(kept["front"]) == 2
    _, kept = kept_of(model, Limits(max_rate={"mha": 0.5}))
    assert len(kept["mha.heads"]) == 3


def test_a_nested_model_stands_for_all_in_it():
    model = nested()
    backbone = model.get_layer("backbone")
    for keep in ("backbone", backbone, "backbone/*"):
        graph, kept = kept_of(model, Limits(keep=[keep]))
        assert width(graph, kept, "backbone/in") == 10
        assert width(graph, kept, "backbone/out") == 8
        assert width(graph, kept, "top") == 2
    graph, kept = kept_of(model, Limits(keep=["in"]))
    assert width(graph, kept, "backbone/in") == 10
    assert width(graph, kept, "backbone/out") == 2


@pytest.mark.slow
@given(
    seed=st.integers(0, 999),
    scope=st.sampled_from(["global", "local"]),
    rate=st.floats(0.1, 0.99),
    round_to=st.sampled_from([1, 2, 4, 5]),
)
@settings(max_examples=25, deadline=None)
def test_everything_at_once_holds(seed, scope, rate, round_to):
    limits = Limits(
        keep=[lambda layer: layer.name == "left"],
        max_rate={"": 0.7, "right": 0.5, "hid*": 0.4},
        min_width={"right": 5, "hidden": 3},
        round_to=round_to,
    )
    graph, kept = kept_of(branches(), limits, scope, rate, seed)
    assert width(graph, kept, "left") == 8
    assert width(graph, kept, "right") >= 5
    assert width(graph, kept, "hidden") >= 8  # ceil(0.6 * 12)
    for group in graph.groups:
        count = len(kept[group.name])
        assert count % round_to == 0 or count == group.n_units


@pytest.mark.parametrize("scope", ["global", "local"])
def test_bounds_are_met_exactly_when_all_that_can_go_goes(scope):
    limits = Limits(max_rate={"right": 0.25}, min_width={"hidden": 50})
    graph, kept = kept_of(branches(), limits, scope)
    assert width(graph, kept, "right") == 6
    assert len(kept["hidden"]) == 12
    # What is spared elsewhere is not paid for by units that are bound.
    assert width(graph, kept, "left") == 1


@pytest.mark.parametrize("scope", ["global", "local"])
def test_no_layer_is_emptied_where_its_group_is_not(scope):
    for seed in range(8):
        graph, kept = kept_of(branches(), Limits(), scope, seed=seed)
        assert len(kept["left"]) == 2
        assert width(graph, kept, "left") == width(graph, kept, "right") == 1
        drawn = random_kept(graph, 0.95, seed)
        assert min(width(graph, drawn, n) for n in ("left", "right")) >= 1


def test_rounding_goes_up_and_never_past_the_width():
    model = branches()
    for round_to, widths in {
        4: {"left": 4, "hidden": 4},
        5: {"left": 5, "hidden": 5},
        8: {"left": 8, "hidden": 8},
        13: {"left": 13, "hidden": 12},
        99: {"left": 16, "hidden": 12},
    }.items():
        _, kept = kept_of(model, Limits(round_to=round_to))
        assert {n: len(k) for n, k in kept.items()} == widths


def test_rounding_keeps_the_rate_true():
    model = branches()
    plan = tf_diet.plan(
        model, rate=0.4, criterion="magnitude", limits=Limits(round_to=4)
    )
    small = plan.apply(model)
    gone = model.count_params() - small.count_params()
    assert plan.reached == gone / model.count_params()
    assert plan.reached >= 0.4
    assert {len(k) % 4 for k in plan.kept_units.values()} == {0}


def test_tied_layers_lose_the_same_units():
    x = keras.Input((5,))
    a = layers.Dense(8, activation="relu", name="a")(x)
    b = layers.Dense(8, activation="tanh", name="b")(x)
    outputs = [layers.Dense(2)(a), layers.Dense(2)(b)]
    model = keras.Model(x, outputs)
    limits = Limits(tie=[("a", "b")])
    plan = tf_diet.plan(
        model, rate=0.5, criterion="random", limits=limits, seed=3
    )
    kept = plan.kept(model)
    np.testing.assert_array_equal(kept["a/kernel"][1], kept["b/kernel"][1])
    assert tf_diet.verify(model, plan.apply(model), plan) < 1e-6
    alone = tf_diet.plan(model, rate=0.5, criterion="random", seed=3)
    assert len(alone.widths) == 2


def normalised():
    x = keras.Input((5,))
    h = layers.LayerNormalization(name="norm")(layers.Dense(8, name="a")(x))
    return keras.Model(x, layers.Dense(2)(layers.Dense(6, name="b")(h)))


def test_inexact_shrinks_normalisations_and_says_so():
    model = normalised()
    exact = tf_diet.plan(model, rate=0.2, criterion="magnitude")
    assert "a" not in exact.widths
    assert exact.lawful
    plan = tf_diet.plan(
        model, rate=0.6, criterion="magnitude", limits=Limits(exact=False)
    )
    assert len(plan.kept_units["a"]) < 8
    assert not plan.lawful
    assert "inexact: a (8)" in plan.summary()
    assert "not promised" in plan.summary()
    small = plan.apply(model)
    # Returned and said, not raised.
    assert tf_diet.verify(model, small, plan) > 1e-3
    spared = tf_diet.plan(
        model,
        rate=0.2,
        criterion="magnitude",
        limits=Limits(exact=False, keep="a"),
    )
    assert spared.lawful


@keras.saving.register_keras_serializable("tests.limits")
class Doubled(layers.Layer):
    def call(self, x):
        return x * 2


def test_probe_lets_channels_through():
    x = keras.Input((5,))
    h = Doubled(name="odd")(layers.Dense(8, name="a")(x))
    model = keras.Model(x, layers.Dense(2)(h))
    assert not tf_diet.plan(model, rate=0.2, criterion="magnitude").widths
    plan = tf_diet.plan(
        model, rate=0.5, criterion="magnitude", limits=Limits(probe=True)
    )
    again = tf_diet.PruningPlan.from_json(plan.to_json())
    assert again == plan
    small = again.apply(model)
    assert len(plan.kept_units["a"]) < 8
    assert tf_diet.verify(model, small, again) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"keep": ["nothing*"]}, r"keep points to nothing.*'nothing\*'"),
        ({"keep": "rihgt"}, "Did you mean 'right'"),
        ({"keep": [lambda layer: False]}, "Groups: left, hidden. Layers"),
        ({"keep": [7]}, "takes names, patterns, layers and predicates"),
        ({"max_rate": 1.5}, "max_rate must lie between 0 and 1"),
        ({"max_rate": {"left": -0.1}}, r"max_rate\['left'\] must lie"),
        ({"max_rate": {"sum": 0.5}}, "max_rate points to nothing"),
        ({"max_rate": float("nan")}, "between 0 and 1"),
        ({"min_width": 0}, "whole number of 1 or more"),
        ({"min_width": {"left": 2.5}}, "whole number of 1 or more"),
        ({"min_width": {"lfet": 2}}, "min_width points to nothing"),
        ({"round_to": 0}, "round_to must be a whole number"),
        ({"round_to": True}, "round_to must be a number"),
        ({"tie": [("left", "hidden")]}, "equally many units"),
        ({"tie": [("left", "nobody")]}, "'nobody'. Such layers: left"),
        ({"tie": [("left",)]}, "joins two layers or more"),
        ({"tie": ("left", "right")}, "joins two layers or more"),
        (
            {"keep": ["l*"], "max_rate": {"left": 0.5}},
            "contradict each other.*'left'",
        ),
    ],
)
def test_limits_that_cannot_be_meant(limits, words):
    with pytest.raises(InputError, match=words):
        tf_diet.plan(
            branches(), rate=0.5, criterion="random", limits=Limits(**limits)
        )


def test_a_layer_of_another_model_is_refused():
    other = branches().get_layer("left")
    with pytest.raises(InputError, match=r"points to nothing.*'left'"):
        tf_diet.plan(
            branches(), rate=0.5, criterion="random", limits=Limits(keep=other)
        )


@pytest.mark.parametrize(
    "limits",
    [
        Limits(keep="left", max_rate=0.5),
        Limits(keep="left", max_rate={"*": 0.5}),
        Limits(keep="left", max_rate={"left": 0}),
        Limits(keep="left", min_width={"left": 3}),
        Limits(min_width=500),
        Limits(keep="head", max_rate={"head": 0.5}),
    ],
)
def test_limits_that_agree_are_not_refused(limits):
    tf_diet.plan(branches(), rate=0.3, criterion="random", limits=limits)
