# SPDX-License-Identifier: MIT
"""Scopes, and a goal that is met with not one unit too many."""

import functools
import warnings

import graphs
import keras
import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tf_diet
from tf_diet.errors import InputError
from tf_diet.graph.build import build
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.selection import (
    GlobalThenLocal,
    removable,
    scopes,
    select,
)

SCOPES = ["global", "local", "isomorphic", "global_then_local"]


@pytest.fixture(scope="module")
def graph():
    return build(graphs.ddsp_decoder())


def scores(graph, seed=0):
    rng = np.random.default_rng(seed)
    return {
        group.name: rng.uniform(size=group.n_units) * (1 + number)
        for number, group in enumerate(graph.groups)
    }


def cut(graph, order, rate, limits=None):
    limits = limits or Limits()
    most = (1 - rate) * graph.parameters() + 1e-6
    return select(
        graph,
        order,
        limits.bounds(graph),
        lambda alive: graph.parameters(alive) <= most,
        limits.round_to,
    )


@functools.cache
def drawn(seed):
    """A random graph with joins, slices and splits."""
    with warnings.catch_warnings():
        # Keras says of some that masks are lost.
        warnings.simplefilter("ignore", UserWarning)
        return build(strategies.seeded(seed).model())


@functools.cache
def branches():
    """Halves joined and added: parts of one group that may not be emptied."""
    x = keras.Input((5,))
    halves = [layers.Dense(6, name=n)(x) for n in ("left", "right")]
    h = layers.Concatenate()(halves) + layers.Dense(12, name="whole")(x)
    h = layers.Dense(9, activation="relu", name="hidden")(h)
    return build(keras.Model(x, layers.Dense(3, name="head")(h)))


def fewest_by_trying(graph, order, limits, most):
    """Counts up one unit at a time; the answer that bisection must give."""
    going = removable(order, limits.bounds(graph))
    for count in range(len(going) + 1):
        kept = {}
        for group in graph.groups:
            mine = [u for name, u in going[:count] if name == group.name]
            stays = group.n_units - len(mine)
            while stays % limits.round_to and stays < group.n_units:
                stays += 1
            gone = mine[: group.n_units - stays]
            kept[group.name] = np.setdiff1d(np.arange(group.n_units), gone)
        if graph.parameters(graph.alive(kept)) <= most:
            return kept, True
    return kept, False


