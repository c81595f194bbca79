"""Repair gives the full model back where it can, and never makes it worse."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet.pruning.repair.methods import LeastSquares
from tf_diet.pruning.repair.repair import repair
from tf_diet.testing import random_kept, randomise

EXACT = LeastSquares(ridge=1e-10)
WIDTH, KEPT = 8, 4


def planned(model, kept):
    """Returns a plan that keeps these units."""
    plan = tf_diet.plan(model, rate=0.2, criterion="magnitude")
    kept = {n: tuple(int(u) for u in units) for n, units in kept.items()}
    return dataclasses.replace(plan, kept_units={**plan.kept_units, **kept})


def everything_but(model, **kept):
    """Returns a plan that removes units of some groups alone."""
    plan = tf_diet.plan(model, rate=0.2, criterion="magnitude")
    return planned(model, {n: range(w) for n, w in plan.widths.items()} | kept)


def output(model, x):
    return keras.ops.convert_to_numpy(model(x))


def relative(one, other):
    return np.abs(one - other).max() / np.abs(one).max()


def sequence(consumer, **settings):
    """A model of which the units of `wide` are read by one consumer."""
    inputs = keras.Input((12, 5))
    x = layers.Dense(WIDTH, name="wide")(inputs)
    x = consumer(**settings)(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


def image(consumer, **settings):
    inputs = keras.Input((7, 6, 5))
    x = layers.Dense(WIDTH, name="wide")(inputs)
    x = consumer(**settings)(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


CONSUMERS = {
    "dense": lambda: sequence(layers.Dense, units=3, activation="tanh"),
    "same": lambda: sequence(
        layers.Conv1D, filters=3, kernel_size=3, padding="same"
    ),
    "causal": lambda: sequence(
        layers.Conv1D,
        filters=3,
        kernel_size=2,
        padding="causal",
        dilation_rate=3,
        activation="relu",
    ),
    "strided": lambda: sequence(
        layers.Conv1D, filters=3, kernel_size=4, strides=3, padding="same"
    ),
    "no bias": lambda: sequence(
        layers.Conv1D, filters=3, kernel_size=3, use_bias=False
    ),
    "image": lambda: image(layers.Conv2D, filters=3, kernel_size=(3, 2)),
    "image, strided": lambda: image(
        layers.Conv2D, filters=3, kernel_size=3, strides=2, padding="same"
    ),
    "image, dilated": lambda: image(
        layers.Conv2D, filters=3, kernel_size=2, dilation_rate=(2, 3)
    ),
    "gru": lambda: sequence(layers.GRU, units=3, return_sequences=True),
    "gru, one bias": lambda: sequence(
        layers.GRU, units=3, reset_after=False, return_sequences=True
    ),
    "lstm": lambda: sequence(layers.LSTM, units=3),
    "simple rnn": lambda: sequence(layers.SimpleRNN, units=3),
}


def inputs_of(model, examples=40):
    shape = (examples, *model.inputs[0].shape[1:])
    return np.random.default_rng(5).normal(size=shape).astype("float32")


def combine(model, constant=False):
    """Makes the units 4 to 7 of `wide` sums of the first four."""
    kernel, bias = model.get_layer("wide").get_weights()
    mix = np.random.default_rng(3).normal(size=(KEPT, WIDTH - KEPT))
    kernel[:, KEPT:] = 0 if constant else kernel[:, :KEPT] @ mix
    if not constant:
        bias[KEPT:] = bias[:KEPT] @ mix
    model.get_layer("wide").set_weights([kernel, bias])


@pytest.mark.parametrize("kind", CONSUMERS)
def test_sums_of_kept_units_are_made_up_for_exactly(kind):
    model = CONSUMERS[kind]()
    randomise(model)
    combine(model)
    x = inputs_of(model)
    plan = everything_but(model, wide=range(KEPT))
    small = plan.apply(model)
    full = output(model, x)
    assert relative(full, output(small, x)) > 0.05
    repair(model, small, plan, x, EXACT)
    assert relative(full, output(small, x)) < 1e-4


@pytest.mark.parametrize(
    "kind", [k for k in CONSUMERS if k not in ("same", "strided", "no bias")]
)
def test_constant_units_go_into_biases_exactly(kind):
    model = CONSUMERS[kind]()
    randomise(model)
    combine(model, constant=True)
    x = inputs_of(model)
    plan = everything_but(model, wide=range(KEPT))
    small = plan.apply(model)
    full = output(model, x)
    assert relative(full, output(small, x)) > 0.02
    repair(model, small, plan, x, "bias")
    # Where the border is padded, zeros stand in place of the constant.
    inside = slice(None)
    if kind == "causal":
        inside = slice(3, None)
    elif kind == "image, strided":
        inside = slice(1, -1)
        full = full[:, :, 1:-1]
    ours = output(small, x)
    ours = ours[:, :, 1:-1] if kind == "image, strided" else ours
    assert relative(full[:, inside], ours[:, inside]) < 1e-5
