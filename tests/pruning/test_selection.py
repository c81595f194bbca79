"""Scopes, scalings, limits, and a rate that is counted truly."""

import graphs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_diet.graph.build import build
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.scaling import scalings
from tf_diet.pruning.selection import removable, scopes, select


@pytest.fixture(scope="module")
def graph():
    return build(graphs.ddsp_decoder())


def scores(graph, seed=0):
    rng = np.random.default_rng(seed)
    return {
        group.name: rng.uniform(size=group.n_units) * (1 + number)
        for number, group in enumerate(graph.groups)
    }


@given(rate=st.floats(0.05, 0.85), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("scope", ["global", "local"])
def test_rate_is_met_and_no_more_than_a_unit_too_much(graph, scope, rate, seed):
    values = scores(graph, seed)
    order = removable(graph, scopes.get(scope)(values), Limits())
    kept, reached = select(graph, order, rate)
    total = graph.parameters()
    count = sum(g.n_units - len(kept[g.name]) for g in graph.groups)
    assert reached >= rate
    assert reached == 1 - graph.parameters(graph.alive(kept)) / total
    # One unit fewer would have missed the rate.
    fewer = {g.name: set(range(g.n_units)) for g in graph.groups}
    for name, unit in order[: count - 1]:
        fewer[name].discard(unit)
    sizes = {name: sorted(units) for name, units in fewer.items()}
    assert 1 - graph.parameters(graph.alive(sizes)) / total < rate


def test_global_scope_removes_the_weakest_of_all(graph):
    values = scores(graph)
    order = scopes.get("global")(values)
    kept, _ = select(graph, order, 0.5)
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
    order = scopes.get("local")(scores(graph))
    kept, _ = select(graph, order, 0.5)
    shares = [len(kept[g.name]) / g.n_units for g in graph.groups]
    assert max(shares) - min(shares) < 0.05


def test_what_cannot_be_reached_stops_at_the_floors(graph):
    limits = Limits(min_width=3)
    order = scopes.get("global")(scores(graph))
    kept, reached = select(graph, order, 0.999, limits)
    assert reached < 0.999
    assert {len(units) for units in kept.values()} == {3}


def test_scalings():
    values = np.array([1.0, 4.0, 2.0])
    np.testing.assert_array_equal(scalings.get("none")(values), values)
    np.testing.assert_allclose(scalings.get("max")(values), values / 4)
    np.testing.assert_allclose(scalings.get("dimension")(values), values / 3)
    np.testing.assert_array_equal(scalings.get("max")(np.zeros(3)), np.zeros(3))
