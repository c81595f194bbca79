# SPDX-License-Identifier: MIT
"""What a rate counts: all but what nothing trains and nothing can remove."""

import functools
import warnings

import graphs
import keras
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

import tf_diet
from tf_diet.errors import InputError
from tf_diet.graph.build import build
from tf_diet.graph.held import held
from tf_diet.testing import randomise


def spectrogram(trainable=True, kind=layers.STFTSpectrogram):
    x = keras.Input((1000, 1))
    front = kind(
        mode="log",
        frame_length=64,
        frame_step=32,
        name="front",
        trainable=trainable,
    )
    h = layers.Conv1D(12, 3, activation="relu", name="conv")(front(x))
    h = layers.BatchNormalization(name="norm")(h)
    h = layers.GRU(12, name="gru")(h)
    return keras.Model(x, layers.Dense(4, name="head")(h))


@keras.saving.register_keras_serializable("tests.counted")
class Named(layers.STFTSpectrogram):
    """A front end of one's own name."""


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("kind", [layers.STFTSpectrogram, Named])
def test_kernels_of_a_fourier_transform_do_not_count(trainable, kind):
    model = spectrogram(trainable, kind)
    graph = build(model)
    kernels = 2 * 64 * 33
    assert set(graph.constants) == {"front/real_kernel", "front/imag_kernel"}
    assert graph.counted == model.count_params() - kernels
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    assert min(map(len, plan.kept_units.values())) > 3
    assert 0.5 <= plan.reached < 0.6
    gone = model.count_params() - plan.apply(model).count_params()
    assert plan.reached == gone / plan.counted
    assert plan.reached_of_all == gone / model.count_params()
    assert "that count, " in repr(plan)
    assert f"constants: {kernels:,} parameters that no rate" in plan.summary()
    assert f"constant: {kernels:,} parameters" in tf_diet.describe(graph)


def test_a_budget_of_parameters_is_of_all_of_them():
    model = spectrogram()
    bound = model.count_params() - 500
    plan = tf_diet.plan(
        model, to=tf_diet.Budget(parameters=bound), criterion="magnitude"
    )
    assert bound - 200 < plan.apply(model).count_params() <= bound
    with pytest.raises(InputError, match=r"constants, on which .*\(4,224 p"):
        tf_diet.plan(
            model, to=tf_diet.Budget(parameters=9), criterion="magnitude"
        )


def test_what_is_frozen_and_can_go_counts():
    """Transfer learning: statistics and frozen layers shrink as others do."""
    model = graphs.small_convnet()
    whole = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    assert whole.counted == model.count_params()
    for layer in model.layers[:-1]:
        layer.trainable = False
    frozen = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    assert frozen.counted == model.count_params()
    assert frozen.kept_units == whole.kept_units


@keras.saving.register_keras_serializable("tests.counted")
class Table(layers.Layer):
    """Adds a table that nothing trains to one that is trained."""

    def build(self, shape):
        size = shape[-1]
        self.table = self.add_weight(shape=(30, size), trainable=False)
        self.learnt = self.add_weight(shape=(size,))

    def call(self, x):
        return x + ops.sum(self.table, axis=0) + self.learnt


def test_constants_of_layers_of_ones_own_do_not_count():
    x = keras.Input((6,))
    h = layers.Dense(8, name="a")(Table(name="own")(x))
    h = layers.Normalization(mean=0.0, variance=1.0)(h)
    model = keras.Model(x, layers.Dense(2, name="head")(h))
    graph = build(model)
    assert list(graph.constants.values()) == [30 * 6]
    # What can be trained counts, and is said to be held.
    (own,) = [h for h in held(graph) if "'own' (Table)" in h.reason]
    assert own.parameters == 6


def test_a_rule_says_that_a_transform_is_constant():
    class Windowed(Table):
        pass

    @tf_diet.register_rule(Windowed)
    class WindowedRule(tf_diet.Rule):
        constant = True

        def signature(self, call, inputs, fresh):
            return tf_diet.Signature(outputs=inputs)

    x = keras.Input((6,))
    h = layers.Dense(8, name="a")(Windowed(name="own")(x))
    graph = build(keras.Model(x, layers.Dense(2, name="head")(h)))
    assert sum(graph.constants.values()) == 31 * 6


def test_a_model_of_constants_alone():
    x = keras.Input((1000, 1))
    front = layers.STFTSpectrogram(frame_length=64, frame_step=32)
    model = keras.Model(x, front(x))
    plan = tf_diet.plan(model, rate=0.5, criterion="magnitude")
    assert plan.counted == plan.reached == plan.reached_of_all == 0
    assert plan.summary().startswith("not reached: ")


@functools.cache
def drawn(seed):
    with warnings.catch_warnings():
        # Keras says of some that masks are lost.
        warnings.simplefilter("ignore", UserWarning)
        return strategies.seeded(seed).model()


@given(number=st.integers(0, 15), exact=st.booleans(), frozen=st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_what_is_held_adds_up(number, exact, frozen):
    """Held, constant and removable make all the parameters of a model."""
    model = drawn(number)
    model.trainable = not frozen
    graph = tf_diet.inspect(model, exact=exact)
    model.trainable = True
    removable = round(graph.prunable_share * graph.parameters())
    parts = sum(h.parameters for h in held(graph))
    constant = sum(graph.constants.values())
    assert parts + constant + removable == graph.parameters()
    assert graph.counted == parts + removable


def test_reasons_say_who_holds_how_much():
    x = keras.Input((10,))
    h = Table(name="first")(layers.Dense(16, "relu", name="a")(x))
    h = layers.Dense(20, "relu", name="b")(h)
    model = keras.Model(x, layers.Dense(3, name="head")(h))
    randomise(model)
    barrier, output = held(build(model))
    assert barrier.reason == "'first' (Table): it has no pruning rule"
    # The Dense before it, and its own weight that is trained.
    assert barrier.parameters == 10 * 16 + 16 + 16
    assert (output.reason, output.parameters) == (
        "it is an output of the model",
        3,
    )
