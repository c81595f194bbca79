# SPDX-License-Identifier: MIT
"""Budgets: every bound is met, by as few units as will do."""

import json

import graphs
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tf_diet
from tf_diet.errors import InputError
from tf_diet.graph.build import build
from tf_diet.pruning import planner as pruning
from tf_diet.pruning.budget import BOUNDS, Budget, disk_bytes, most_parameters
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.selection import scopes, select

MODEL = graphs.small_convnet()
GRAPH = build(MODEL)
WHOLE = Budget(1, 1, 1, 1).costs(GRAPH, GRAPH.everything)


def plan(to=None, **settings):
    given = {"criterion": "random", **settings}
    return tf_diet.plan(MODEL, to=to, **given)


@given(
    shares=st.lists(
        st.none() | st.floats(0.35, 1.2), min_size=4, max_size=4
    ).filter(any),
    seed=st.integers(0, 99),
    scope=st.sampled_from(["global", "local", "isomorphic"]),
    round_to=st.sampled_from([1, 2]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_every_bound_is_met_and_one_step_less_would_not_do(
    shares, seed, scope, round_to
):
    asked = {
        name: int(WHOLE[name] * share)
        for name, share in zip(BOUNDS, shares, strict=True)
        if share is not None
    }
    budget = Budget(**asked)
    rng = np.random.default_rng(seed)
    values = {g.name: rng.uniform(size=g.n_units) for g in GRAPH.groups}
    order = scopes.get(scope)(values, GRAPH)
    bounds = Limits(round_to=round_to).bounds(GRAPH)

    def met(alive):
        return budget.met(budget.costs(GRAPH, alive))

    kept, reached = select(GRAPH, order, bounds, met, round_to)
    # Take one unit more at a time, until the first that meets all bounds.
    for count in range(len(order) + 1):
        front = order[:count]
        first, _ = select(GRAPH, front, bounds, lambda alive: False, round_to)
        if met(GRAPH.alive(first)):
            break
    assert reached == met(GRAPH.alive(kept)) == met(GRAPH.alive(first))
    for name, units in first.items():
        np.testing.assert_array_equal(kept[name], units)


def test_bounds_hold_for_the_model_that_comes_out():
    to = Budget(parameters=3000, flops=300_000, ram_bytes=2600)
    small = tf_diet.prune(MODEL, to=to, criterion="magnitude")
    cost = build(small).cost()
    assert small.count_params() == cost.parameters <= 3000
    assert cost.flops <= 300_000
    assert cost.peak_activation_bytes <= 2600


def test_flops_of_a_second_are_those_of_its_calls():
    once = plan(Budget(flops=200_000))
    second = plan(Budget(flops=2e7, calls_per_second=100))
    assert once.kept_units == second.kept_units
    assert second.spent["flops"] == 100 * once.spent["flops"]


def test_a_budget_that_is_met_removes_nothing():
    made = plan(Budget(parameters=10**9))
    assert made.reached == 0
    assert made.cost_after == made.cost_before


def test_budget_in_the_plan_and_through_json():
    budget = Budget(parameters=np.int64(4000), flops=5e5, calls_per_second=2.0)
    made = plan(budget)
    again = tf_diet.PruningPlan.from_json(made.to_json())
    assert again == made
    assert made.rate is None
    assert again.budget == budget
    assert json.loads(made.to_json())["rate"] is None
    assert "budget: parameters: " in made.summary()
    assert plan(rate=0.5).budget is None


def test_a_rate_and_the_budget_that_it_stands_for_agree():
    by_rate = plan(rate=0.6)
    most = most_parameters(GRAPH.parameters(), 0.6)
    assert plan(Budget(parameters=most)).kept_units == by_rate.kept_units


def test_the_least_that_is_said_can_be_reached_and_no_less():
    with pytest.raises(InputError, match=r"Least: parameters ([\d,]+) ") as e:
        plan(Budget(parameters=5))
    text = str(e.value)
    least = text.split("Least: parameters ")[1].split(" ")[0].replace(",", "")
    for scope in ("global", "local", "isomorphic", "global_then_local"):
        made = plan(Budget(parameters=int(least)), scope=scope)
        assert made.spent["parameters"] == int(least)
    with pytest.raises(InputError, match="below the least"):
        plan(Budget(parameters=int(least) - 1))


def test_the_least_names_every_bound_and_comes_before_the_ranking():
    """Calibration data is not even looked at."""
    with pytest.raises(InputError, match=r"flops .*ram_bytes .*asked for 3"):
        tf_diet.plan(MODEL, "no data", to=Budget(flops=2, ram_bytes=3))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "rate=None, to=None"),
        ({"rate": 0.5, "to": Budget(flops=1)}, "needs one goal"),
        ({"to": 5000}, "Pass a Budget"),
        ({"to": Budget()}, "needs a bound"),
        ({"to": Budget(parameters=0)}, "above 0.*parameters=0"),
        ({"to": Budget(flops=-1)}, "above 0"),
        ({"to": Budget(flops=float("nan"))}, "above 0"),
        ({"to": Budget(disk_bytes="64KB")}, "above 0.*'64KB'"),
        ({"to": Budget(ram_bytes=True)}, "above 0"),
        ({"to": Budget(1, calls_per_second=0)}, "calls_per_second"),
    ],
)
def test_goals_that_cannot_be_meant(given, words):
    for door in (tf_diet.plan, tf_diet.prune):
        with pytest.raises(InputError, match=words):
            door(MODEL, criterion="random", **given)


