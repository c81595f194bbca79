# SPDX-License-Identifier: MIT
"""Repair gives the full model back where it can, and never makes it worse."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet.pruning.repair.methods import LeastSquares
from tf_diet.pruning.repair.repair import repair
from tf_diet.testing import randomise

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


def assert_mended(model, plan, x, method, broken):
    """A repair gives back outputs that are at least so far off without it."""
    small = plan.apply(model)
    full = output(model, x)
    assert relative(full, output(small, x)) > broken
    repair(model, small, plan, x, method)
    assert relative(full, output(small, x)) < 1e-4


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONSUMERS)
def test_sums_of_kept_units_are_made_up_for_exactly(kind):
    model = CONSUMERS[kind]()
    randomise(model)
    combine(model)
    x = inputs_of(model)
    plan = everything_but(model, wide=range(KEPT))
    assert_mended(model, plan, x, EXACT, 0.05)


@pytest.mark.slow
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


def test_a_bias_of_an_own_shape_is_found():
    """A GRU adds the biases of input and state in two rows."""
    model = CONSUMERS["gru"]()
    randomise(model)
    x = inputs_of(model)
    plan = everything_but(model, wide=range(KEPT))
    small = plan.apply(model)
    before = small.layers[2].cell.bias.numpy()
    repair(model, small, plan, x, "bias")
    changed = small.layers[2].cell.bias.numpy() != before
    assert changed[0].all()
    assert not changed[1].any()


def normalised():
    inputs = keras.Input((9, 9, 5))
    x = layers.Dense(WIDTH, name="wide")(inputs)
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


@pytest.mark.parametrize("method", ["bias", EXACT])
def test_without_a_bias_the_shift_goes_off_the_mean_of_the_norm(method):
    model = normalised()
    randomise(model)
    combine(model, constant=True)
    x = inputs_of(model)
    plan = everything_but(model, wide=range(KEPT))
    assert_mended(model, plan, x, method, 0.02)


def test_without_a_place_for_the_shift_the_log_says_so(caplog):
    model = CONSUMERS["no bias"]()
    randomise(model)
    x = inputs_of(model)
    plan = everything_but(model, wide=range(KEPT))
    small = plan.apply(model)
    before = small.get_weights()
    repair(model, small, plan, x, "bias")
    for one, other in zip(before, small.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "conv1d is left as it is: it has no bias" in caplog.text


def test_consumers_of_other_kinds_are_named(caplog):
    inputs = keras.Input((12, 5))
    x = layers.Dense(WIDTH, name="wide")(inputs)
    x = layers.SeparableConv1D(4, 3, name="apart")(x)
    x = layers.Conv1DTranspose(4, 3, name="turned")(x)
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    randomise(model)
    plan = planned(model, {"wide": range(KEPT), "apart": range(2)})
    repair(model, plan.apply(model), plan, inputs_of(model))
    assert "apart is left as it is" in caplog.text
    assert "SeparableConv1D" in caplog.text
    assert "turned is left as it is" in caplog.text
    assert "last is left" not in caplog.text


def grouped():
    inputs = keras.Input((12, 8))
    x = layers.Dense(12, name="wide")(inputs)
    x = layers.Conv1D(9, 3, groups=3, name="grouped")(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


def test_every_group_of_a_convolution_is_refitted():
    model = grouped()
    randomise(model)
    kernel, bias = model.get_layer("wide").get_weights()
    # Of the four columns of each group, the last two are sums of the others.
    mix = np.random.default_rng(3).normal(size=(2, 2))
    for start in (0, 4, 8):
        here, there = slice(start, start + 2), slice(start + 2, start + 4)
        kernel[:, there] = kernel[:, here] @ mix
        bias[there] = bias[here] @ mix
    model.get_layer("wide").set_weights([kernel, bias])
    x = inputs_of(model)
    plan = everything_but(model, wide=[0, 1])
    assert_mended(model, plan, x, EXACT, 0.05)


def shared(nested):
    """Both branches go through one layer, in a nested model or not."""
    first, second = keras.Input((12, 5)), keras.Input((7, 5))
    wide = layers.Dense(WIDTH, name="wide")
    reader = layers.Conv1D(4, 3, activation="tanh", name="reader")
    if nested:
        inner = keras.Input((None, WIDTH))
        reader = keras.Model(inner, reader(inner), name="nest")
    pool = layers.GlobalAveragePooling1D()
    both = layers.Add()([pool(reader(wide(x))) for x in (first, second)])
    return keras.Model([first, second], layers.Dense(2, name="last")(both))


@pytest.mark.parametrize("nested", [False, True])
def test_shared_and_nested_consumers_see_all_their_calls(nested):
    model = shared(nested)
    randomise(model)
    combine(model)
    rng = np.random.default_rng(0)
    x = [
        rng.normal(size=(40, length, 5)).astype("float32") for length in (12, 7)
    ]
    plan = everything_but(model, wide=range(KEPT))
    assert_mended(model, plan, x, EXACT, 0.05)


def test_a_call_that_lacks_nothing_does_not_suffer():
    """One call of a shared layer reads drifted channels, the other not."""
    first, second = keras.Input((30, 4)), keras.Input((30, 4))
    x = layers.Dense(WIDTH, activation="relu", name="wide")(first)
    x = layers.Dense(4, name="narrow", activation="tanh")(x)
    reader = layers.Dense(3, name="reader")
    model = keras.Model([first, second], [reader(x), reader(second)])
    randomise(model)
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(60, 30, 4)).astype("float32") for _ in range(2)]
    x[0] *= 0.1
    plan = everything_but(model, wide=range(2))
    small = plan.apply(model)
    full = model(x)
    repair(model, small, plan, x, LeastSquares(ridge=1e-6))
    ours = small(x)
    assert relative(*(np.asarray(y[1]) for y in (full, ours))) < 0.1
