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


def dense(*between):
    x = keras.Input((16,))
    h = layers.Dense(24, "relu", name="h")(x)
    for layer in between:
        h = layer(h)
    return keras.Model(x, layers.Dense(2, name="out")(h))


def always(layer):
    return lambda h: layer(h, training=True)


@pytest.mark.parametrize(
    "model",
    [
        lambda: dense(always(layers.Dropout(0.3))),
        lambda: dense(always(layers.GaussianNoise(0.3))),
        lambda: dense(always(layers.BatchNormalization()), layers.Dropout(0.5)),
        # Keras hands it on to all that a nested model holds.
        lambda: dense(
            always(
                keras.Sequential(
                    [keras.Input((24,)), layers.Dense(12), layers.Dropout(0.3)]
                )
            )
        ),
    ],
    ids=["dropout", "noise", "normalization", "nested"],
)
def test_random_numbers_are_no_rules_fault(model, caplog):
    full = model()
    randomise(full)
    plan = tf_diet.plan(full, rate=0.5, criterion="magnitude")
    small = plan.apply(full)
    before = small.get_weights()
    with caplog.at_level(logging.INFO, logger="absl"):
        assert tf_diet.verify(full, small, plan) < 1e-6
    for one, other in zip(before, small.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # A fault is found beside them as well.
    kernel = small.get_layer("out").kernel
    kernel.assign(np.roll(keras.ops.convert_to_numpy(kernel.value), 1, axis=0))
    with pytest.raises(PlanError, match="'out'"):
        tf_diet.verify(full, small, plan)


def test_a_fixed_batch_and_a_state():
    x = keras.Input(batch_shape=(1, 3, 2))
    h = layers.LSTM(24, stateful=True, name="lstm")(x)
    model = keras.Model(x, layers.Dense(1)(h))
    randomise(model)
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    small = plan.apply(model)
    state = small.get_layer("lstm").states[0]
    state.assign(np.ones(state.shape))
    for _ in range(2):
        assert tf_diet.verify(model, small, plan) < 1e-6
        # Whatever it was in the middle of goes on.
        np.testing.assert_array_equal(state, np.ones(state.shape))


def test_a_stride_that_leaves_no_step_of_a_short_sequence():
    x = keras.Input((None, 2))
    h = layers.Conv1D(16, 32, strides=16, activation="relu")(x)
    h = layers.GlobalAveragePooling1D()(h)
    model = keras.Model(x, layers.Dense(1)(h))
    randomise(model)
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    assert tf_diet.verify(model, plan.apply(model), plan) < 1e-5


@pytest.mark.parametrize("nested", [False, True])
def test_a_sequential_model_keeps_the_name_of_its_input(nested):
    model = keras.Sequential(
        [
            keras.Input((8,), name="pressure"),
            layers.Dense(16, "relu"),
            layers.Dense(2),
        ]
    )
    if nested:
        x = keras.Input((8,), name="outer")
        model = keras.Model(x, layers.Dense(1)(model(x)))
    small = tf_diet.prune(model, rate=0.5, criterion="magnitude")
    assert [i.name for i in small.inputs] == [i.name for i in model.inputs]
    if nested:
        assert small.layers[1].inputs[0].name == "pressure"
