# SPDX-License-Identifier: MIT
"""Which layer of the small model came of which, and what it has lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
from absl import logging

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.errors import PlanError
from tf_diet.graph.calls import Call, Walk
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.labels import Axis, Mask, take, touches, union
from tf_diet.graph.linear_form import LinearForm
from tf_diet.graph.operation import Operation, Variable
from tf_diet.graph.rule import own_variables
from tf_diet.graph.rule_table import rule_for
from tf_diet.rules.convolution import channel_axis

LayerPair = tuple[Call, Call]


def match(full: Walk, small: Walk) -> list[LayerPair]:
    """Pairs the calls of a model with those of the model trimmed from it.

    Raises:
        PlanError: the models are not of one architecture.
    """
    todo = list(zip(full.outputs, small.outputs, strict=False))
    known = dict(zip(full.inputs, small.inputs, strict=False))
    found: dict[int, Call] = {}
    alike = len(full.calls) == len(small.calls)
    while todo and alike:
        one, other = todo.pop()
        if one in known:
            alike = known[one] == other
            continue
        old, new = full.producers[one], small.producers.get(other)
        alike = (
            new is not None
            and type(old.operation) is type(new.operation)
            and len(old.inputs) == len(new.inputs)
            and len(old.outputs) == len(new.outputs)
        )
        if new is not None and alike:
            known.update(zip(old.outputs, new.outputs, strict=True))
            alike = known[one] == other
            found[old.index] = new
            todo += zip(old.inputs, new.inputs, strict=True)
    if not alike or len(found) != len(full.calls):
        raise PlanError(
            "The small model does not come from this plan. Received: "
            f"{small!r} for {full!r}. Pass what plan.apply(model) returned."
        )
    return [(call, found[call.index]) for call in full.calls]


@dataclass(frozen=True, eq=False)
class Consumer:
    """One kernel of a layer, in both models.

    Args:
        form: how outputs follow from it.
        calls: where the layer is called, in both models.
        level: how many consumers stand before it on the longest way.
        source: the kernel of the full model.
        target: the kernel of the small one.
        bias: where a shift of the outputs can go, if anywhere.
        axes: the labels of the kernel.
        alive: which labels live.
    """

    form: LinearForm
    calls: tuple[LayerPair, ...]
    level: int
    source: Array
    target: Variable
    bias: "Bias | None"
    axes: tuple[Axis, ...]
    alive: Mask

    @property
    def name(self) -> str:
        """The path of the first call, with the kernel where it is not plain."""
        path, kernel = self.calls[0][0].path, self.form.kernel
        return path if kernel == "kernel" else f"{path}.{kernel}"

    @property
    def old(self) -> Operation:
        """The layer of the full model."""
        return self.calls[0][0].operation

    @property
    def new(self) -> Operation:
        """The layer of the small model."""
        return self.calls[0][1].operation

    @cached_property
    def matrix(self) -> Floats:
        """The kernel of the full model as (blocks, columns, outputs)."""
        return self.form.to_matrix(self.old, self.source.astype(np.float64))

    def value(self) -> Floats:
        """Returns the kernel of the small model, likewise."""
        value = keras.ops.convert_to_numpy(self.target.value)
        return self.form.to_matrix(self.new, value.astype(np.float64))

    def assign(self, matrix: Floats) -> None:
        """Sets the kernel of the small model."""
        shape = tuple(self.target.shape)
        self.target.assign(self.form.from_matrix(self.new, matrix, shape))

    def _kept(self, numbers: Ints) -> Ints:
        """Returns what of a matrix of the full model is left in the small."""
        form, shape = self.form, self.source.shape
        numbers = np.broadcast_to(numbers, self.matrix.shape)
        kernel = form.from_matrix(self.old, numbers, shape)
        return form.to_matrix(self.new, take(kernel, self.axes, self.alive))

    @cached_property
    def columns(self) -> Ints:
        """The flat column of the full model for each of the small one's."""
        blocks, columns, _ = self.matrix.shape
        numbers = np.arange(blocks * columns).reshape(blocks, columns, 1)
        return self._kept(numbers)[:, :, 0]

    @cached_property
    def outputs(self) -> Ints:
        """The output channel of the full model for each of the small one's."""
        blocks, _, outputs = self.matrix.shape
        numbers = np.arange(blocks * outputs).reshape(blocks, 1, outputs)
        return self._kept(numbers)[:, 0]

    @cached_property
    def gone(self) -> Floats:
        """The kernel of the full model without what is left of it."""
        kept = self._kept(
            np.arange(self.matrix.size).reshape(self.matrix.shape)
        )
        gone = self.matrix.copy()
        gone.reshape(-1)[kept.ravel()] = 0
        return gone

    @property
    def loses(self) -> bool:
        """Whether outputs that are left read something that is gone."""
        columns = self.gone.shape[1]
        by_output = self.gone.transpose(0, 2, 1).reshape(-1, columns)
        return bool(by_output[self.outputs.ravel()].any())

    def sums(self, rows: Floats) -> Floats:
        """Returns what the full model makes of rows, where it is left.

        Shapes:
            rows: (blocks, rows, columns) of the full model.
            Output: (blocks, rows, outputs) of the small one.
        """
        sums = rows @ self.matrix
        flat = sums.transpose(1, 0, 2).reshape(rows.shape[1], -1)
        return flat[:, self.outputs].transpose(1, 0, 2)

    def left(self, rows: Floats) -> Floats:
        """Returns the columns of rows of the full model that are left."""
        flat = rows.transpose(1, 0, 2).reshape(rows.shape[1], -1)
        return flat[:, self.columns].transpose(1, 0, 2)


