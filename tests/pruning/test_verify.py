# SPDX-License-Identifier: MIT
"""The law for users says when it holds, and where it does not."""

import logging

import graphs
import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet.errors import PlanError
from tf_diet.testing import randomise


def two_outputs():
    x = keras.Input((5,), name="x")
    h = layers.Dense(8, activation="relu", name="h")(x)
    return keras.Model(
        x,
        {
            "a": layers.Dense(2, name="calm")(h),
            "b": layers.Dense(3, name="wild")(h),
        },
    )


@pytest.fixture(scope="module")
def trimmed():
    model = two_outputs()
    randomise(model)
    plan = tf_diet.plan(model, rate=0.4, criterion="magnitude")
    return model, plan.apply(model), plan


def test_returns_an_error_of_rounding(trimmed):
    model, small, plan = trimmed
    assert 0 <= tf_diet.verify(model, small, plan) < 1e-6
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    assert tf_diet.verify(model, small, plan, x) < 1e-6
    big = 1e6 * x
    assert tf_diet.verify(model, small, plan, big) < 1e-6


def test_names_the_worst_output(trimmed):
    model, _, plan = trimmed
    small = plan.apply(model)
    bias = small.get_layer("wild").bias
    bias.assign(keras.ops.convert_to_numpy(bias.value) + 0.1)
    with pytest.raises(PlanError, match=r"'wild'.*Received: an error of"):
        tf_diet.verify(model, small, plan)


def test_one_weight_out_of_place_is_seen(trimmed):
    model, _, plan = trimmed
    small = plan.apply(model)
    kernel = small.get_layer("calm").kernel
    kernel.assign(np.roll(keras.ops.convert_to_numpy(kernel.value), 1, axis=0))
    with pytest.raises(PlanError, match="'calm'"):
        tf_diet.verify(model, small, plan)


def test_not_a_number_is_no_agreement(trimmed):
    model, _, plan = trimmed
    small = plan.apply(model)
    bias = small.get_layer("calm").bias
    bias.assign(np.full(bias.shape, np.nan))
    with pytest.raises(PlanError, match="'calm'"):
        tf_diet.verify(model, small, plan)


def test_models_that_do_not_belong_together(trimmed):
    model, small, plan = trimmed
    with pytest.raises(PlanError, match="another model"):
        tf_diet.verify(graphs.sequential(), small, plan)
    with pytest.raises(PlanError, match="does not come from this plan"):
        tf_diet.verify(model, graphs.sequential(), plan)


@pytest.mark.skipif(
    keras.backend.backend() == "jax",
    reason="JAX has float64 only where it was told so at its start",
)
def test_the_bound_follows_the_precision():
    keras.config.set_floatx("float64")
    try:
        model = two_outputs()
        randomise(model)
        plan = tf_diet.plan(model, rate=0.4, criterion="magnitude")
        small = plan.apply(model)
        assert tf_diet.verify(model, small, plan) < 1e-14
        bias = small.get_layer("calm").bias
        bias.assign(keras.ops.convert_to_numpy(bias.value) * (1 + 1e-7))
        with pytest.raises(PlanError, match="more than 1e-10"):
            tf_diet.verify(model, small, plan)
    finally:
        keras.config.set_floatx("float32")


def test_an_inexact_plan_is_not_judged_but_said(caplog):
    x = keras.Input((5,))
    h = layers.LayerNormalization()(layers.Dense(8, name="h")(x))
    model = keras.Model(x, layers.Dense(2)(h))
    limits = tf_diet.Limits(exact=False)
    plan = tf_diet.plan(model, rate=0.4, criterion="random", limits=limits)
    small = plan.apply(model)
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert tf_diet.verify(model, small, plan) > 1e-3
    assert "not promised" in caplog.text