def test_graph_and_limits_are_worked_out_once(monkeypatch):
    counts = {"build": 0, "bounds": 0}
    real_build, real_bounds = pruning.build, Limits.bounds

    def counted(*args):
        counts["build"] += 1
        return real_build(*args)

    def bounds(self, graph):
        counts["bounds"] += 1
        return real_bounds(self, graph)

    monkeypatch.setattr(pruning, "build", counted)
    monkeypatch.setattr("tf_diet.pruning.plan.build", counted)
    monkeypatch.setattr(Limits, "bounds", bounds)
    tf_diet.prune(MODEL, rate=0.3, criterion="magnitude")
    tf_diet.prune(MODEL, to=Budget(2000), criterion="magnitude")
    assert counts == {"build": 2, "bounds": 2}


def test_two_percent_of_a_group_stay_unless_it_is_lifted():
    x = keras.Input((5,))
    h = layers.Dense(200, name="wide")(x)
    h = layers.Dense(300, name="wider")(h)
    model = keras.Model(x, layers.Dense(2)(h))

    def left(limits):
        made = tf_diet.plan(
            model, rate=0.9999, criterion="random", limits=limits
        )
        return {name: len(units) for name, units in made.kept_units.items()}

    assert left(Limits()) == {"wide": 4, "wider": 6}
    assert left(Limits(max_rate=1.0)) == {"wide": 2, "wider": 2}
    # Naming one group says nothing about the others.
    assert left(Limits(max_rate={"wide": 0.5})) == {"wide": 100, "wider": 6}
    assert left(Limits(max_rate={"wide": 1.0})) == {"wide": 2, "wider": 6}


def test_file_size_is_what_a_converter_writes():
    convert = pytest.importorskip("tf_diet.convert.tflite")
    pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TFLite is made from TensorFlow")
    from tf_diet.testing import randomise

    x = keras.Input((16,))
    h = x
    for _ in range(3):
        h = layers.Dense(40, activation="relu")(h)
    for model in (keras.Model(x, layers.Dense(3)(h)), graphs.small_convnet()):
        randomise(model)  # equal tensors would be written once
        graph = build(model)
        real = len(convert.to_tflite(model).data)
        assert abs(disk_bytes(graph, graph.parameters()) / real - 1) < 0.05
