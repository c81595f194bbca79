# SPDX-License-Identifier: MIT
"""Information with the layer's own input, at the unit's own position."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.criteria import Criterion, InputInformation, rank
from tf_diet.errors import InputError
from tf_diet.graph.build import build


def scores_of(model, x, criterion="input_information", **kwargs):
    return rank(model, build(model), (x, None), criterion, **kwargs)


def units_of(layer, shape, weights):
    x = keras.Input(shape)
    model = keras.Model(x, layers.Dense(1)(layer(x)))
    layer.set_weights([np.asarray(w, np.float32) for w in weights])
    return model


def test_a_unit_knows_what_it_lets_through():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3000, 1))
    layer = layers.Dense(4, activation="relu", name="units")
    # All of the input, half of it, a tenth of it, nothing.
    model = units_of(layer, (1,), [[[1, 1, 1, 0]], [9, 0, -1.28, 1]])
    scores = scores_of(model, x)
    whole, half, tenth, nothing = scores.values["units"]
    assert whole > half > tenth > 0.1
    assert nothing == 0
    # A half of zeros: at least as much as whether it is zero.
    assert half > np.log(2)
    assert scores.alignment["units"] == (
        "the input of the layer at the unit's position; estimator: ladder"
    )


def test_positions_of_units_and_inputs_are_paired():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 50, 1))
    kernel = np.zeros((3, 1, 3))
    kernel[[0, 1, 2], 0, [0, 1, 2]] = 1
    layer = layers.Conv1D(3, 3, padding="same", name="units")
    model = units_of(layer, (50, 1), [kernel, np.zeros(3)])
    before, here, after = scores_of(model, x).values["units"]
    assert here > 2
    assert max(before, after) < 0.02


def test_strides_meet_the_nearest_input():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((60, 50, 1)).repeat(2, axis=1)
    layer = layers.Conv1D(2, 2, strides=2, name="units")
    kernel = np.zeros((2, 1, 2))
    kernel[0, 0, 0] = 1
    model = units_of(layer, (100, 1), [kernel, np.zeros(2)])
    known, constant = scores_of(model, x).values["units"]
    assert known > 2
    assert constant == 0


def test_wide_inputs_are_told_by_their_principal_components():
    rng = np.random.default_rng(3)
    width = 60
    basis = np.linalg.qr(rng.standard_normal((width, width)))[0]
    size = np.where(np.arange(width) < 16, 10.0, 0.1)
    latent = rng.standard_normal((1500, width))
    x = (latent * size) @ basis
    layer = layers.Dense(2, name="units")
    directions = basis[[3, 40]].T / size[[3, 40]]
    model = units_of(layer, (width,), [directions, np.zeros(2)])
    loud, faint = scores_of(model, x).values["units"]
    assert loud > 2
    assert faint < 0.02


def test_a_last_state_meets_the_mean_of_its_sequence():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((400, 6, 2))
    inputs = keras.Input((6, 2))
    gru = layers.GRU(3, name="units")
    model = keras.Model(inputs, layers.Dense(1)(gru(inputs)))
    scores = scores_of(model, x)
    assert "averaged over positions" in scores.alignment["units"]
    assert (scores.values["units"] > 0.05).all()
    # Examples are told apart: against the inputs of others nothing is left.

    class Mixed(InputInformation):
        def score(self, group, seen):
            for site in seen.sites:
                site.x[:] = np.roll(site.x, 1, axis=0)
            return super().score(group, seen)

    assert (scores_of(model, x, Mixed()).values["units"] < 0.02).all()


def test_layers_that_take_codes_cannot_be_judged():
    codes = keras.Input((6,))
    h = layers.Embedding(9, 4, name="codes")(codes)
    h = layers.Dense(3, name="units")(h)
    model = keras.Model(codes, layers.Dense(1)(h))
    x = np.random.default_rng(5).integers(9, size=(200, 6))
    scores = scores_of(model, x)
    assert scores.unseen == {"codes": 4}
    assert "these units stay whole" in scores.alignment["codes"]
    assert np.isfinite(scores.values["units"]).all()


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"activations", "inputs", "targets"}, "one at a time"),
        ({"weights", "hessian"}, "needs 'hessian'. Known: activations,"),
    ],
)
def test_needs_that_nothing_shows(needs, message):
    class Own(Criterion):
        def score(self, group, seen):
            return np.zeros(group.n_units)

    Own.needs = frozenset(needs)
    layer = layers.Dense(3, name="units")
    model = units_of(layer, (2,), [np.ones((2, 3)), np.zeros(3)])
    with pytest.raises(InputError, match=message):
        scores_of(model, np.zeros((9, 2)), Own())


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("activation", None, "data=None.*needs none: geometric_median, l2"),
        ("input_information", None, "data=None.*needs none"),
        ("information_gain", np.zeros((9, 2)), "lacks targets"),
        ("mutual_information", (np.zeros((9, 2)), None), "lacks targets"),
        ("input_information", np.zeros((3, 2)), "at least 8 samples"),
        ("geometric_medium", None, "Did you mean 'geometric_median'"),
        ("normalization", None, "Did you mean 'normalisation'"),
    ],
)
def test_what_a_criterion_lacks(name, data, message):
    layer = layers.Dense(3, name="units")
    model = units_of(layer, (2,), [np.ones((2, 3)), np.zeros(3)])
    with pytest.raises(InputError, match=f"(?s){message}"):
        rank(model, build(model), data, name)
