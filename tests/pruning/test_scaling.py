# SPDX-License-Identifier: MIT
"""Scalings, and what units save against counting the model without each."""

import warnings

import graphs
import keras
import numpy as np
import pytest
import strategies
from keras import layers

import tf_diet
from tf_diet.errors import InputError
from tf_diet.graph.build import build
from tf_diet.graph.savings import savings
from tf_diet.pruning.scaling import PerSaving, each_group, scalings


def one_by_one(graph):
    """Removes each unit alone and counts the model anew."""
    full = graph.cost()
    found = {}
    for group in graph.groups:
        rows = []
        for unit in range(group.n_units):
            others = np.delete(np.arange(group.n_units), unit)
            cost = graph.cost(graph.alive({group.name: others}))
            rows.append(
                (
                    full.parameters - cost.parameters,
                    full.flops - cost.flops,
                    full.reads_writes - cost.reads_writes,
                )
            )
        found[group.name] = np.array(rows)
    return found


def assert_savings_are_true(graph):
    saved = savings(graph)
    for name, rows in one_by_one(graph).items():
        mine = (saved.parameters, saved.flops, saved.reads_writes)
        got = np.stack([figures[name] for figures in mine], axis=1)
        np.testing.assert_array_equal(got, rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(graphs.SMALL))
def test_savings_are_those_of_removing_each_unit_alone(name):
    assert_savings_are_true(build(graphs.SMALL[name]()))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_savings_on_random_graphs(seed):
    with warnings.catch_warnings():
        # Keras says of some that masks are lost.
        warnings.simplefilter("ignore", UserWarning)
        graph = build(strategies.seeded(seed).model())
    assert_savings_are_true(graph)


def test_savings_by_hand():
    x = keras.Input((5,))
    h = layers.Dense(4, name="a")(x)
    h = layers.Dense(3, name="b")(h)
    saved = savings(build(keras.Model(x, layers.Dense(2)(h))))
    # Five weights and a bias make a unit of "a", three read it.
    np.testing.assert_array_equal(saved.parameters["a"], [9] * 4)
    np.testing.assert_array_equal(saved.parameters["b"], [4 + 1 + 2] * 3)
    np.testing.assert_array_equal(saved.flops["a"], [2 * 8 + 1] * 4)


def test_a_model_without_units_saves_nothing():
    x = keras.Input((5,))
    graph = build(keras.Model(x, layers.Dense(2)(x)))
    assert savings(graph).parameters == {}


def scaled(name, values, graph=None):
    return scalings.get(name)({"g": np.asarray(values, float)}, graph)["g"]


def test_scalings_of_one_group():
    values = np.array([1.0, 4.0, 2.0])
    np.testing.assert_array_equal(scaled("none", values), values)
    np.testing.assert_allclose(scaled("max", values), values / 4)
    np.testing.assert_allclose(scaled("dimension", values), values / 3)
    np.testing.assert_allclose(
        scaled("rank", [1, 4, 1, 9]), [0.375, 0.75, 0.375, 1]
    )
    standard = scaled("z_score", values)
    np.testing.assert_allclose(
        [standard.mean(), standard.std()], [0, 1], 0, 1e-12
    )
    for name in ("max", "z_score"):
        np.testing.assert_array_equal(scaled(name, [0, 0, 0]), np.zeros(3))
    np.testing.assert_array_equal(scaled("z_score", [0.1] * 7), np.zeros(7))


@pytest.mark.parametrize("name", ["none", "max", "dimension", "rank"])
def test_units_that_cannot_be_seen_do_not_count(name):
    mixed = scaled(name, [3.0, np.inf, 1.0])
    np.testing.assert_array_equal(mixed[[0, 2]], scaled(name, [3.0, 1.0]))
    assert mixed[1] == np.inf


def ladder():
    x = keras.Input((8, 3))
    h = layers.Conv1D(6, 5, name="conv")(x)
    h = layers.Dense(4, name="dense")(h)
    return build(keras.Model(x, layers.Dense(2, name="head")(h)))


