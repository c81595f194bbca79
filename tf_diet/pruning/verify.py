# SPDX-License-Identifier: MIT
"""Checks that a trimmed model computes what the masked one does."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import logging
from numpy.typing import ArrayLike

from tf_diet.arrays import Array
from tf_diet.errors import PlanError
from tf_diet.graph.calls import Call, Walk, replay
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.composite import sublayers
from tf_diet.graph.forward import unchanged, unlisted_states
from tf_diet.graph.labels import Mask
from tf_diet.graph.operation import Args, Kwargs, variables_of
from tf_diet.graph.walk import walk
from tf_diet.pruning.input_sizes import USUAL, filled, open_sizes
from tf_diet.pruning.mask import Masked
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.trim import trim

TOLERANCE = {
    "float64": 1e-10,
    "float32": 1e-5,
    "float16": 1e-3,
    "bfloat16": 1e-2,
}


def verify(
    model: keras.Model, trimmed: keras.Model, plan: PruningPlan, x: Any = None
) -> float:
    """Checks that a trimmed model is the full one without its dead units.

    The right-hand side is the full model with its dead units at zero, with
    the weights that it has. Call it before the trimmed model is trained on.

    Args:
        model: the full model.
        trimmed: what `plan.apply(model)` returned, or what was saved of it.
        plan: the plan between them.
        x: inputs as the model takes them; drawn at random when left out.

    Layers that draw random numbers because the model calls them with
    `training=True` are run as in inference: no two calls could be compared
    otherwise. Stateful layers start from zero and get their states back.

    Returns:
        The largest error of an output, relative to its largest value. It is
        not judged where the plan gives up equivalence
        (`Limits(exact=False)`): the log then says so.

    Raises:
        PlanError: the models differ by more than rounding, or the plan was
            made for another model.

    Example:
        >>> plan = tf_diet.plan(model, (x, y), rate=0.5)
        >>> tf_diet.verify(model, plan.apply(model), plan)
        2.1e-07
    """
    graph = plan.graph(model)
    random = [call.path for call in graph.walk.calls if _draws(call)]
    if random:
        logging.info("compared as in inference: %s", ", ".join(random))
    full, x = _expected(
        Masked(model, graph, untrained=bool(random)),
        graph.alive(plan.kept_units),
        model if x is None else None,
        x,
    )
    with unchanged(walk(trimmed)):
        for call in walk(trimmed).calls:
            for state in unlisted_states(call.operation):
                state.assign(np.zeros(state.shape))
        small = (_untrained_outputs if random else _outputs)(trimmed, x)
    errors = _apart(full, small)
    if len(errors) != len(graph.walk.outputs):
        raise PlanError(
            f"The trimmed model {trimmed.name!r} does not come from this plan. "
            f"Received: {len(errors)} comparable outputs of "
            f"{len(graph.walk.outputs)}. Pass what plan.apply(model) returned."
        )
    worst = int(np.argmax(errors)) if errors else 0
    error = errors[worst] if errors else 0.0
    if not plan.exact:
        logging.warning(
            "the plan gives up equivalence (Limits(exact=False)), which is "
            "therefore not promised: outputs differ by %.2g",
            error,
        )
        return error
    bound = _tolerance(graph)
    if not error <= bound:
        raise PlanError(
            f"The trimmed model {trimmed.name!r} does not compute what "
            f"{model.name!r} does with its dead units at zero; worst is the "
            f"output of {_output_name(graph.walk, worst)!r}. Received: an "
            f"error of {error:.2g} of its largest value, more than "
            f"{bound:.0e}. If it was trained or changed after plan.apply, "
            "verify it before; if not, a rule of a custom layer is wrong: "
            "see tf_diet.testing.check_rule."
        )
    return error


def _draws(call: Call) -> bool:
    """Says whether a call draws random numbers in inference too."""
    return call.told(call.kwargs).get("training") is True and any(
        variable.path.endswith("seed_generator_state")
        for variable in variables_of(call.operation)
    )


def _expected(
    masked: Masked, alive: Mask, drawn_for: keras.Model | None, x: Any
) -> tuple[list[Array], Any]:
    """Returns what the masked model puts out, and for which inputs.

    Args:
        masked: the full model.
        alive: which labels live.
        drawn_for: the model to draw inputs for; None where they are given.
        x: the inputs that are given.
    """
    if drawn_for is None:
        return _masked_outputs(masked, alive, x), x
    x = random_inputs(drawn_for)
    return _masked_outputs(masked, alive, x), x


def _untrained_outputs(model: keras.Model, x: Any) -> list[Array]:
    """Returns the flattened outputs, all layers run as in inference."""
    walked = walk(model)
    slots = keras.tree.flatten(walked.input_structure)
    given = dict(
        zip((s.key for s in slots), keras.tree.flatten(x), strict=True)
    )

    def apply(call: Call, args: Args, kwargs: Kwargs) -> Any:
        return call.operation(*args, **call.untrained(kwargs))

    inputs = [keras.ops.convert_to_tensor(given[k]) for k in walked.inputs]
    values = replay(walked, inputs, apply)
    return [keras.ops.convert_to_numpy(values[k]) for k in walked.outputs]


def _apart(full: list[Array], small: list[Array]) -> list[float]:
    """Returns how far outputs are apart, relative to the largest of each.

    Outputs of other shapes are left out.
    """
    errors = []
    for one, other in zip(full, small, strict=False):
        a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
        if a.shape == b.shape:
            scale = np.abs(a).max(initial=0.0) or 1.0
            error = float(np.abs(a - b).max(initial=0.0) / scale)
            errors.append(np.inf if np.isnan(error) else error)
    return errors


def equivalence_error(
    model: keras.Model,
    kept: Mapping[str, ArrayLike],
    x: Any,
    graph: ChannelGraph,
    masked: Masked | None = None,
) -> float:
    """Returns how far trimmed and masked outputs are, relative to the largest.

    Outputs of another shape are infinitely far.

    Args:
        model: the full model.
        kept: per group, the units that stay.
        x: inputs as the model takes them.
        graph: the channel graph of the model.
        masked: of the model, where several plans are tried on it.
    """
    alive = graph.alive(kept)
    masked = Masked(model, graph) if masked is None else masked
    full = _masked_outputs(masked, alive, x)
    errors = _apart(full, _outputs(trim(model, graph, alive), x))
    if len(errors) != len(full):
        return np.inf
    return max(errors, default=0.0)


def _masked_outputs(masked: Masked, alive: Mask, x: Any) -> list[Array]:
    if keras.backend.backend() == "jax":
        return _outputs(masked.model(alive), x)
    return masked.outputs(alive, x)


def random_inputs(
    model: keras.Model, seed: int = 0, batch: int = 2, size: int | None = None
) -> Any:
    """Draws inputs that fit a model.

    Args:
        model: the model.
        seed: of the draw.
        batch: how many samples, where the model does not say.
        size: what other unknown sizes become; where left out, 12 or, if the
            model gives nothing for that, enough.

    Returns:
        Arrays in the structure of the model's inputs: normally distributed,
        or zeros and ones where integers are taken.
    """
    rng = np.random.default_rng(seed)

    walked = walk(model)
    sizes = open_sizes(walked) if size is None else {}

    def draw(key: int) -> Array:
        tensor = walked.tensors[key]
        first, open_size = tensor.shape[0], sizes.get(key, size or USUAL)
        shape = [first or batch, *filled(tensor, open_size)]
        if "int" in str(tensor.dtype):
            # An embedding may know two classes and no more.
            return rng.integers(0, 2, shape)
        return rng.normal(size=shape).astype(str(tensor.dtype))

    return keras.tree.map_structure(
        lambda slot: draw(slot.key), walked.input_structure
    )


def _outputs(model: keras.Model, x: Any) -> list[Array]:
    """Returns the flattened outputs as arrays."""
    # JAX compiles every operation by itself where a model is just called,
    # TensorFlow takes longer to trace a model than to run it once.
    if keras.backend.backend() == "jax":
        return keras.tree.flatten(model.predict_on_batch(x))
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x))]


def _tolerance(graph: ChannelGraph) -> float:
    """Returns the bound of the coarsest precision in a model."""
    found = {
        layer.compute_dtype
        for call in graph.walk.calls
        for layer in sublayers(call.operation)
    }
    bounds = [TOLERANCE[name] for name in found if name in TOLERANCE]
    return max(bounds, default=TOLERANCE["float32"])


def _output_name(walked: Walk, number: int) -> str:
    """Returns the path of the call that makes an output of a model."""
    key = walked.outputs[number]
    call = walked.producers.get(key)
    return f"input {number}" if call is None else call.path
