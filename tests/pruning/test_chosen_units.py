# SPDX-License-Identifier: MIT
"""Units of one's own choice: named by group or layer, and checked."""

import functools
import json
import warnings

import graphs
import keras
import numpy as np
import pytest
import strategies
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tf_diet
from tf_diet import Limits
from tf_diet.cli.budget import units_of
from tf_diet.errors import InputError, PlanError
from tf_diet.graph.build import build
from tf_diet.testing import random_kept, randomise


def branches():
    """Two halves joined and added to a third layer: one group, three layers."""
    x = keras.Input((5,), name="x")
    left = layers.Dense(8, name="left")(x)
    right = layers.Dense(8, name="right")(x)
    both = layers.Concatenate(name="both")([left, right])
    h = layers.Add(name="sum")([both, layers.Dense(16, name="whole")(x)])
    h = layers.Dense(12, activation="relu", name="hidden")(h)
    return keras.Model(x, layers.Dense(3, name="head")(h), name="branches")


@functools.cache
def drawn(seed):
    with warnings.catch_warnings():
        # Keras says of some that masks are lost.
        warnings.simplefilter("ignore", UserWarning)
        return strategies.seeded(seed).model()


# Keras says of some that masks are lost.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*destroy the mask:UserWarning")
@given(
    number=st.integers(0, 11),
    rate=st.floats(0.1, 0.7),
    seed=st.integers(0, 999),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_exactly_the_units_that_are_given_go_and_the_law_holds(
    number, rate, seed
):
    model = drawn(number)
    graph = tf_diet.inspect(model)
    kept = random_kept(graph, rate, seed)
    remove = {
        name: np.setdiff1d(np.arange(graph.group(name).n_units), units)
        for name, units in kept.items()
    }
    if not any(map(len, remove.values())):
        return
    plan = tf_diet.plan(model, remove=remove)
    assert plan.kept_units == {n: tuple(k.tolist()) for n, k in kept.items()}
    assert {n: list(u) for n, u in plan.removed_units.items()} == {
        n: u.tolist() for n, u in remove.items()
    }
    assert tf_diet.PruningPlan.from_json(plan.to_json()) == plan
    small = plan.apply(model)
    assert small.count_params() == plan.cost_after.parameters
    tf_diet.verify(model, small, plan)


def test_a_layer_counts_its_own_channels():
    model = branches()
    randomise(model)
    plan = tf_diet.plan(model, remove={"right": [0, 3], "hidden": range(4)})
    kept = plan.kept(model)
    assert kept["right/kernel"][1].tolist() == [1, 2, 4, 5, 6, 7]
    assert kept["left/kernel"][1].tolist() == list(range(8))
    assert kept["whole/kernel"][1].tolist() == [
        *range(8),
        9,
        10,
        *range(12, 16),
    ]
    assert kept["hidden/kernel"][1].tolist() == list(range(4, 12))
    assert plan.removed_units == {"left": (8, 11), "hidden": (0, 1, 2, 3)}
    assert plan.settings == {
        "remove": {"right": [0, 3], "hidden": [0, 1, 2, 3]}
    }
    assert plan.rate is None
    assert plan.budget is None
    assert plan.scores == {}
    for same in ({"sum": [8, 11]}, {"both": (8, 11)}, {"left": [8, 11, 8]}):
        again = tf_diet.plan(model, remove={**same, "hidden": [0, 1, 2, 3]})
        assert again.kept_units == plan.kept_units


def test_names_inside_nested_models_and_of_unusual_layers():
    a = keras.Input((6,))
    inner = keras.Model(
        a, layers.Dense(8, name="out")(layers.Dense(10, name="in")(a))
    )
    inner.name = "backbone"
    x = keras.Input((6,))
    h = layers.Dense(9, name="top")(inner(x))
    h = layers.Reshape((9, 1))(h)
    h = layers.LSTM(5, name="lstm")(h)
    model = keras.Model(x, layers.Dense(2, name="head")(h))
    plan = tf_diet.plan(
        model, remove={"in": 0, "backbone/out": [1, 2], "lstm": [4]}
    )
    kept = plan.kept(model)
    assert kept["backbone/in/kernel"][1].tolist() == list(range(1, 10))
    assert kept["backbone/out/kernel"][1].tolist() == [0, *range(3, 8)]
    assert kept["lstm/lstm_cell/kernel"][1].tolist() == [
        4 * 0 + n + 5 * gate for gate in range(4) for n in range(4)
    ]
    tf_diet.verify(model, plan.apply(model), plan)


def test_prune_and_repair_take_units_too():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)).astype("float32")
    model = branches()
    randomise(model)
    remove = {"hidden": [0, 1, 2], "right": [5]}
    plain = tf_diet.prune(model, remove=remove)
    mended = tf_diet.prune(model, x, remove=remove, repair="least_squares")
    full = np.asarray(model(x))

    def error(small):
        return float(np.abs(np.asarray(small(x)) - full).mean())

    assert error(mended) < error(plain)


