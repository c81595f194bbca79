# SPDX-License-Identifier: MIT
"""Gradients of the model's own loss, accumulated over calibration data.

Keras has no gradient of its own that runs on every backend but the one in its
training step. So the model is trained for a pass over the data, by an
optimizer that writes gradients down and never moves a weight.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array, Ints
from tf_diet.criteria.calibration import inputs_of
from tf_diet.criteria.criterion import Accumulated
from tf_diet.criteria.order import by_content
from tf_diet.data.reader import read
from tf_diet.errors import InputError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.walk import compile_arguments, functional
from tf_diet.progress import track

_KINDS = {
    "mean": lambda g: g,
    "absolute": keras.ops.abs,
    "square": keras.ops.square,
}


def accumulate(
    model: keras.Model,
    graph: ChannelGraph,
    data: Any,
    *,
    kinds: frozenset[str],
    batch_size: int,
    seed: int,
) -> dict[str, Accumulated]:
    """Accumulates the gradients of a compiled model's loss.

    Dropout is off and statistics stand still, as in inference. Losses of
    regularisation are part of the loss.

    Args:
        model: compiled with a loss; it is left as it was.
        graph: its channel graph.
        data: `(x, y)` or `(x, y, sample_weight)`, y an array or a list or
            dict of one for each output, or batches of such.
        kinds: of "mean", "absolute" and "square" those that are needed.
        batch_size: the most examples of which a gradient is taken at a time.
        seed: of the examples and their order.

    Returns:
        By the path of each trainable weight.

    Raises:
        InputError: the model is not compiled with a loss, nothing in it
            trains, or the data does not fit it.
    """
    arguments = _loss_of(model)
    names = functional(model).output_names
    examples = _load(graph, names, data, seed)
    size, batches = _batches(graph, len(examples.order), batch_size)
    with _as_it_was(model):
        recorder = Recorder(kinds)
        still = _Still(model, names)
        still.compile(
            optimizer=recorder,
            loss=arguments["loss"],
            loss_weights=arguments.get("loss_weights"),
            run_eagerly=bool(arguments.get("run_eagerly")),
            jit_compile=keras.backend.backend() == "jax",
            auto_scale_loss=False,
        )
        recorder.build(model.trainable_variables)
        for rows in track(batches, "accumulating gradients"):
            recorder.share.assign(len(rows) / size)
            _step(still, *examples.batch(rows))
        found = recorder.found(model.trainable_variables)
    accumulated = {
        path: found[id(variable)]
        for path, variable in graph.variables.items()
        if id(variable) in found
    }
    _check(accumulated)
    return accumulated


class Recorder(keras.optimizers.Optimizer):
    """An optimizer that writes gradients down and moves nothing.

    Args:
        kinds: what it writes down.
    """

    def __init__(self, kinds: frozenset[str]) -> None:
        super().__init__(learning_rate=0.0, name="recorder")
        self.kinds = sorted(kinds)

    def build(self, variables: Sequence[Any]) -> None:
        """Makes room for what is written down of each variable."""
        if self.built:
            return
        super().build(variables)
        self.share = self.add_variable((), name="share", initializer="ones")
        self.slots = {
            kind: [
                self.add_variable_from_reference(v, name=kind)
                for v in variables
            ]
            for kind in self.kinds
        }

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Adds what gradients come to, in place of an update.

        Args:
            grads: one for each variable; None where the loss does not depend
                on it.
            trainable_variables: those that the optimizer was built with.
        """
        for place, gradient in enumerate(grads):
            if gradient is None:
                continue
            # Those of embeddings may come as rows, one row several times:
            # a sum with what is dense adds them up.
            dense = keras.ops.zeros(gradient.shape, gradient.dtype)
            gradient = keras.ops.add(dense, gradient)
            for kind, slots in self.slots.items():
                slot = slots[place]
                value = keras.ops.cast(_KINDS[kind](gradient), slot.dtype)
                share = keras.ops.cast(self.share, slot.dtype)
                slot.assign(slot + share * value)

    def found(self, variables: Sequence[Any]) -> dict[int, Accumulated]:
        """Returns what was written down, by the id of the variable.

        Args:
            variables: those that it was built with.
        """
        return {
            id(variable): Accumulated(
                **{
                    kind: np.array(
                        keras.ops.convert_to_numpy(slots[place].value)
                    )
                    for kind, slots in self.slots.items()
                }
            )
            for place, variable in enumerate(variables)
        }


class _Still(keras.Model):
    """A model that is trained as it runs in inference."""

    def __init__(self, model: keras.Model, names: Sequence[str]) -> None:
        super().__init__(name="still")
        self.model = model
        # By which losses and targets may be given.
        self.output_names = list(names)

    def call(self, inputs: Any) -> Any:
        return self.model(inputs, training=False)


@dataclass(frozen=True, eq=False)
class _Examples:
    """What a step takes as flat arrays, and how to give them to a model."""

    inputs: tuple[Array, ...]
    targets: tuple[Array, ...]
    weights: tuple[Array, ...]
    order: Ints
    graph: ChannelGraph
    structure: Any
    weight_structure: Any

    def batch(self, rows: Ints) -> tuple[Any, Any, Any]:
        walked, rows = self.graph.walk, self.order[rows]
        given = {
            key: array[rows].astype(walked.tensors[key].dtype)
            for key, array in zip(walked.inputs, self.inputs, strict=True)
        }
        y, weights = (
            [_for_keras(array[rows]) for array in arrays]
            for arrays in (self.targets, self.weights)
        )
        return (
            walked.pack(walked.input_structure, given),
            keras.tree.pack_sequence_as(self.structure, y),
            keras.tree.pack_sequence_as(self.weight_structure, weights)
            if weights
            else None,
        )


