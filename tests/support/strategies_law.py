# SPDX-License-Identifier: MIT
"""What must be true of a random graph, and what was in it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from strategies_graph import Graph

from tf_diet.graph.build import build
from tf_diet.pruning.mask import mask
from tf_diet.pruning.trim import trim
from tf_diet.testing import TOLERANCE, random_inputs, random_kept, randomise

# Keras rounds what it divides the scores of these by to float32.
ROUNDED = {"MultiHeadAttention", "GroupedQueryAttention"}


@dataclass
class Checked:
    """A graph that was put to the test.

    Args:
        error: trimmed against masked, relative to the largest output.
        units: how many could be removed.
        operations: how often each class was applied.
        barriers: the classes that stopped the graph.
    """

    error: float
    units: int
    operations: Counter[str] = field(default_factory=Counter)
    barriers: Counter[str] = field(default_factory=Counter)


def arrays(model: keras.Model, x: Any) -> list[Any]:
    # JAX compiles every operation by itself where a model is just called.
    if keras.backend.backend() == "jax":
        found = model.predict_on_batch(x)
    else:
        found = model(x)
    return [
        np.asarray(keras.ops.convert_to_numpy(y), np.float64)
        for y in keras.tree.flatten(found)
    ]


def check(graph: Graph, reload: bool = False) -> Checked:
    """Asserts the law on a random graph, and all that goes with it."""
    model = graph.model()
    randomise(model, graph.seed)
    before = [np.array(w) for w in model.get_weights()]
    x = random_inputs(model, graph.seed)
    channels = build(model)
    alive = channels.alive(random_kept(channels, graph.rate, graph.seed))
    small = trim(model, channels, alive)
    full = arrays(mask(model, channels, alive), x)
    got = arrays(small, x)
    error = 0.0
    for one, other in zip(full, got, strict=True):
        assert np.isfinite(one).all(), f"not finite: {graph}"
        scale = np.abs(one).max(initial=0.0) or 1.0
        error = max(error, float(np.abs(one - other).max(initial=0.0) / scale))
        assert np.isfinite(other).all(), f"trimmed is not finite: {graph}"
    kinds = Counter(type(c.operation).__name__ for c in channels.walk.calls)
    bound = TOLERANCE[keras.config.floatx()]
    if not ROUNDED.isdisjoint(kinds):
        bound = max(bound, 1e-6)
    assert error <= bound, f"the law is broken by {error:g}: {graph}"
    counted = channels.parameters(alive)
    assert small.count_params() == counted, (
        f"{small.count_params()} parameters, the graph counts {counted}: "
        f"{graph}"
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    if reload:
        again = type(small).from_config(small.get_config())
        again.set_weights(small.get_weights())
        for one, other in zip(got, arrays(again, x), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    return Checked(
        error,
        sum(group.n_units for group in channels.groups),
        kinds,
        Counter(barrier.kind for barrier in channels.barriers),
    )
