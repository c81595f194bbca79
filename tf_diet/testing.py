# SPDX-License-Identifier: MIT
"""Equivalence of trimmed models, for us and for owners of custom layers.

A trimmed model computes what the full model computes with its dead units at
zero. `assert_equivalent` checks that on any model, with every weight, bias and
statistic drawn at random, since fresh ones hide most mistakes.
"""

from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Ints
from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.parts import parts
from tf_diet.pruning.trim import trim
from tf_diet.pruning.verify import TOLERANCE, equivalence_error, random_inputs

__all__ = [
    "TOLERANCE",
    "assert_equivalent",
    "assert_law",
    "check_rule",
    "equivalence_error",
    "law_error",
    "random_inputs",
    "random_kept",
    "randomise",
]


def randomise(model: keras.Model, seed: int = 0) -> None:
    """Draws every weight, bias and statistic of a model at random.

    Args:
        model: changed in place.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        name = variable.name
        if "seed" in name:
            continue
        if "variance" in name:
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            fan = np.prod(shape[:-1])
            value = rng.normal(size=shape) / np.sqrt(fan)
        else:
            value = rng.normal(size=shape) * 0.3 + ("gamma" in name)
        variable.assign(value.astype("float32"))


def random_kept(
    graph: ChannelGraph, rate: float, seed: int = 0
) -> dict[str, Ints]:
    """Draws units to keep, at a different share in each group.

    No group comes below its minimum and no axis is emptied. Equal shares
    would hide missing ties: widths would agree by luck.

    Args:
        graph: the channel graph.
        rate: the mean share of units that go.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    spread = min(rate, 1 - rate) * 0.8
    kept = {}
    for group in graph.groups:
        share = 1 - rate + rng.uniform(-spread, spread)
        count = round(group.n_units * share)
        count = min(max(count, group.minimum), group.n_units)
        kept[group.name] = np.sort(rng.permutation(group.n_units)[:count])
    for name, units in parts(graph):
        if not units[kept[name]].any():
            kept[name] = np.union1d(kept[name], np.flatnonzero(units)[:1])
    return kept


def assert_equivalent(
    model: keras.Model,
    *,
    rate: float = 0.5,
    seed: int = 0,
    x: Any = None,
    tolerance: float | None = None,
) -> ChannelGraph:
    """Raises AssertionError unless a model and its trimmed copy are equivalent.

    Args:
        model: its weights are redrawn in place.
        rate: the mean share of units to remove.
        seed: of weights, units and inputs.
        x: inputs; drawn when left out.
        tolerance: largest error relative to the largest output; by the
            model's precision when left out.

    Returns:
        The channel graph, for further checks.
    """
    randomise(model, seed)
    graph = build(model)
    kept = random_kept(graph, rate, seed)
    inputs = random_inputs(model, seed) if x is None else x
    error = equivalence_error(model, kept, inputs, graph)
    bound = tolerance or TOLERANCE[keras.config.floatx()]
    if not error <= bound:
        raise AssertionError(
            f"trimmed and masked outputs of {model.name!r} differ by {error:g} "
            f"of the largest output, more than {bound:g} "
            f"(rate={rate}, seed={seed})"
        )
    alive = graph.alive(kept)
    small = trim(model, graph, alive)
    if small.count_params() != graph.parameters(alive):
        raise AssertionError(
            f"the trimmed {model.name!r} has {small.count_params()} "
            f"parameters, the graph counts {graph.parameters(alive)}"
        )
    return graph


def check_rule(
    layer: keras.Layer, *input_shapes: tuple[int | None, ...]
) -> None:
    """Raises AssertionError unless models with a layer can be trimmed.

    The layer is put between two Dense layers, so that both what it makes and
    what reaches it are trimmed.

    Args:
        layer: an unbuilt or built layer.
        input_shapes: the shape of each input without the batch; more than
            one is passed as a list.
    """
    inputs = [keras.Input(shape) for shape in input_shapes]
    wide = [
        keras.layers.Dense(shape[-1])(x)
        for shape, x in zip(input_shapes, inputs, strict=True)
    ]
    middle = layer(wide if len(wide) > 1 else wide[0])
    outputs = keras.layers.Dense(3)(keras.tree.flatten(middle)[0])
    model = keras.Model(inputs, outputs)
    for seed, rate in enumerate((0.3, 0.6, 0.9)):
        assert_equivalent(model, rate=rate, seed=seed)


# What these were called before.
assert_law = assert_equivalent
law_error = equivalence_error
