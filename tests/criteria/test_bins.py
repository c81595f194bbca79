# SPDX-License-Identifier: MIT
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_diet.criteria.estimators.bins import MOST_BINS, equal_mass

KINDS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "rectified": lambda rng, n: np.maximum(rng.standard_normal(n), 0),
    "mostly zero": lambda rng, n: np.maximum(rng.standard_normal(n) - 2, 0),
    "saturated": lambda rng, n: np.clip(2 * rng.standard_normal(n), -1, 1),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "any scale": lambda rng, n: np.exp(20 * rng.standard_normal(n)),
    "few values": lambda rng, n: rng.integers(0, 5, n),
    "rounded": lambda rng, n: np.round(rng.standard_normal(n), 1),
    "constant": lambda rng, n: np.full(n, 3.0),
    "narrow": lambda rng, n: 1 + 1e-6 * rng.standard_normal(n),
    "tiny": lambda rng, n: 1e-40 * rng.standard_normal(n),
    "huge": lambda rng, n: rng.choice([-3e38, 3e38, 1.0, 0.0, -0.0], n),
}


def sorted_edges(values, bins):
    """Returns the edges by the book: sort, cut, and move each cut."""
    ordered = np.sort(values + 0)
    n = len(ordered)
    cuts = [i * n // bins for i in range(1, bins)]
    runs = [
        (
            int(np.searchsorted(ordered, ordered[cut], "left")),
            int(np.searchsorted(ordered, ordered[cut], "right")),
        )
        for cut in cuts
    ]
    moved = []
    for i, (cut, (start, stop)) in enumerate(zip(cuts, runs, strict=True)):
        same = [k for k, run in enumerate(runs) if run == (start, stop)]
        if cut == start:
            moved.append(cut)
        elif len(same) == 1:
            near = cut - start <= stop - cut
            moved.append(start if near else stop)
        else:
            moved.append(start if i == same[0] else stop)
    return [0, *moved, n]


@given(
    kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6),
    samples=st.one_of(st.integers(8, 60), st.integers(8, 6000)),
    bins=st.sampled_from([2, 3, 4, 16, 32, 64, MOST_BINS]),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=200, deadline=None)
def test_bins_are_those_of_sorted_samples(kinds, samples, bins, dtype, seed):
    rng = np.random.default_rng(seed)
    rows = np.stack([KINDS[kind](rng, samples) for kind in kinds])
    limit = np.finfo(dtype).max / 4
    rows = np.clip(rows, -limit, limit).astype(dtype)
    binned = equal_mass(rows, bins)
    for unit, row in enumerate(rows):
        edges = sorted_edges(row, bins)
        assert binned.edges[unit].tolist() == edges
        filled = [(a, b) for a, b in pairwise(edges) if a < b]
        assert np.bincount(binned.codes[unit], minlength=bins).tolist() == (
            binned.counts[unit].tolist()
        )
        # What has the smaller code has the smaller value.
        ordered = row[np.argsort(binned.codes[unit], kind="stable")]
        for (_, cut), _ in pairwise(filled):
            assert ordered[:cut].max() < ordered[cut:].min()
        pure = all(np.ptp(np.sort(row)[a:b]) == 0 for a, b in filled)
        assert binned.pure[unit] == pure


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_samples_makes_no_difference(seed):
    rng = np.random.default_rng(seed)
    rows = np.stack([make(rng, 3000) for make in KINDS.values()])
    shuffle = rng.permutation(3000)
    binned, shuffled = equal_mass(rows, 64), equal_mass(rows[:, shuffle], 64)
    np.testing.assert_array_equal(binned.edges, shuffled.edges)
    np.testing.assert_array_equal(binned.codes[:, shuffle], shuffled.codes)