def test_fans_count_the_weights_that_make_and_read_a_unit():
    graph = ladder()
    ones = {"conv": np.ones(6), "dense": np.ones(4)}
    into = scalings.get("fan_in")(ones, graph)
    out_of = scalings.get("fan_out")(ones, graph)
    np.testing.assert_allclose(into["conv"] ** -2, [15] * 6)
    np.testing.assert_allclose(into["dense"] ** -2, [6] * 4)
    np.testing.assert_allclose(out_of["conv"] ** -2, [4] * 6)
    np.testing.assert_allclose(out_of["dense"] ** -2, [2] * 4)


def test_fan_in_makes_fresh_layers_of_all_sizes_alike():
    """What it is for: Glorot-drawn sums of magnitudes, wide and narrow."""
    x = keras.Input((1000,))
    sizes = (20, 500, 60)
    h = x
    for size in sizes:
        init = keras.initializers.GlorotUniform(seed=size)
        h = layers.Dense(size, kernel_initializer=init)(h)
    graph = build(keras.Model(x, layers.Dense(2)(h)))
    values = {
        g.name: np.abs(np.asarray(graph.variables[f"{g.name}/kernel"])).sum(0)
        for g in graph.groups
    }

    def spread(values):
        means = [v.mean() for v in values.values()]
        return max(means) / min(means)

    assert spread(scalings.get("fan_in")(values, graph)) < spread(values) / 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("per_parameter", "parameters"),
        ("per_flop", "flops"),
        ("per_byte", "reads_writes"),
    ],
)
def test_cost_aware_scores_are_scores_over_savings(name, attribute):
    graph = build(graphs.small_convnet())
    rng = np.random.default_rng(0)
    values = {g.name: rng.uniform(size=g.n_units) for g in graph.groups}
    made = scalings.get(name)(values, graph)
    saved = getattr(savings(graph), attribute)
    factors = np.concatenate([made[n] * saved[n] / values[n] for n in values])
    np.testing.assert_allclose(factors, factors[0])


def test_of_two_harmful_units_the_dearer_goes_first():
    graph = ladder()
    saved = {"conv": np.full(6, 10.0), "dense": np.full(4, 1.0)}
    values = {"conv": np.full(6, -1.0), "dense": np.full(4, -1.0)}
    made = PerSaving(lambda graph: saved)(values, graph)
    assert made["conv"].max() < made["dense"].min()
    made = PerSaving(lambda graph: saved)({n: -v for n, v in values.items()}, 0)
    assert made["conv"].max() < made["dense"].min()


def test_a_cost_model_of_your_own():
    """All that a board knows, such as microseconds, comes in this way."""

    def microseconds(graph):
        return {
            name: 0.008 * mine + (50 if name == "slow" else 0)
            for name, mine in savings(graph).flops.items()
        }

    x = keras.Input((5,))
    h = layers.Dense(7, name="fast")(layers.Dense(8, name="slow")(x))
    plan = tf_diet.plan(
        keras.Model(x, layers.Dense(2)(h)),
        rate=0.3,
        criterion="magnitude",
        scaling=PerSaving(microseconds),
    )
    assert plan.settings["scaling"] == "PerSaving(microseconds)"
    assert len(plan.kept_units["slow"]) < 8
    assert len(plan.kept_units["fast"]) == 7
    assert plan == tf_diet.PruningPlan.from_json(plan.to_json())


@pytest.mark.parametrize(
    "saved", [{}, {"conv": [1.0]}, {"conv": [-1.0] * 6}, {"conv": [np.nan] * 6}]
)
def test_savings_that_cannot_be_used(saved):
    graph = ladder()
    with pytest.raises(InputError, match="6 finite numbers of 0 or more"):
        PerSaving(lambda graph: saved)({"conv": np.ones(6)}, graph)


def test_what_saves_nothing_stays_before_what_does():
    saved = {"conv": np.zeros(6), "dense": np.ones(4)}
    values = {"conv": np.full(6, 0.1), "dense": np.ones(4)}
    made = PerSaving(lambda graph: saved)(values, ladder())
    assert made["conv"].min() > made["dense"].max()
    assert np.isfinite(made["conv"]).all()


def test_scalings_that_return_nonsense_are_refused():
    model = graphs.sequential()
    for wrong in (
        lambda values, graph: {},
        lambda values, graph: {n: v[:1] for n, v in values.items()},
        each_group(lambda values: values * np.nan),
    ):
        with pytest.raises(InputError, match="one number a unit"):
            tf_diet.plan(model, rate=0.3, criterion="random", scaling=wrong)