def test_limits_hold_where_they_are_given():
    model = branches()
    most = {"hidden": range(10)}
    assert len(tf_diet.plan(model, remove=most).kept_units["hidden"]) == 2
    for limits in (
        Limits(max_rate=0.5),
        Limits(keep="hidden"),
        Limits(min_width={"hidden": 3}),
        Limits(round_to=4),
    ):
        with pytest.raises(InputError, match="'hidden'"):
            tf_diet.plan(model, remove=most, limits=limits)
    kept = Limits(keep="left", round_to=4)
    assert tf_diet.plan(model, remove={"hidden": range(8)}, limits=kept)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("remove", "words"),
    [
        ({"lfet": [0]}, "remove points to nothing.*Did you mean 'left'"),
        ({"hidden": [3, 12]}, "'hidden' has no such units.*12. It has 12"),
        ({"right": [-1]}, "'right' has no such channels.*-1. It has 8"),
        ({"hidden": range(12)}, "Too many units of the group 'hidden'"),
        ({"right": range(8)}, "Too many units of a part of the group 'left'"),
        ({"head": [0]}, "Channels of 'head' cannot be removed: it is an outp"),
        ({"x": [0]}, "remove points to nothing"),
        ({}, "remove names no unit"),
        ({"hidden": []}, "remove names no unit"),
        ({"hidden": [0.5]}, r"must be whole numbers.*\[0.5\]"),
        ({"hidden": None}, "must be whole numbers.*None"),
        ({"hidden": "all"}, "must be whole numbers.*'all'"),
        ({"hidden": [True, False]}, "np.flatnonzero"),
        ({"hidden": [[0]]}, "must be whole numbers"),
        (["hidden"], "by the name of their group or layer"),
        ("hidden", "by the name of their group or layer"),
    ],
)
def test_units_that_cannot_be_meant(remove, words):
    for door in (tf_diet.plan, tf_diet.prune):
        with pytest.raises(InputError, match=words) as caught:
            door(branches(), remove=remove)
        assert "Received: " in str(caught.value)


def test_a_name_of_several_layers_is_refused():
    a = keras.Input((6,))
    inner = keras.Model(a, layers.Dense(8, name="same")(a), name="inner")
    x = keras.Input((6,))
    h = layers.Dense(7, name="b")(layers.Dense(9, name="a")(inner(x)))
    other = keras.Model(a, layers.Dense(8, name="same")(a), name="other")
    model = keras.Model(x, layers.Dense(2)(other(layers.Dense(6)(h))))
    with pytest.raises(InputError, match="inner/same, other/same"):
        tf_diet.plan(model, remove={"same": [0]})
    x = keras.Input((6,))
    parts = keras.ops.split(layers.Dense(8, name="a")(x), 2, axis=-1)
    model = keras.Model(x, [layers.Dense(2)(part) for part in parts])
    (split,) = [c for c in build(model).walk.calls if len(c.outputs) == 2]
    with pytest.raises(InputError, match="channels of several kinds"):
        tf_diet.plan(model, remove={split.path: [0]})


def test_one_goal_and_no_more():
    with pytest.raises(InputError, match=r"needs one goal.*remove="):
        tf_diet.plan(branches(), rate=0.5, remove={"hidden": 0})


def test_a_plan_that_was_written_by_hand_is_checked():
    model = branches()
    plan = tf_diet.plan(model, remove={"hidden": [0]})
    facts = json.loads(plan.to_json())
    facts["kept_units"]["hidden"] = [2, 5, 7]
    by_hand = tf_diet.PruningPlan.from_json(json.dumps(facts))
    assert by_hand.apply(model).get_layer("hidden").units == 3
    for units in ([], [3, 3], [12], [-1]):
        facts["kept_units"]["hidden"] = units
        broken = tf_diet.PruningPlan.from_json(json.dumps(facts))
        with pytest.raises(PlanError, match="'hidden' that cannot be kept"):
            broken.apply(model)
    facts["kept_units"] = {"hiden": [1]}
    broken = tf_diet.PruningPlan.from_json(json.dumps(facts))
    with pytest.raises(PlanError, match="Did you mean 'hidden'"):
        broken.apply(model)


def test_the_command_line_takes_units_and_plans(tmp_path, capsys):
    path, output = tmp_path / "net.keras", tmp_path / "small.keras"
    plan = tmp_path / "plan.json"
    branches().save(path)
    code, text = run(
        capsys,
        *("prune", path, "-o", output, "--plan", plan),
        *("--remove", "hidden=0,3-5,11", "--remove", "right=7"),
    )
    assert code == 0, text
    assert "keeps 22 of 28 units" in text
    assert keras.models.load_model(output).get_layer("hidden").units == 7
    assert json.loads(plan.read_text())["settings"]["remove"] == {
        "hidden": [0, 3, 4, 5, 11],
        "right": [7],
    }
    again = tmp_path / "again.keras"
    code, _ = run(capsys, "prune", path, "--plan-from", plan, "-o", again)
    assert code == 0
    one, other = map(keras.models.load_model, (output, again))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--remove", "hidden"), "takes a name and numbers of units"),
        (("--remove", "hidden=1,b"), "Received: 'hidden=1,b'"),
        (("--remove", "hiden=1"), "Did you mean 'hidden'"),
        (("--remove", "hidden=0-11"), "Too many units"),
        (("--remove", "hidden=1", "--rate", "0.5"), "in one way"),
        (("--plan-from", "nowhere.json"), "The plan cannot be read"),
        (("--plan-from", "net.keras"), "The plan cannot be read"),
        (("--plan-from", "bare.json"), "not a pruning plan"),
        (("--plan-from", "other.json"), "made for another model"),
    ],
)
def test_what_a_command_line_cannot_mean(
    options, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    branches().save("net.keras")
    (tmp_path / "bare.json").write_text("{}")
    other = tf_diet.plan(graphs.sequential(), rate=0.3, criterion="random")
    (tmp_path / "other.json").write_text(other.to_json())
    code, text = run(capsys, "prune", "net.keras", *options)
    assert code == 2
    assert words in text
    assert not (tmp_path / "net_pruned.keras").exists()


def test_ranges_of_units():
    assert units_of(["a=1, 3-5", "b/c=0", "a=9"]) == {
        "a": [1, 3, 4, 5, 9],
        "b/c": [0],
    }
