# SPDX-License-Identifier: MIT
"""A plan tells of every unit whether it goes, and why."""

import json

import graphs
import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet import Limits
from tf_diet.criteria import rank
from tf_diet.errors import PlanError
from tf_diet.graph.build import build
from tf_diet.pruning.units import FLOOR, LOCKED, UNSCORED


def strict(text):
    """Reads JSON as parsers outside of Python do."""

    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def attention():
    x = keras.Input((6, 4))
    h = layers.Dense(8, activation="tanh", name="h")(x)
    y = layers.MultiHeadAttention(4, 3, name="mha")(h, h)
    return keras.Model(x, layers.Dense(1)(layers.GlobalAveragePooling1D()(y)))


def data(examples=64):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, 6, 4)).astype("float32")
    return x, x[:, :, 0].sum(axis=1)


def test_scores_are_those_of_the_criterion():
    model = graphs.small_convnet()
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    scores = rank(model, build(model), None, "magnitude")
    for name, values in scores.values.items():
        assert plan.scores[name] == tuple(values.tolist())
    facts = strict(plan.to_json())
    assert facts["scores"]["conv2d"] == list(plan.scores["conv2d"])
    assert tf_diet.PruningPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("scaling", ["none", "rank", "max"])
def test_under_a_global_scope_who_goes_scores_less_than_who_stays(scaling):
    plan = tf_diet.plan(
        graphs.ddsp_decoder(), rate=0.5, criterion="magnitude", scaling=scaling
    )
    rows = plan.table()
    assert len(rows) == sum(plan.widths.values())
    goes = [row.scaled for row in rows if row.goes]
    stays = [r.scaled for r in rows if not r.goes and not r.held_by]
    assert max(goes) <= min(stays)
    for name, width in plan.widths.items():
        mine = plan.table(name)
        assert [row.unit for row in mine] == list(range(width))
        assert (
            tuple(r.unit for r in mine if not r.goes) == (plan.kept_units[name])
        )
        gone = sorted((r.score, r.unit) for r in mine if r.goes)
        assert plan.removed_units[name] == tuple(unit for _, unit in gone)
        top = gone[-1][0] if gone else None
        assert plan.thresholds[name] == top


def test_what_holds_a_unit_is_said():
    plan = tf_diet.plan(
        attention(),
        data(),
        rate=0.9999,
        limits=Limits(keep="mha", min_width={"h": 5}),
    )
    assert plan.scores["mha.heads"] == (None,) * 4
    assert {row.held_by for row in plan.table("mha.heads")} == {UNSCORED}
    assert {row.held_by for row in plan.table("mha")} == {LOCKED}
    assert plan.locked["mha"] == (0, 1, 2, 3, 4, 5, 6, 7)
    assert "mha.heads" not in plan.locked
    h = plan.table("h")
    assert sorted((r.score, r.goes) for r in h) == [
        (r.score, number < 3)
        for number, r in enumerate(sorted(h, key=lambda r: r.score))
    ]
    facts = strict(plan.to_json())
    assert facts["scores"]["mha.heads"] == [None] * 4
    assert tf_diet.PruningPlan.from_json(plan.to_json()) == plan


def test_a_unit_that_its_group_cannot_spare_is_told_from_a_good_one():
    x = keras.Input((4,))
    halves = [layers.Dense(3, name=name)(x) for name in ("bad", "good")]
    h = layers.Concatenate()(halves)
    whole = layers.Dense(6, name="whole")(x)
    model = keras.Model(x, layers.Dense(2)(layers.Add()([h, whole])))
    for layer in model.layers:
        if layer.name == "bad":
            layer.set_weights([0 * w for w in layer.get_weights()])
    # Its three units are the weakest, and one of them has to stay.
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude", scaling="none")
    rows = plan.table("bad")
    assert [r.held_by for r in rows[:3]].count(FLOOR) == 1
    assert sum(r.goes for r in rows[:3]) == 2


def test_scores_past_all_bounds_are_still_json():
    def endless(values, graph):
        return {n: np.where(v > v.mean(), np.inf, v) for n, v in values.items()}

    plan = tf_diet.plan(
        graphs.small_convnet(),
        rate=0.2,
        criterion="magnitude",
        scaling=endless,
    )
    assert None in plan.scaled["conv2d"]
    assert None not in plan.scores["conv2d"]
    strict(plan.to_json())
    for row in plan.table():
        if row.scaled is None:
            assert not row.goes
            assert row.held_by == LOCKED


def test_plans_of_before_still_open():
    """They had neither scores nor constants, and were read by all the same."""
    model = graphs.small_convnet()
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    facts = json.loads(plan.to_json())
    newer = ("scores", "scaled", "locked", "spared", "held", "constants")
    for name in newer:
        del facts[name]
    old = tf_diet.PruningPlan.from_json(json.dumps(facts))
    assert old.kept_units == plan.kept_units
    assert old.counted == model.count_params()
    assert "threshold" not in old.summary()
    assert "threshold" in plan.summary()
    assert set(old.thresholds.values()) == {None}
    for name in plan.widths:
        assert [r.goes for r in old.table(name)] == [
            r.goes for r in plan.table(name)
        ]
    assert {(r.score, r.held_by) for r in old.table()} == {(None, "")}
    assert old.apply(model).count_params() == plan.cost_after.parameters


def test_a_group_that_is_not_there():
    plan = tf_diet.plan(graphs.sequential(), rate=0.3, criterion="random")
    with pytest.raises(PlanError, match=r"Received: 'dens'.*Did you mean"):
        plan.table("dens")


def test_the_text_of_a_large_plan_has_a_line_a_group():
    x = keras.Input((5,))
    h = layers.Dense(2000, name="wide")(x)
    model = keras.Model(x, layers.Dense(2)(h))
    plan = tf_diet.plan(model, rate=0.5, criterion="random")
    assert len(plan.to_json().splitlines()) < 100
    assert len(plan.summary().splitlines()) < 20
