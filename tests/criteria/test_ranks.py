# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import rankdata

from tf_diet.criteria.estimators import bias_correction, copula, ranks


def rows(seed=0, samples=500):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, samples)).astype(np.float32)
    x[1] = np.maximum(x[1], 0)
    x[2] = np.round(2 * x[2])
    x[3] = 7
    return x


def test_normal_scores_are_quantiles_of_mid_ranks():
    x = rows()
    scores = ndtri((rankdata(x, axis=1) - 0.5) / x.shape[1])
    scores -= scores.mean(axis=1, keepdims=True)
    scores[:3] /= scores[:3].std(axis=1, keepdims=True)
    scores[3] = 0
    np.testing.assert_allclose(ranks.normal_scores(x), scores, atol=1e-12)


def test_a_sort_carries_its_payload():
    x = rows()
    order = np.arange(x.shape[1], dtype=np.uint64)
    bits = ranks.sort_with(x, order)
    carried = np.take_along_axis(x, ranks.low(bits), axis=1)
    np.testing.assert_array_equal(carried, np.sort(x, axis=1))
    tied = np.diff(carried, axis=1) == 0
    patterns = ranks.high(bits)
    np.testing.assert_array_equal(patterns[:, 1:] == patterns[:, :-1], tied)


@pytest.mark.parametrize("bins", copula.LEVELS)
def test_quantised_gaussian_information(bins):
    """Against a direct sum over the cells of a fine grid."""
    rho = 0.7
    grid = (np.arange(3200) + 0.5) / 3200
    u = ndtri(grid)
    power = rho**2 * (u[:, None] ** 2 + u**2) - 2 * rho * np.outer(u, u)
    density = np.exp(-power / 2 / (1 - rho**2))
    cells = density.reshape(bins, 3200 // bins, bins, -1).sum(axis=(1, 3))
    cells /= cells.sum()
    nats = np.sum(cells * np.log(cells * bins**2))
    truth = -np.log(1 - rho**2) / 2
    assert copula.seen(truth, bins) == pytest.approx(nats, abs=2e-3)
    assert copula.true(copula.seen(truth, bins), bins) == pytest.approx(truth)
    assert copula.seen(-truth, bins) == -copula.seen(truth, bins)


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("n", [0, 1, 5, 60, 900])
def test_chance_of_an_even_split(parts, n):
    rng = np.random.default_rng(n)
    halves = rng.multinomial(n, [1 / parts] * parts, size=200_000)
    table = bias_correction.n_log_n(n)
    gains = table[halves].sum(axis=1) - n * np.log(max(n, 1) / parts)
    error = gains.std() / np.sqrt(len(gains))
    expected = bias_correction.split_gain(n, parts)[n]
    assert abs(expected - gains.mean()) <= 4 * error + 1e-12
