# SPDX-License-Identifier: MIT
"""Plans as data, prune as a user calls it, slots through surgery."""

import json

import graphs
import keras
import numpy as np
import pytest

import tf_diet
from tf_diet.errors import InputError, PlanError
from tf_diet.graph.build import build
from tf_diet.testing import law_error, random_inputs, randomise


def data(n=64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)).astype("float32")
    return x, (x[:, :1] - x[:, 1:2] ** 2).astype("float32")


@pytest.mark.parametrize(
    "criterion", ["mutual_information", "magnitude", "random"]
)
def test_prune_removes_the_share_that_was_asked_for(criterion):
    model = graphs.sequential()
    before = [w.copy() for w in model.get_weights()]
    small = tf_diet.prune(model, data(), rate=0.4, criterion=criterion)
    assert isinstance(small, keras.Sequential)
    assert small.count_params() <= 0.6 * model.count_params()
    assert small(data()[0]).shape == (64, 2)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_plan_says_what_goes_and_survives_json():
    model = graphs.ddsp_decoder()
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    again = tf_diet.PruningPlan.from_json(plan.to_json())
    assert again == plan
    text = plan.summary()
    assert "gru" in text
    assert "it is an output of the model" in text
    assert f"{plan.cost_after.parameters:,}" in text
    assert plan.apply(model).count_params() == plan.cost_after.parameters


def test_kept_gives_the_positions_of_every_axis():
    model = graphs.gated_slices()
    randomise(model)
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    small = plan.apply(model)
    kept = plan.kept(model)
    assert set(kept) == {w.path for w in model.weights}
    new = {w.path: w for w in small.weights}
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight.value)
        np.testing.assert_array_equal(
            value[np.ix_(*kept[weight.path])],
            keras.ops.convert_to_numpy(new[weight.path].value),
        )


def test_same_seed_same_plan_and_another_seed_another():
    model = graphs.ddsp_decoder()
    one, two, other = (
        tf_diet.plan(model, rate=0.5, criterion="random", seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one.kept_units != other.kept_units


def test_informative_units_stay():
    """Half the units see the target, half see noise of the same size."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4)).astype("float32")
    y = np.tanh(x[:, :1] + x[:, 1:2]).astype("float32")
    inputs = keras.Input((4,))
    h = keras.layers.Dense(20, name="h")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(h))
    kernel = np.zeros((4, 20), "float32")
    kernel[:2, :10] = rng.uniform(0.5, 1, (2, 10))
    kernel[2:, 10:] = rng.uniform(5, 10, (2, 10))
    model.get_layer("h").set_weights([kernel, np.zeros(20, "float32")])
    plan = tf_diet.plan(model, (x, y), rate=0.45)
    assert set(plan.kept_units["h"]) <= set(range(10)) | set(range(10, 12))
    assert set(range(10)) <= set(plan.kept_units["h"])
    blind = tf_diet.plan(model, rate=0.45, criterion="magnitude")
    assert set(range(10, 20)) <= set(blind.kept_units["h"])
    assert plan.settings["criterion"] == "mutual_information"
    assert plan.settings["scaling"] == "rank"


def test_target_that_would_empty_layers_is_not_reached_and_said():
    model = graphs.sequential()
    plan = tf_diet.plan(model, rate=0.99, criterion="magnitude")
    assert "every group is at its minimum" in plan.not_reached
    assert {len(k) for k in plan.kept_units.values()} == {2}
    assert "not reached" in plan.summary()
    assert plan.apply(model)(data()[0]).shape == (64, 2)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan"), "half"])
def test_rate_outside_is_refused(rate):
    with pytest.raises(InputError, match="between 0 and 1"):
        tf_diet.plan(graphs.sequential(), rate=rate, criterion="magnitude")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"criterion": "magnitud"}, "Did you mean 'magnitude'"),
        ({"scope": "globl", "criterion": "random"}, "Did you mean 'global'"),
        ({"scaling": "mx", "criterion": "random"}, "Known: dimension, fan_in"),
    ],
)
def test_unknown_names_list_the_known_ones(argument, words):
    with pytest.raises(InputError, match=words):
        tf_diet.plan(graphs.sequential(), rate=0.5, **argument)


def test_plan_of_another_model_is_refused():
    plan = tf_diet.plan(graphs.sequential(), rate=0.5, criterion="magnitude")
    with pytest.raises(PlanError, match="another model"):
        plan.apply(graphs.ddsp_decoder())
    for text in ("{", "[]", json.dumps({"rate": 1})):
        with pytest.raises(PlanError, match="not a pruning plan"):
            tf_diet.PruningPlan.from_json(text)


class NoConfig(keras.layers.Layer):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def call(self, x):
        return x * self.size


def test_layer_that_cannot_be_made_again_is_named():
    x = keras.Input((3,))
    h = keras.layers.Dense(4)(NoConfig(2.0)(x))
    model = keras.Model(x, keras.layers.Dense(2)(h))
    with pytest.raises(PlanError, match="no_config"):
        tf_diet.prune(model, rate=0.2, criterion="magnitude")


@pytest.mark.slow
def test_compiled_model_keeps_optimizer_state_through_surgery():
    model = graphs.sequential()
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    x, y = data()
    model.fit(x, np.repeat(y, 2, axis=1), epochs=3, verbose=0)
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    small = plan.apply(model)
    kept = plan.kept(model)
    old, new = model.optimizer, small.optimizer
    assert int(new.iterations) == int(old.iterations) > 0
    assert len(kept) == len(model.trainable_variables)
    for number, positions in enumerate(kept.values()):
        for slots in ("_momentums", "_velocities"):
            full = getattr(old, slots)[number]
            cut = getattr(new, slots)[number]
            np.testing.assert_array_equal(
                keras.ops.convert_to_numpy(full.value)[np.ix_(*positions)],
                keras.ops.convert_to_numpy(cut.value),
            )
    small.fit(x, np.repeat(y, 2, axis=1), epochs=1, verbose=0)


def test_initializers_come_back_after_surgery():
    model = graphs.recurrent_mix()
    small = tf_diet.prune(model, rate=0.3, criterion="magnitude")
    for one, other in zip(model.layers, small.layers, strict=True):
        assert one.get_config().get("kernel_initializer") == (
            other.get_config().get("kernel_initializer")
        )


def test_frozen_layers_stay_frozen():
    model = graphs.sequential()
    model.layers[0].trainable = False
    small = tf_diet.prune(model, rate=0.3, criterion="magnitude")
    assert [layer.trainable for layer in small.layers] == [False, True, True]


def test_planted_bug_breaks_the_law():
    """A mask that does not match the trimmed weights must be seen."""
    model = graphs.small_convnet()
    randomise(model)
    graph = build(model)
    kept = {g.name: np.arange(g.n_units // 2) for g in graph.groups}
    x = random_inputs(model)
    assert law_error(model, kept, x, graph) < 1e-5
    rolled = graph.axes["batch_normalization/beta"]
    graph.signatures[1].weights["beta"] = (np.roll(rolled[0], 1),)
    assert law_error(model, kept, x, graph) > 1e-3