@given(
    number=st.integers(-1, 11),
    rate=st.floats(0.01, 0.99),
    seed=st.integers(0, 999),
    scope=st.sampled_from(SCOPES),
    round_to=st.sampled_from([1, 1, 2, 3, 4]),
    ties=st.booleans(),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_bisection_finds_what_counting_up_finds(
    number, rate, seed, scope, round_to, ties
):
    graph = branches() if number < 0 else drawn(number)
    values = scores(graph, seed)
    if ties:
        values = {name: np.round(mine, 1) for name, mine in values.items()}
    limits = Limits(round_to=round_to)
    order = scopes.get(scope)(values, graph)
    kept, met = cut(graph, order, rate, limits)
    most = (1 - rate) * graph.parameters() + 1e-6
    wanted, reachable = fewest_by_trying(graph, order, limits, most)
    assert met == reachable
    assert met == (graph.parameters(graph.alive(kept)) <= most)
    for name, units in wanted.items():
        np.testing.assert_array_equal(kept[name], units)


@given(number=st.integers(-1, 11), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None, derandomize=True)
@pytest.mark.parametrize("scope", SCOPES)
def test_orders_hold_every_unit_once_and_the_weaker_first(scope, number, seed):
    graph = branches() if number < 0 else drawn(number)
    values = scores(graph, seed)
    order = scopes.get(scope)(values, graph)
    assert len(set(order)) == len(order) == sum(map(len, values.values()))
    for name, mine in values.items():
        ranked = [mine[unit] for group, unit in order if group == name]
        assert ranked == sorted(ranked)


@pytest.mark.parametrize(
    ("width", "rate", "gone"), [(10, 0.1, 1), (100, 0.07, 7), (10, 0.3, 3)]
)
def test_a_rate_is_meant_as_it_is_written(width, rate, gone):
    """Neither a tenth of ten nor 7 of 100 is more for being no float."""
    x = keras.Input((3,))
    h = layers.Dense(width, use_bias=False, name="h")(x)
    out = layers.Dense(2, use_bias=False)(h)
    plan = tf_diet.plan(keras.Model(x, out), rate=rate, criterion="magnitude")
    assert width - len(plan.kept_units["h"]) == gone
    assert plan.reached >= rate
    assert not plan.not_reached


def test_global_scope_removes_the_weakest_of_all(graph):
    values = scores(graph)
    kept, _ = cut(graph, scopes.get("global")(values, graph), 0.5)
    gone = [
        values[g.name][unit]
        for g in graph.groups
        for unit in set(range(g.n_units)) - set(kept[g.name].tolist())
    ]
    stays = [
        values[g.name][unit]
        for g in graph.groups
        if len(kept[g.name]) > 2
        for unit in kept[g.name]
    ]
    assert max(gone) <= min(stays)


def test_local_scope_takes_the_same_share_everywhere(graph):
    kept, _ = cut(graph, scopes.get("local")(scores(graph), graph), 0.5)
    shares = [len(kept[g.name]) / g.n_units for g in graph.groups]
    assert max(shares) - min(shares) < 0.05


@pytest.fixture(scope="module")
def blocks():
    """Two convolutional blocks alike, of two widths, and two Dense layers."""
    x = keras.Input((8, 3))
    h = layers.Conv1D(20, 3, name="wide")(x)
    h = layers.Conv1D(10, 3, name="narrow")(h)
    h = layers.Conv1D(4, 1, name="last")(h)
    h = layers.Dense(20, name="first")(layers.Flatten()(h))
    h = layers.Dense(12, name="second")(h)
    return build(keras.Model(x, layers.Dense(2)(h)))


def test_isomorphic_scope_compares_like_with_like(blocks):
    rng = np.random.default_rng(0)
    values = {g.name: rng.uniform(size=g.n_units) for g in blocks.groups}
    values["narrow"] += 10  # better than all of "wide", which is alike
    values["first"] += 100  # likewise "second"
    order = scopes.get("isomorphic")(values, blocks)
    gone = [name for name, _ in order[: len(order) // 2]]
    # Half of 30 and of 32, from the weaker; "last" reaches a Dense layer
    # and so is like nothing else.
    share = {n: gone.count(n) for n in values}
    assert share["narrow"] == 0
    assert abs(share["wide"] - 15) <= 1
    assert abs(share["last"] - 2) <= 1
    assert share["first"] == 4
    assert share["second"] == 12


def test_global_then_local_is_global_until_a_group_is_thin(blocks):
    values = {g.name: np.arange(float(g.n_units)) for g in blocks.groups}
    values["wide"] -= 100
    values["first"] += 100
    plain = scopes.get("global")(values, blocks)
    order = GlobalThenLocal(0.5)(values, blocks)
    assert order[:10] == plain[:10] == [("wide", u) for u in range(10)]
    rest = [name for name, _ in order[10:]]
    half = rest[: len(rest) // 2]
    assert half.count("wide") == 5
    assert half.count("narrow") == 5
    assert half.count("first") == 10
    late = GlobalThenLocal(0.9)(values, blocks)
    assert late[:18] == plain[:18]
    assert late != plain


def test_a_group_too_small_to_lose_the_share_does_not_end_the_global_part(
    blocks,
):
    values = {g.name: np.arange(float(g.n_units)) for g in blocks.groups}
    values["last"] -= 100  # four units: two must stay, 80 % cannot go
    order = GlobalThenLocal(0.8)(values, blocks)
    assert order[:20] == scopes.get("global")(values, blocks)[:20]


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_global_then_local_checks_its_share(share, graph):
    with pytest.raises(InputError, match="switches at a share"):
        GlobalThenLocal(share)(scores(graph), graph)


def test_what_cannot_be_reached_stops_at_the_floors(graph):
    order = scopes.get("global")(scores(graph), graph)
    kept, met = cut(graph, order, 0.999, Limits(min_width=3))
    assert not met
    assert {len(units) for units in kept.values()} == {3}


def test_a_scope_of_your_own_and_what_is_wrong_with_others():
    model = graphs.sequential()

    def backwards(values, graph):
        return scopes.get("global")({n: -v for n, v in values.items()}, graph)

    plan = tf_diet.plan(model, rate=0.3, criterion="random", scope=backwards)
    assert plan.settings["scope"] == "backwards"
    usual = tf_diet.plan(model, rate=0.3, criterion="random")
    assert plan.kept_units != usual.kept_units
    for wrong in ([("nobody", 0)], [("dense", 99)], [("dense", 1)] * 2):
        with pytest.raises(InputError, match="each once"):
            tf_diet.plan(
                model,
                rate=0.3,
                criterion="random",
                scope=lambda values, graph, wrong=wrong: wrong,
            )
