# SPDX-License-Identifier: MIT
"""The law on random graphs; a failure prints a small program that fails."""

from collections import Counter

import keras
import pytest
from hypothesis import HealthCheck, find, given, settings
from strategies import random_graphs, seeded
from strategies_graph import KINDS
from strategies_law import check

# JAX compiles every graph anew.
ON_JAX = keras.backend.backend() == "jax"
COUNT = 30 if ON_JAX else 300
QUICK = settings(
    max_examples=COUNT,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# Some graphs hang masks of time steps on layers that drop them, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*mask attached:UserWarning")


@pytest.fixture(autouse=True, scope="module")
def _precise():
    """In float64 the law holds to 1e-10, and no rounding looks like a bug."""
    if ON_JAX:
        yield
        return
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


@pytest.mark.slow
def test_law_on_random_graphs():
    seen = []

    @QUICK
    @given(random_graphs())
    def holds(graph):
        seen.append(check(graph, reload=graph.seed % 5 == 0))
        if len(seen) % 20 == 0:
            keras.backend.clear_session(free_memory=False)

    holds()
    assert len(seen) >= COUNT
    assert sum(checked.units > 0 for checked in seen) > 0.8 * len(seen)


def test_every_kind_of_step_is_drawn():
    drawn = Counter()
    for seed in range(1500):
        drawn.update(seeded(seed).kinds())
    assert {kind for kind in KINDS if not drawn[kind]} == set()


def test_failures_shrink_to_a_small_program():
    graph = find(
        random_graphs(),
        lambda graph: "bidirectional" in graph.kinds(),
        settings=settings(QUICK, max_examples=2000),
    )
    # The layer, what gives it something to lose, an embedding, a head.
    assert len(graph.steps) <= 4
    code = repr(graph)
    assert "layers.Bidirectional(layers.GRU(3" in code
    exec(code, {})


def test_a_seed_is_a_graph():
    assert repr(seeded(17)) == repr(seeded(17)) != repr(seeded(18))
