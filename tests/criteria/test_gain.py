# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from tf_diet.criteria.estimators import gain, mutual_information
from tf_diet.criteria.estimators.features import features
from tf_diet.errors import InputError

SAMPLES = 4000


def explained(x, y):
    """The share of the target's features that x explains linearly."""
    basis = features(y)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    fitted = x @ np.linalg.lstsq(x, basis, rcond=None)[0]
    return np.sum(fitted**2) / basis.shape[1]


def test_gains_add_up_to_what_the_layer_explains():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((SAMPLES, 6))
    x = np.tanh(y @ rng.standard_normal((6, 20)))
    x += 0.5 * rng.standard_normal(x.shape)
    assert gain(x, y).sum() == pytest.approx(explained(x, y), rel=0.02)


def test_the_first_unit_gains_what_it_explains_alone():
    rng = np.random.default_rng(1)
    y = rng.standard_normal((SAMPLES, 4))
    x = y[:, :3] + np.array([0.3, 1.0, 3.0]) * rng.standard_normal((SAMPLES, 3))
    gains = gain(x, y)
    assert list(np.argsort(-gains)) == [0, 1, 2]
    assert gains[0] == pytest.approx(explained(x[:, :1], y), rel=0.01)


def test_copies_gain_nothing_and_constants_exactly_nothing():
    rng = np.random.default_rng(2)
    y = rng.standard_normal((SAMPLES, 4))
    x = y @ rng.standard_normal((4, 8))
    x += rng.standard_normal(x.shape)
    x[:, 5] = x[:, 2]
    x[:, 6] = 0.1
    gains = gain(x, y)
    pair = np.sort(gains[[2, 5]])
    assert pair[0] < 1e-3 < 0.01 < pair[1]
    assert gains[6] == 0
    # Information alone cannot tell them apart.
    nats = mutual_information(x, y)
    assert nats[2] == nats[5]


def test_a_cluster_of_good_copies_does_not_crowd_out_another_dimension():
    rng = np.random.default_rng(3)
    y = rng.standard_normal((SAMPLES, 2))
    noise = rng.standard_normal((SAMPLES, 7))
    x = np.hstack([np.repeat(y[:, :1], 6, axis=1), y[:, 1:]])
    x = x + noise * np.array([0.3] * 6 + [1.5])
    best = np.argsort(-gain(x, y))[:2]
    assert 6 in best
    assert 6 not in np.argsort(-mutual_information(x, y))[:2]


def test_a_helper_is_never_worth_more_than_what_it_helps():
    rng = np.random.default_rng(4)
    y = rng.standard_normal(SAMPLES)
    disturbance = 3 * rng.standard_normal(SAMPLES)
    x = np.stack([y + disturbance, disturbance], axis=1)
    mixed, helper = gain(x, y)
    assert mixed == helper > 0.2


@pytest.mark.parametrize(
    "target",
    [
        lambda w: w[:, 0],
        lambda w: w[:, 0] > 0,
        lambda w: np.round(w[:, 0]).astype(int).astype(str),
        lambda w: np.zeros(len(w)),
    ],
)
def test_every_kind_of_target(target):
    rng = np.random.default_rng(5)
    w = rng.standard_normal((500, 3))
    y = target(w)
    gains = gain(w, y)
    assert gains.shape == (3,)
    if np.unique(y).size == 1:
        assert (gains == 0).all()
    else:
        assert gains[0] > 10 * gains[1:].max()


def test_independent_units_stay_below_chance():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((SAMPLES, 300))
    y = rng.standard_normal((SAMPLES, 10))
    gains = gain(x, y)
    assert gains.max() < 4 / SAMPLES
    np.testing.assert_array_equal(gains, gain(x, y))


def test_bad_input():
    with pytest.raises(InputError, match="20 rows of units, 19 rows"):
        gain(np.ones((20, 2)), np.ones(19))
    with pytest.raises(InputError, match="finite"):
        gain(np.full((20, 2), np.inf), np.ones(20))
