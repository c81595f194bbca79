# SPDX-License-Identifier: MIT
"""The compiled histograms against numpy, one unit and level at a time."""

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_diet.criteria.estimators import compiled
from tf_diet.criteria.estimators.bias_correction import n_log_n, split_gain
from tf_diet.criteria.estimators.bins import equal_mass
from tf_diet.criteria.estimators.joint_histograms import joint_histograms


def folded(counts):
    """Joins neighbours by twos along every axis."""
    for axis in range(counts.ndim):
        counts = np.add.reduceat(
            counts, np.arange(0, counts.shape[axis], 2), axis=axis
        )
    return counts


def even(counts):
    halves = counts.reshape(-1, 2)
    return halves.min(axis=1) > 0.2 * halves.sum(axis=1)


def levels(x, y, bins, coarsest):
    """Yields plug-in and chance, finest first."""
    joint = np.zeros((bins, bins), int)
    np.add.at(joint, (x, y), 1)
    table = n_log_n(len(x))
    while True:
        sides = joint.sum(axis=1), joint.sum(axis=0)
        plug_in = table[joint].sum() + table[len(x)]
        plug_in -= sum(table[side].sum() for side in sides)
        bins = len(joint)
        if bins == coarsest:
            filled = [np.count_nonzero(side) - 1 for side in sides]
            yield plug_in / len(x), filled[0] * filled[1] / 2
            return
        joint = folded(joint)
        split = [even(side) for side in sides]
        parts = 2 ** np.add.outer(*(each.astype(int) for each in split))
        gain = -sum(each.sum() for each in split) / 2
        for number in (2, 4):
            chosen = joint[parts == number]
            gain += split_gain(len(x), number)[chosen].sum()
        yield plug_in / len(x), gain


# The first call compiles the loops.
@settings(deadline=None)
@given(
    st.sampled_from([(16, 100), (32, 1001), (64, 5000)]),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.integers(0, 2**32 - 1),
)
def test_levels_are_those_of_numpy(size, rest, seed):
    bins, samples = size
    rng = np.random.default_rng(seed)
    target = rng.standard_normal((1, samples))
    # Two continuous units and one of ties.
    rows = target + rng.standard_normal((3, samples))
    rows[2] = np.maximum(rows[2] - rest, 0)
    units, aim = equal_mass(rows, bins), equal_mass(target, bins)
    scores, aims = rng.standard_normal((3, bins)), rng.standard_normal(bins)
    found = joint_histograms(units, aim, scores, aims, 4)
    for unit in range(3):
        code, codes = units.codes[unit], aim.codes[0]
        wanted = list(levels(code, codes, bins, 4))[::-1]
        plug_in, chance = np.transpose(wanted)
        np.testing.assert_allclose(found.plug_in[:, unit], plug_in, atol=1e-9)
        np.testing.assert_allclose(found.chance[:, unit], chance, rtol=1e-9)
        product = np.sum(scores[unit][code] * aims[codes])
        np.testing.assert_allclose(found.product[unit], product, atol=1e-6)


def test_without_a_directory_to_keep_it_in_a_loop_still_runs(
    monkeypatch, caplog
):
    real = numba.njit

    def njit(loop, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(loop, **options)

    monkeypatch.setattr(numba, "njit", njit)

    @compiled.compiled
    def twice(number: int) -> int:
        return 2 * number

    assert twice(21) == 42
    assert "NUMBA_CACHE_DIR" in caplog.text