@dataclass(frozen=True, eq=False)
class Bias:
    """Where a constant can be added to the outputs of a consumer.

    Args:
        variable: a weight of the small model.
        place: where in it.
        sign: -1 where the weight is subtracted.
    """

    variable: Variable
    place: tuple[int, ...]
    sign: int = 1

    def add(self, shift: Floats) -> None:
        """Adds a constant to each output.

        Shapes:
            shift: (blocks, outputs).
        """
        value = keras.ops.convert_to_numpy(self.variable.value)
        value = np.array(value, np.float64)
        value[self.place] += self.sign * shift.ravel()
        self.variable.assign(value)


def consumers(
    graph: ChannelGraph, matched: Sequence[LayerPair], small: Walk, alive: Mask
) -> list[Consumer]:
    """Returns the consumers of whatever is no longer what it was.

    Those of a kind that nothing is known of are named in the log.

    Args:
        graph: of the full model.
        matched: the calls of both models.
        small: the calls of the small model.
        alive: which labels live.
    """
    changed = _changed(graph, alive)
    # All calls of a layer, so that none suffers from what another one needs.
    touched = {
        id(call.operation)
        for call, _ in matched
        if call.inputs and any(changed[call.index])
    }
    calls: dict[int, list[LayerPair]] = {}
    for pair in matched:
        if id(pair[0].operation) in touched:
            calls.setdefault(id(pair[0].operation), []).append(pair)
    forms_by_layer = {
        layer: [
            form
            for form in _forms(pairs[0][0])
            if any(changed[call.index][form.given] for call, _ in pairs)
        ]
        for layer, pairs in calls.items()
    }
    levels = _levels(
        graph.walk, {layer for layer, forms in forms_by_layer.items() if forms}
    )
    found = []
    for layer, pairs in calls.items():
        known = _forms(pairs[0][0])
        if not known and (lost := _loses(graph, pairs[0][0], alive)):
            logging.warning(
                "%s is left as it is: it reads removed units, and no way to "
                "repair a %s is known (its %s)",
                pairs[0][0].path,
                type(pairs[0][0].operation).__name__,
                lost,
            )
        for form in forms_by_layer[layer]:
            why = "; ".join(filter(None, (form.refuses(c) for c, _ in pairs)))
            if why:
                logging.warning(
                    "%s.%s is left as it is: %s",
                    pairs[0][0].path,
                    form.kernel,
                    why,
                )
                continue
            found.append(
                _consumer(graph, form, pairs, levels[layer], small, alive)
            )
    return found


def _forms(call: Call) -> Sequence[LinearForm]:
    rule = rule_for(call.operation)
    return rule.linear_forms(call) if rule else ()


