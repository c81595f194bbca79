# SPDX-License-Identifier: MIT
"""Surgery: a new model without the dead units, weights sliced by label."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
from absl import logging

from tf_diet.arrays import Array
from tf_diet.errors import PlanError
from tf_diet.graph.calls import Call
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.labels import Axis, Mask, Vector, take
from tf_diet.graph.operation import Operation, Variable
from tf_diet.graph.rule import own_variables
from tf_diet.graph.rule_table import rule_for
from tf_diet.pruning.rebuild import rebuild

Scale = tuple[Vector, float]
Cut = Callable[[Array, tuple[Axis, ...], Mask, Scale | None], Array]
Pair = tuple[Variable, Variable, tuple[Axis, ...]]


def _cut(
    value: Array, axes: tuple[Axis, ...], alive: Mask, scale: Scale | None
) -> Array:
    """Takes the living positions, and scales them where a layer asks."""
    value = take(value, axes, alive)
    if scale is None:
        return value
    axis, power = scale
    factor = (alive[axis].sum() / len(axis)) ** power
    return value * np.asarray(factor, value.dtype)


def trim(model: keras.Model, graph: ChannelGraph, alive: Mask) -> keras.Model:
    """Returns a smaller copy of a model; the model itself is not touched.

    Nested models stay nested, and a Sequential model stays Sequential; see
    `tf_diet.pruning.rebuild` for where they cannot. The result is not
    compiled: `tf_diet.pruning.optimizer.compile_like` does that.

    Args:
        model: the model that `graph` was built from.
        graph: its channel graph.
        alive: which labels live.

    Raises:
        PlanError: a layer cannot be made again from its config.
    """
    return trim_pairs(model, graph, alive)[0]


def trim_pairs(
    model: keras.Model, graph: ChannelGraph, alive: Mask
) -> tuple[keras.Model, list[Pair]]:
    """Trims a model and says which of its weights became which.

    Returns:
        The smaller model, and for each variable of the full one its
        successor and the labels of its axes.
    """
    small, made = rebuild(model, graph, alive)
    pairs = []
    for call in graph.walk.calls:
        pairs += fill(call, made[call.index], graph, alive, _cut)
    for name in _parted(pairs):
        logging.warning(
            "The weight %r is shared by layers around other layers: it becomes "
            "several weights, equal until they are trained.",
            name,
        )
    logging.info(
        "%s: %d -> %d parameters",
        model.name,
        model.count_params(),
        small.count_params(),
    )
    return small, pairs


def _parted(pairs: list[Pair]) -> Iterator[str]:
    """Yields the paths of weights that have become several."""
    made: dict[int, set[int]] = {}
    for old, new, _ in pairs:
        twins = made.setdefault(id(old), set())
        if len(twins) == 1 and id(new) not in twins:
            yield old.path
        twins.add(id(new))


def fill(
    call: Call, new: Operation, graph: ChannelGraph, alive: Mask, cut: Cut
) -> list[Pair]:
    """Copies the weights of one call, each cut along the labels of its axes.

    Args:
        call: whose weights.
        new: the operation that gets them.
        graph: where the labels are.
        alive: which of them live.
        cut: makes the new value.

    Returns:
        Old and new variables in pairs, with the labels of their axes.

    Raises:
        PlanError: the new operation has fewer or more.
    """
    old = call.operation
    if not isinstance(old, keras.Layer):
        return []
    signature = graph.signatures[call.index]
    rule = rule_for(old)
    named = rule.weights(old) if rule else own_variables(old)
    axes_of = {
        id(variable): signature.weights.get(name)
        for name, variable in named.items()
    }
    scale_of = {
        id(named[name]): scale for name, scale in signature.scales.items()
    }
    pairs = []
    if len(old.variables) != len(new.variables):
        raise PlanError(
            f"The layer {call.path!r} makes other weights when it is made "
            f"again. Received: {len(old.variables)} weights of a "
            f"{type(old).__name__}, of which the copy has "
            f"{len(new.variables)}. Build in build() all that __init__ makes, "
            "or leave out the parts that are never called."
        )
    for source, target in zip(old.variables, new.variables, strict=True):
        value = np.asarray(keras.ops.convert_to_numpy(source.value))
        axes = axes_of.get(id(source)) or (None,) * value.ndim
        scale = scale_of.get(id(source))
        target.assign(cut(value, axes, alive, scale))
        pairs.append((source, target, axes))
    if rule is not None:
        rule.settle(new)
    return pairs
