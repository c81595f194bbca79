# SPDX-License-Identifier: MIT
"""How units are seen: pooled, with lags, and never as runs of neighbours."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.criteria import calibration
from tf_diet.criteria.alignment import Target, with_estimators
from tf_diet.criteria.estimators import chosen, mutual_information
from tf_diet.criteria.observation import Observer
from tf_diet.errors import InputError
from tf_diet.graph.build import build

pytestmark = pytest.mark.slow


def identity(positions, channels):
    """Units that are the channels of the input."""
    x = keras.Input((positions, channels))
    h = layers.Dense(channels, name="h", kernel_initializer="identity")(x)
    return keras.Model(x, layers.Dense(1)(h))


def observe(model, x, y, **options):
    graph = build(model)
    loaded = calibration.load(graph.walk, (x, y), targets=True, seed=0)
    observer = Observer(graph, loaded, Target(loaded.y, **options), 0)
    ((_, seen),) = observer([graph.group("h")])
    return seen, observer.describe(graph.group("h"))


def best(seen):
    return np.max([mutual_information(s.x, s.y) for s in seen], axis=0)


def test_one_target_is_compared_with_mean_and_maximum():
    x = np.random.default_rng(0).standard_normal((600, 40, 3))
    x = x.astype("float32")
    # The first unit knows by its peak alone, the second by its mean alone.
    x[:, 0, 0] = 8 + x[:, 0, 0]
    x[:, 1, 0] -= 8 + x[:, 0, 0]
    y = x[:, 0, 0] + 10 * x[:, :, 1].mean(axis=1)
    seen, said = observe(identity(40, 3), x, y)
    assert len(seen) == 2
    np.testing.assert_allclose(seen[0].x, x.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(seen[1].x, x.max(axis=1), atol=1e-5)
    mean, peak = (mutual_information(s.x, s.y) for s in seen)
    assert mean[0] < 0.02 < 0.1 < peak[0]
    assert peak[1] < 0.1 < mean[1]
    assert "by mean and by maximum" in said


def test_coarser_targets_pool_the_positions_of_each():
    x = np.random.default_rng(1).standard_normal((50, 24, 2))
    x = x.astype("float32")
    y = x.reshape(50, 4, 6, 2).mean(axis=2)[:, :, :1]
    seen, said = observe(identity(24, 2), x, y)
    # Two of four positions of each example are kept.
    assert [s.x.shape for s in seen] == [(100, 2)] * 2
    np.testing.assert_allclose(seen[0].x[:, 0], seen[0].y, atol=1e-5)
    assert (seen[1].x >= seen[0].x).all()
    assert "at each of its own positions" in said


def test_a_lag_finds_a_unit_that_comes_late():
    x = np.random.default_rng(2).standard_normal((100, 60, 2))
    x = x.astype("float32")
    y = np.roll(x[..., :1], -2, axis=1)
    x[..., 1] = np.random.default_rng(3).standard_normal((100, 60))
    model = identity(60, 2)
    blind, _ = observe(model, x, y)
    assert best(blind).max() < 0.02
    seen, said = observe(model, x, y, lags=(0, 1, 2))
    assert len(seen) == 3
    late, null = best(seen)
    assert late > 1
    assert null < 0.02
    assert "lags 0, 1, 2" in said


@pytest.mark.parametrize("lags", [(), "01", (0.5,), 3, (True,)])
def test_lags_are_whole_numbers(lags):
    with pytest.raises(InputError, match=r"(?s)Lags must.*Received.*Pass"):
        Target(np.zeros((3, 4, 1)), lags=lags)


def ar1(rng, files, length, channels, phi=0.99):
    noise = rng.standard_normal((files, length, channels))
    out = np.empty_like(noise)
    out[:, 0] = noise[:, 0]
    for t in range(1, length):
        out[:, t] = phi * out[:, t - 1] + np.sqrt(1 - phi**2) * noise[:, t]
    return out.astype("float32")


def test_slow_independent_signals_do_not_score():
    rng = np.random.default_rng(4)
    x, y = ar1(rng, 400, 600, 20), ar1(rng, 400, 600, 1)
    seen, _ = observe(identity(600, 20), x, y)
    assert len(seen[0].x) > 4000
    assert best(seen).mean() < 0.002
    # Neighbours of few files would have scored.
    run = x[:8].reshape(-1, 20), y[:8].ravel()
    assert mutual_information(*run).mean() > 0.02


def test_the_same_positions_are_taken_again():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((30, 50, 2)).astype("float32")
    y = rng.standard_normal((30, 50, 1))
    model = identity(50, 2)
    (first,), (again,) = (observe(model, x, y)[0] for _ in range(2))
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.y, again.y)


def test_finer_codes_are_not_turned_into_spectra():
    codes = np.arange(2 * 2048).reshape(2, 2048)
    target = Target(codes)
    assert not target.spectral((128,))
    picked = target.at(np.array([1]), np.array([[0.5 / 128]]), (128,))
    np.testing.assert_array_equal(picked, [2048 + 8])
    assert "the code in the middle" in target.describe((128,))


def test_the_estimator_is_named():
    whole = np.arange(9)
    assert chosen("auto", whole, whole=True) == "classes"
    assert chosen("auto", whole) == "ladder"
    assert chosen("edge", whole) == "edge"
    said = with_estimators("a rule", ["ladder", "ladder"])
    assert said == "a rule; estimator: ladder"