def _changed(graph: ChannelGraph, alive: Mask) -> list[tuple[bool, bool]]:
    """Says of each call whether what it reads is not what it was.

    Once of its inputs, and once of what goes round in it: its own outputs.
    """
    changed = dict.fromkeys(graph.walk.inputs, False)
    found = []
    for call in graph.walk.calls:
        reads = any(changed[key] for key in call.inputs)
        makes = any(
            not alive[axis].all()
            for key in call.outputs
            for axis in graph.labels[key].known()
        )
        found.append((reads, makes))
        changed.update(dict.fromkeys(call.outputs, reads or makes))
    return found


def _levels(walked: Walk, layers: set[int]) -> dict[int, int]:
    """Returns how many consumers come before the first call of each layer.

    Args:
        walked: the calls.
        layers: the ids of the consumers.
    """
    depth = dict.fromkeys(walked.inputs, 0)
    levels: dict[int, int] = {}
    for call in walked.calls:
        here = max((depth[key] for key in call.inputs), default=0)
        layer = id(call.operation)
        if layer in layers:
            here = max(here, levels.setdefault(layer, here) + 1)
        depth.update(dict.fromkeys(call.outputs, here))
    return levels


def _loses(graph: ChannelGraph, call: Call, alive: Mask) -> str:
    """Returns the weights of a call that mix channels of which some are gone.

    An axis that is also one of the output's is passed through, not mixed.
    """
    signature = graph.signatures[call.index]
    made = union(v for y in signature.outputs for v in y.known())
    return ", ".join(
        name
        for name, axes in signature.weights.items()
        if len(axes) > 1
        and any(
            axis is not None
            and not alive[axis].all()
            and not touches(axis, made)
            for axis in axes
        )
    )


def _consumer(
    graph: ChannelGraph,
    form: LinearForm,
    pairs: Sequence[LayerPair],
    level: int,
    small: Walk,
    alive: Mask,
) -> Consumer:
    call, new = pairs[0]
    variables = _variables(call, new)
    source, target = variables[form.kernel]
    value = np.array(keras.ops.convert_to_numpy(source.value))
    weights = graph.signatures[call.index].weights
    axes = weights.get(form.kernel, (None,) * value.ndim)
    cut = take(value, axes, alive).shape
    if cut != tuple(target.shape):
        raise PlanError(
            f"The layer {call.path!r} of the small model is not what the plan "
            f"makes of it. Received: a {form.kernel} of shape "
            f"{tuple(target.shape)}, expected {cut}. Pass what "
            "plan.apply(model) returned."
        )
    bias = None
    if form.bias in variables:
        place = form.bias_place(new.operation)
        bias = Bias(variables[form.bias][1], place)
    elif form.plain(new.operation) and len(pairs) == 1:
        bias = _absorbed(new, small)
    return Consumer(form, tuple(pairs), level, value, target, bias, axes, alive)


def _variables(call: Call, new: Call) -> dict[str, tuple[Variable, Variable]]:
    """Returns the weights of a layer and of its copy by name."""
    old = call.operation
    twin_of = {
        id(one): other
        for one, other in zip(
            old.variables, new.operation.variables, strict=True
        )
    }
    rule = rule_for(old)
    named = rule.weights(old) if rule else own_variables(old)
    return {name: (v, twin_of[id(v)]) for name, v in named.items()}


def _absorbed(call: Call, small: Walk) -> Bias | None:
    """Returns the mean that a normalisation right after a call takes off."""
    readers = list(_readers(call.outputs[0], small))
    if call.outputs[0] in small.outputs or len(readers) != 1:
        return None
    (reader,) = readers
    norm = reader.operation
    once = sum(other.operation is norm for other in small.calls) == 1
    if not once or type(norm) is not keras.layers.BatchNormalization:
        return None
    channel = channel_axis(call.operation)
    rank = len(call.output_specs[0].shape)
    if norm.axis % rank != channel % rank:
        return None
    return Bias(norm.moving_mean, (), sign=-1)


def _readers(key: int, walked: Walk) -> Iterator[Call]:
    for call in walked.calls:
        yield from (call for read in call.inputs if read == key)
