"""The law, for us and for owners of custom layers.

A trimmed model computes what the full model computes with its dead units at
zero. `assert_law` checks that on any model, with every weight, bias and
statistic drawn at random, since fresh ones hide most mistakes.
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tf_diet.graph.build import build
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.walk import walk
from tf_diet.pruning.mask import mask
from tf_diet.pruning.trim import trim

TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-3}


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
) -> dict[str, NDArray[np.int64]]:
    """Draws units to keep, at a different share in each group.

    Equal shares would hide missing ties: widths would agree by luck.

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
    return kept


def random_inputs(model: keras.Model, seed: int = 0, batch: int = 2) -> Any:
    """Draws inputs that fit a model; unknown sizes become 12.

    Args:
        model: the model.
        seed: of the draw.
        batch: how many samples.
    """
    rng = np.random.default_rng(seed)

    def draw(tensor: Any) -> Any:
        shape = [12 if size is None else size for size in tensor.shape[1:]]
        if "int" in str(tensor.dtype):
            return rng.integers(0, 8, (batch, *shape))
        return rng.normal(size=(batch, *shape)).astype(str(tensor.dtype))

    walked = walk(model)
    return keras.tree.map_structure(
        lambda slot: draw(walked.tensors[slot.key]), walked.input_structure
    )


def law_error(
    model: keras.Model, kept: dict[str, Any], x: Any, graph: ChannelGraph
) -> float:
    """Returns how far trimmed and masked outputs are, relative to the largest.

    Args:
        model: the full model.
        kept: per group, the units that stay.
        x: inputs as the model takes them.
        graph: the channel graph of the model.
    """
    alive = graph.alive(kept)
    full = _outputs(mask(model, graph, alive), x)
    small = _outputs(trim(model, graph, alive), x)
    worst = 0.0
    for one, other in zip(full, small, strict=True):
        a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
        scale = np.abs(a).max(initial=0.0) or 1.0
        worst = max(worst, float(np.abs(a - b).max(initial=0.0) / scale))
    return worst


def _outputs(model: keras.Model, x: Any) -> list[Any]:
    """Returns the flattened outputs as arrays."""
    # JAX compiles every operation by itself where a model is just called,
    # TensorFlow takes longer to trace a model than to run it once.
    if keras.backend.backend() == "jax":
        return keras.tree.flatten(model.predict_on_batch(x))
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x))]


def assert_law(
    model: keras.Model,
    *,
    rate: float = 0.5,
    seed: int = 0,
    x: Any = None,
    tolerance: float | None = None,
) -> ChannelGraph:
    """Raises AssertionError unless the law holds on a model.

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
    error = law_error(model, kept, inputs, graph)
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
    """Raises AssertionError unless the law holds through and around a layer.

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
        assert_law(model, rate=rate, seed=seed)
