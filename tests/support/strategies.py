# SPDX-License-Identifier: MIT
"""Random small functional graphs over everything that has a rule.

`random_graphs()` is the hypothesis strategy, `seeded(n)` the graph of a number.
"""

from typing import Any

import numpy as np
import strategies_layers
import strategies_operations
import strategies_sequences
from hypothesis import strategies as st
from strategies_graph import (
    KINDS,
    Chooser,
    Graph,
    Pool,
    Shape,
    Source,
    Step,
)

FILED = (strategies_layers, strategies_operations, strategies_sequences)
MAX_STEPS = 7
MAX_SIZE = 900
VOCABULARY = 8


def draw_steps(choose: Chooser, pool: Pool, most: int, nest: bool) -> None:
    names = [n for n in KINDS if nest or not n.startswith("nested")]
    while len(pool.steps) < most:
        if pool.steps and choose.number(0, 9) == 0:
            break
        step = None
        for _ in range(4):
            step = KINDS[choose.pick(names)](choose, pool)
            if step is not None:
                break
        if step is None:
            break
        if all(np.prod(shape) <= MAX_SIZE for shape in step.shapes):
            pool.add(step)


def draw_graph(choose: Chooser) -> Graph:
    """Draws a graph and a plan."""
    sources = [draw_source(choose) for _ in range(choose.pick([1, 1, 1, 2]))]
    pool = Pool(choose, sources)
    for number, source in enumerate(sources):
        if source.dtype:
            pool.add(draw_embedding(choose, source, number))
    # Units of its own, so that what comes next has something to lose.
    first = pool.where(lambda shape: True)[0]
    shape = (*pool.shapes[first][:-1], 6)
    pool.add(Step("dense", "layers.Dense(6)({0})", (first,), (shape,)))
    draw_steps(choose, pool, MAX_STEPS, nest=True)
    leaves = [n for n in pool.where(lambda shape: True) if not pool.used[n]]
    outputs = []
    for leaf in leaves[: choose.pick([1, 2, 3])]:
        if choose.one_in(8):
            outputs.append(leaf)
            continue
        shape = (*pool.shapes[leaf][:-1], 2)
        outputs.append(len(pool.shapes))
        pool.add(Step("head", "layers.Dense(2)({0})", (leaf,), (shape,)))
    return Graph(
        inputs=tuple(sources),
        steps=tuple(pool.steps),
        outputs=tuple(outputs),
        structure=choose.pick(["list", "dict"]),
        rate=choose.number(1, 9) / 10,
        seed=choose.number(0, 9999),
    )


def draw_inner(choose: Chooser, shape: Shape) -> Graph:
    """Draws a graph of one input and one output, for a nested model."""
    pool = Pool(choose, [Source(shape)])
    draw_steps(choose, pool, 3, nest=False)
    (last, *_) = pool.where(lambda shape: True)
    if last == 0:
        last = len(pool.shapes)
        widths = (*shape[:-1], 5)
        pool.add(Step("dense", "layers.Dense(5)({0})", (0,), (widths,)))
    return Graph((Source(shape),), tuple(pool.steps), (last,))


def draw_source(choose: Chooser) -> Source:
    return choose.pick(
        [
            Source((5,)),
            Source((6, 4)),
            Source((4, 4, 3)),
            Source((6,), "int32"),
        ]
    )


def draw_embedding(choose: Chooser, source: Source, number: int) -> Step:
    width = choose.pick([4, 6])
    zero = choose.pick(["", ", mask_zero=True"])
    return Step(
        "embedding",
        f"layers.Embedding({VOCABULARY}, {width}{zero})({{0}})",
        (number,),
        ((*source.shape, width),),
    )


def seeded(seed: int) -> Graph:
    """Returns the graph of a seed, the same one on every machine."""
    rng = np.random.default_rng(seed)
    return draw_graph(
        Chooser(lambda low, high: int(rng.integers(low, high + 1)))
    )


@st.composite
def random_graphs(draw: Any) -> Graph:
    """A strategy of graphs."""
    return draw_graph(Chooser(lambda low, high: draw(st.integers(low, high))))