def _for_keras(y: Array) -> Array:
    return y.astype(keras.config.floatx()) if y.dtype.kind == "f" else y


def _loss_of(model: keras.Model) -> dict[str, Any]:
    arguments = compile_arguments(model) if model.compiled else {}
    if arguments.get("loss") is None:
        state = "compiled without a loss" if model.compiled else "not compiled"
        raise InputError(
            "Gradients are those of the loss that a model is compiled with. "
            f"Received: the model {model.name!r}, {state}. Call "
            "model.compile(optimizer, loss) first."
        )
    if not model.trainable_variables:
        raise InputError(
            "Gradients are taken of trainable weights. Received: the model "
            f"{model.name!r}, of which nothing trains. Set "
            "model.trainable = True, or use a criterion of weights alone."
        )
    return arguments


def _load(
    graph: ChannelGraph, names: Sequence[str], data: Any, seed: int
) -> _Examples:
    """Reads and checks examples, and puts them into their own order."""
    held = read(data, inputs_of(graph.walk), targets=True, seed=seed)
    structure = _structured(names, held.y)
    targets = tuple(keras.tree.flatten(structure))
    for target in targets:
        _check_numbers(target)
    weights: tuple[Array, ...] = ()
    if held.weight is not None:
        weights = tuple(keras.tree.flatten(held.weight))
    _check_weights(weights, len(held.x[0]))
    order = by_content([*held.x, *targets, *weights], seed)
    return _Examples(
        held.x, targets, weights, order, graph, structure, held.weight
    )


def _check_weights(weights: Sequence[Array], rows: int) -> None:
    for array in weights:
        fits = array.ndim and len(array) == rows and array.dtype.kind in "fiub"
        if not fits or not np.isfinite(array).all():
            raise InputError(
                "Sample weights are finite numbers, one or more for each "
                f"example. Received: shape {array.shape} and dtype "
                f"{array.dtype} for {rows} examples. Pass them as model.fit "
                "takes them, or leave them out."
            )


def _check_numbers(target: Array) -> None:
    if target.dtype.kind not in "fiub":
        raise InputError(
            "A loss takes targets that are numbers. Received: dtype "
            f"{target.dtype}. Number the classes, as model.fit needs it too."
        )


def _structured(names: Sequence[str], y: Any) -> Any:
    """Returns targets as arrays, in the structure that Keras takes."""
    several = isinstance(y, Mapping | list)
    count = len(y) if several else 1
    if count != len(names):
        raise InputError(
            f"The model has {len(names)} outputs: {', '.join(names)}. "
            f"Received: targets for {count}. Pass y as the loss takes it: a "
            "list in this order, or a dict by these names."
        )
    if several and count == 1:
        (y,) = y.values() if isinstance(y, Mapping) else y
    return y


def _batches(
    graph: ChannelGraph, count: int, batch_size: int
) -> tuple[int, list[Array]]:
    """Splits examples; a model built for one batch size gets full ones."""
    whole = isinstance(batch_size, int | np.integer)
    if not whole or isinstance(batch_size, bool) or batch_size < 1:
        raise InputError(
            "A batch holds a whole number of examples. Received: batch_size="
            f"{batch_size!r}. Pass 1 or more."
        )
    fixed = graph.walk.tensors[graph.walk.inputs[0]].shape[0]
    if fixed and count < fixed:
        raise InputError(
            f"The model takes {fixed} examples at a time. Received: {count}. "
            "Give at least one full batch."
        )
    used = count - count % fixed if fixed else count
    rows = np.arange(used)
    # Batches of one size are compiled once.
    even = range(batch_size, batch_size // 2, -1)
    size = fixed or next((s for s in even if not used % s), batch_size)
    return used, [rows[start : start + size] for start in range(0, used, size)]


def _step(still: keras.Model, x: Any, y: Any, weights: Any) -> None:
    try:
        still.train_on_batch(x, y, weights)
    except (KeyError, TypeError, ValueError) as error:
        shapes = [array.shape for array in keras.tree.flatten(y)]
        raise InputError(
            "The loss that the model is compiled with cannot be computed on "
            f"the calibration data. Received: targets of shape {shapes}; "
            f"{type(error).__name__}: {error}. Pass data=(x, y) as model.fit "
            "takes them."
        ) from error


def _check(accumulated: Mapping[str, Accumulated]) -> None:
    for path, found in accumulated.items():
        for kind, value in vars(found).items():
            if value is not None and not np.isfinite(value).all():
                raise InputError(
                    f"The gradient of the weight {path!r} is not finite. "
                    f"Received: {int((~np.isfinite(value)).sum())} NaN or "
                    f"infinite values of its {kind}. Check the loss, the "
                    "targets and the weights."
                )


@contextmanager
def _as_it_was(model: keras.Model) -> Iterator[None]:
    """Puts the variables of a model back, bit for bit.

    JAX gives up the arrays that a training step takes, which others may hold:
    the step gets copies, and the arrays themselves come back.
    """
    variables = list(model.variables)
    held = [variable.value for variable in variables]
    copies = [np.array(keras.ops.convert_to_numpy(value)) for value in held]
    for variable, copy in zip(variables, copies, strict=True):
        variable.assign(copy)
    try:
        yield
    finally:
        for variable, copy, value in zip(variables, copies, held, strict=True):
            variable.assign(copy)
            variable.assign(value)
