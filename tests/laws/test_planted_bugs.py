# SPDX-License-Identifier: MIT
"""Rules with a planted bug break the law; the shipped ones do not."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.errors import PlanError
from tf_diet.graph import rule_table as rules
from tf_diet.graph.labels import Labels
from tf_diet.testing import assert_law

pytestmark = pytest.mark.slow

Dense = layers.Dense
BUGS = {}


def bug(model, kind, seed=1):
    """Files a change of the signature of one kind in one small model.

    Args:
        model: makes it; the shipped rule obeys the law in it.
        kind: whose rule is changed.
        seed: of weights and units; some bugs are right by luck in one.
    """

    def add(change):
        BUGS[change.__name__] = (model, kind, change, seed)
        return change

    return add


def between(middle, size=8, shape=(5,)):
    """A model with a layer between two others."""

    def make():
        x = keras.Input(shape)
        return keras.Model(x, Dense(3)(middle(Dense(size)(x))))

    return make


def image(middle, filters=6):
    def make():
        x = keras.Input((5, 5, 2))
        h = middle(layers.Conv2D(filters, 2, padding="same")(x))
        return keras.Model(x, layers.Conv2D(2, 1)(h))

    return make


def weights(signature, **changed):
    return replace(signature, weights={**signature.weights, **changed})


@bug(between(lambda x: layers.BatchNormalization()(x)), "BatchNormalization")
def beta_is_rolled(signature, call, inputs, fresh):
    (beta,) = signature.weights["beta"]
    return weights(signature, beta=(np.roll(beta, 1),))


@bug(between(lambda x: layers.BatchNormalization()(x)), "BatchNormalization")
def variance_is_forgotten(signature, call, inputs, fresh):
    return weights(signature, moving_variance=(None,))


@bug(between(lambda x: layers.Add()([x, Dense(8)(x)])), "Add")
def what_is_added_is_not_tied(signature, call, inputs, fresh):
    return replace(signature, ties=())


@bug(between(lambda x: ops.tanh(x) * Dense(8)(x)), "ops.Multiply")
def what_is_multiplied_is_not_tied(signature, call, inputs, fresh):
    return replace(signature, ties=())


@bug(between(lambda x: Dense(6)(x)), "Dense")
def bias_has_no_labels(signature, call, inputs, fresh):
    return weights(signature, bias=(None,))


@bug(between(lambda x: Dense(6)(x)), "Dense")
def kernel_reads_in_reverse(signature, call, inputs, fresh):
    seen, units = signature.weights["kernel"]
    seen = None if seen is None else seen[::-1]
    return weights(signature, kernel=(seen, units))


@bug(between(lambda x: Dense(6, "softmax")(x)), "Dense")
def softmax_inside_a_layer_is_let_through(signature, call, inputs, fresh):
    return replace(signature, frozen=())


@bug(between(lambda x: layers.GRU(6)(x), shape=(4, 5)), "GRU")
def gates_are_interleaved(signature, call, inputs, fresh):
    units = signature.sizes["units"]
    columns = np.repeat(units, 3)
    seen, _ = signature.weights["kernel"]
    return weights(
        signature,
        kernel=(seen, columns),
        recurrent_kernel=(units, columns),
        bias=(None, columns),
    )


@bug(between(lambda x: layers.LSTM(6)(x), shape=(4, 5)), "LSTM")
def state_is_not_read(signature, call, inputs, fresh):
    _, columns = signature.weights["recurrent_kernel"]
    return weights(signature, recurrent_kernel=(None, columns))


@bug(
    image(lambda x: layers.Conv2DTranspose(6, 2)(x)), "Conv2DTranspose", seed=2
)
def kernel_axes_are_swapped(signature, call, inputs, fresh):
    *window, made, seen = signature.weights["kernel"]
    return weights(signature, kernel=(*window, seen, made))


@bug(
    image(lambda x: layers.DepthwiseConv2D(2, depth_multiplier=2)(x)),
    "DepthwiseConv2D",
)
def multiples_are_tiled(signature, call, inputs, fresh):
    units = np.tile(inputs[0].channels, 2)
    outputs = [signature.outputs[0].at(-1, units)]
    return replace(weights(signature, bias=(units,)), outputs=outputs)


@bug(
    image(lambda x: layers.SeparableConv2D(5, 2, depth_multiplier=2)(x)),
    "SeparableConv2D",
)
def middle_is_tiled(signature, call, inputs, fresh):
    *window, _, units = signature.weights["pointwise_kernel"]
    middle = np.tile(inputs[0].channels, 2)
    return weights(signature, pointwise_kernel=(*window, middle, units))


@bug(image(lambda x: layers.Conv2D(8, 2, groups=2)(x), 4), "Conv2D")
def groups_go_unevenly(signature, call, inputs, fresh):
    if call.operation.groups == 1:
        return signature
    units = fresh(call.operation.filters)
    *window, seen, _ = signature.weights["kernel"]
    return replace(
        signature,
        outputs=[signature.outputs[0].at(-1, units)],
        weights={"kernel": (*window, seen, units), "bias": (units,)},
        sizes={"filters": units},
    )


@bug(between(lambda x: layers.LayerNormalization()(x)), "LayerNormalization")
def mean_over_channels_is_let_through(signature, call, inputs, fresh):
    return replace(signature, inexact=())


@bug(between(lambda x: layers.Softmax()(x)), "Softmax")
def softmax_is_let_through(signature, call, inputs, fresh):
    return replace(signature, inexact=())


@bug(between(lambda x: layers.Activation("softmax")(x)), "Activation")
def activation_is_let_through(signature, call, inputs, fresh):
    return replace(signature, frozen=())


@bug(between(lambda x: layers.RMSNormalization()(x)), "RMSNormalization")
def mean_of_squares_is_not_corrected(signature, call, inputs, fresh):
    return replace(signature, scales={})


@bug(
    between(lambda x: layers.MultiHeadAttention(2, 4)(x, x), shape=(4, 5)),
    "MultiHeadAttention",
)
def width_of_keys_is_not_corrected(signature, call, inputs, fresh):
    return replace(signature, scales={})


@bug(between(lambda x: layers.GroupNormalization(4)(x)), "GroupNormalization")
def channels_of_a_group_go_alone(signature, call, inputs, fresh):
    return replace(signature, ties=())


@bug(between(lambda x: ops.mean(x, axis=-1, keepdims=True)), "ops.Mean")
def mean_does_not_freeze(signature, call, inputs, fresh):
    return replace(signature, frozen=(), inexact=())


@bug(between(lambda x: ops.max(x, axis=-1, keepdims=True)), "ops.Max", seed=2)
def maximum_does_not_freeze(signature, call, inputs, fresh):
    return replace(signature, frozen=(), inexact=())


def halves(x):
    one, other = ops.split(x, [3], axis=-1)
    return layers.Concatenate()([ops.tanh(other), one])


@bug(between(halves), "ops.Split")
def edges_are_off_by_one(signature, call, inputs, fresh):
    parts = np.split(np.roll(inputs[0].channels, 1), [3])
    return replace(
        signature, outputs=[inputs[0].at(-1, part) for part in parts]
    )


@bug(between(halves), "Concatenate")
def operands_are_joined_in_reverse(signature, call, inputs, fresh):
    joined = np.concatenate([x.channels for x in inputs[::-1]])
    return replace(signature, outputs=[inputs[0].at(-1, joined)])


@bug(between(lambda x: x[..., 2:7]), "ops.GetItem")
def slice_starts_one_early(signature, call, inputs, fresh):
    return replace(
        signature, outputs=[inputs[0].at(-1, inputs[0].channels[1:6])]
    )


@bug(between(lambda x: layers.Flatten()(x), shape=(3, 5)), "Flatten")
def positions_are_repeated_in_the_wrong_order(signature, call, inputs, fresh):
    units = np.repeat(inputs[0].channels, 3)
    return replace(signature, outputs=[Labels((None, units))])


@bug(
    between(lambda x: layers.Flatten()(layers.Reshape((4, 2))(x)), shape=(5,)),
    "Reshape",
)
def blocks_are_cut_across(signature, call, inputs, fresh):
    rows = inputs[0].channels.reshape(4, 2)
    return replace(
        signature,
        outputs=[Labels((None, rows[:, 0], rows[0]))],
        ties=[],
    )


@bug(between(lambda x: layers.Permute((2, 1))(x), shape=(8, 5)), "Permute")
def axes_stay_where_they_were(signature, call, inputs, fresh):
    return replace(signature, outputs=[inputs[0]])


@bug(between(lambda x: layers.PReLU()(x)), "PReLU")
def slopes_have_no_labels(signature, call, inputs, fresh):
    return replace(signature, weights={})


@bug(
    between(lambda x: layers.Bidirectional(layers.GRU(4))(x), shape=(4, 5)),
    "Bidirectional",
)
def directions_are_joined_in_reverse(signature, call, inputs, fresh):
    units = np.roll(signature.outputs[0].channels, 1)
    return replace(signature, outputs=[signature.outputs[0].at(-1, units)])


def filed(kind):
    """Returns under what a rule is filed, and the rule."""
    key = kind if kind.startswith("ops.") else getattr(layers, kind)
    return key, rules._RULES[key]


def planted(shipped, change):
    """Returns a rule with another signature and all else as shipped."""

    class Planted(type(shipped)):
        def signature(self, call, inputs, fresh):
            found = super().signature(call, inputs, fresh)
            return change(found, call, inputs, fresh)

    return Planted()


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_breaks_the_law(name, monkeypatch):
    make, kind, change, seed = BUGS[name]
    model = make()
    assert_law(model, rate=0.5, seed=seed)
    key, shipped = filed(kind)
    monkeypatch.setitem(rules._RULES, key, planted(shipped, change))
    # Wrong outputs, or weights that do not fit the trimmed model.
    with pytest.raises((AssertionError, PlanError, ValueError)):
        assert_law(model, rate=0.5, seed=seed)
