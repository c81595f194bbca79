# SPDX-License-Identifier: MIT
"""What a rule is; the table of rules is in `graph/rule_table.py`.

A rule is all that tf_diet knows of a layer or operation. From its signature
follow groups, surgery, masks, parameters and FLOPs.

Every position of an axis has a label, which stands for a unit (a filter, a
neuron, a recurrent cell). Labels that are tied are removed together; a frozen
label is never removed. A rule is exact if the model without some units
computes what the full model computes with these units at zero; where removing
a unit changes what the others compute, its labels are inexact.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import (
    Axis,
    Labels,
    Mask,
    Partition,
    Vector,
    count_elements,
)
from tf_diet.graph.linear_form import LinearForm
from tf_diet.graph.operation import (
    Args,
    Config,
    Kwargs,
    Operation,
    Tensor,
    Variable,
    variables_of,
)
from tf_diet.graph.timing import Axes, StepForm, axis_of_time, refused


@dataclass(frozen=True, eq=False)
class Signature:
    """How the labels of a call's outputs and weights follow from its inputs.

    Args:
        outputs: the labels of each output tensor.
        weights: per weight name, the labels of each of its axes.
        sizes: per config entry, such as "units", the labels that it counts.
        ties: pairs of vectors, equally long: what stands at one place of
            both is removed together.
        frozen: vectors that are never removed, each with the reason.
        inexact: vectors whose units can only be removed at the price of
            another result (`Limits(exact=False)`), each with the reason;
            they are frozen otherwise.
        scales: per weight name, an axis and a power: the living values are
            multiplied by (kept / original) ** power, where a layer divides
            by the number of its channels.
        stop: why the call stops the graph after all, where a rule knows the
            kind of layer but not what is inside; empty otherwise.
    """

    outputs: Sequence[Labels]
    weights: Mapping[str, tuple[Axis, ...]] = field(default_factory=dict)
    sizes: Mapping[str, Axis] = field(default_factory=dict)
    ties: Sequence[tuple[Vector, Vector]] = ()
    frozen: Sequence[tuple[Vector, str]] = ()
    inexact: Sequence[tuple[Vector, str]] = ()
    scales: Mapping[str, tuple[Vector, float]] = field(default_factory=dict)
    stop: str = ""


class Fresh:
    """Makes labels for the units that a layer has, such as its filters.

    Args:
        partition: where the labels live.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self.made: list[tuple[str, Vector]] = []

    def __call__(self, count: int, part: str = "") -> Vector:
        """Returns labels for `count` new units.

        Args:
            count: how many.
            part: what they are, where a layer has units of several kinds,
                such as "heads"; the group is then named "layer.heads".
        """
        vector = self._partition.make(count)
        self.made.append((part, vector))
        return vector

    def fixed(self, count: int, reason: str) -> Vector:
        """Returns frozen labels, for data that is joined to units."""
        vector = self._partition.make(count)
        self._partition.freeze(vector, reason)
        return vector

    def free(self, count: int) -> Vector:
        """Returns labels that are removed only with what they are tied to.

        They are for a value that is broadcast along an axis: it can be
        broadcast along a shorter one just as well.
        """
        return self._partition.make(count)


class Rule(ABC):
    """All that is known of a kind of layer or operation.

    Subclass, implement `signature`, register with `register_rule`. The other
    methods have defaults that follow from the signature.

    Attributes:
        pointwise_in_time: an output at one time step depends on the inputs
            at that step alone, so that a step model can call the layer on
            one frame.
        loops_over_time: a call is a loop over time steps, which is compiled
            wherever the layer runs outside of training.
        constant: its weights are those of a fixed transform, such as the
            kernels of a Fourier transform: where no removable unit lies on
            them, the share of parameters to remove does not count them, also
            if they are trainable.
    """

    pointwise_in_time: bool = False
    loops_over_time: bool = False
    constant: bool = False

    @abstractmethod
    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Returns what the call does to labels.

        Args:
            call: the application.
            inputs: the labels of each input tensor.
            fresh: makes labels of new units.
        """

    def weights(self, operation: Operation) -> dict[str, Variable]:
        """Returns the variables by the names that signatures use."""
        return own_variables(operation)

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Returns the config of the trimmed operation."""
        config = dict(call.operation.get_config())
        for entry, axis in signature.sizes.items():
            if axis is not None:
                config[entry] = int(alive[axis].sum())
        return config

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Any:
        """Returns a new operation without the dead units, weights unset."""
        return type(call.operation).from_config(
            self.config(call, signature, alive)
        )

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Returns the call arguments as the trimmed operation needs them."""
        return args, kwargs

    def settle(self, operation: Operation) -> None:  # noqa: B027
        """Updates what a layer derives from its weights, once they are set.

        Args:
            operation: the trimmed operation; most derive nothing.
        """

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns the floating-point operations of one call.

        A multiply and an add count two. Unknown sizes (batch, time) count
        one, so that the figure is a frame's where time is unknown.
        """
        positions = self.positions(call, signature, alive)
        total = 0
        for name, variable in self.weights(call.operation).items():
            axes = signature.weights.get(name, (None,) * len(variable.shape))
            elements = count_elements(axes, variable.shape, alive)
            total += (2 if len(variable.shape) > 1 else 1) * elements
        return total * positions

    def positions(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns at how many positions the weights are applied."""
        shape = call.output_specs[0].shape
        return int(
            np.prod([1 if size is None else size for size in shape[1:-1]])
        )

    def linear_forms(self, call: Call) -> Sequence[LinearForm]:
        """Returns how the sums of a layer follow from what it reads.

        One form a kernel, for `tf_diet.repair`; a layer without any is left
        as it is there.
        """
        return ()

    def repeats(self, call: Call) -> int:
        """Returns how many time steps come out for each one that goes in."""
        return 1

    def bounded(self, past: int) -> "Rule":
        """Returns the rule for a layer that remembers so many steps at most.

        Args:
            past: time steps, the present one included; only layers that see
                all of the past heed it.
        """
        return self

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns which input steps each output step is made of.

        It is asked only where an input has time. A rule that is pointwise in
        time, or has a `step` of its own, gives an output step for each input
        step.

        Args:
            call: the application in the model of whole sequences.
            axes: the axis of time of each input, None for those without.

        Raises:
            StreamingError: the layer cannot run one frame at a time.
        """
        own = type(self).step is not Rule.step
        if not (self.pointwise_in_time or own):
            raise refused(call, "which mixes time steps or has no step form")
        axis = axis_of_time(call, axes)
        return StepForm(
            outputs=(axis,) * len(call.outputs),
            factor=self.repeats(call),
            carries=not self.pointwise_in_time,
        )

    def state_spec(self, call: Call, batch: int) -> dict[str, tuple[int, ...]]:
        """Returns the name and shape of each state of the streaming step.

        States are zero before the first step. What `in_time` says needs none.
        """
        return {}

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Applies the call to the steps of one call of the step model.

        Args:
            call: the application. Its operation is a copy that the step model
                may keep, its shapes are those of `args` and of what is asked
                for, and `call.time` is the axis of time.
            args: its arguments, with the steps that `in_time` asks for.
            kwargs: its keyword arguments.
            state: what the last call left, as in `state_spec`.

        Returns:
            The outputs for these steps and the new state.

        Raises:
            StreamingError: the layer cannot run one frame at a time.
        """
        return call.operation(*args, **kwargs), {}


RuleFunction = Callable[[Call, Sequence[Labels], Fresh], Signature]


def stopped(call: Call, inputs: Sequence[Labels], why: str) -> Signature:
    """Returns the signature of a call without a rule: all its inputs stay.

    Args:
        call: the application.
        inputs: the labels of its inputs, which all stay.
        why: reads on from the name of the layer.
    """
    reason = f"{call.path!r} ({type(call.operation).__name__}): {why}"
    return Signature(
        outputs=[Labels.none(len(s.shape)) for s in call.output_specs],
        frozen=[(v, reason) for x in inputs for v in x.known()],
        stop=why,
    )


def own_variables(operation: Operation) -> dict[str, Variable]:
    """Returns the variables of a layer by name, without random states.

    Where parts of a layer have variables of one name, the later ones get "_".
    """
    found: dict[str, Variable] = {}
    for variable in variables_of(operation):
        if "seed" not in variable.name:
            name = variable.name
            while name in found:
                name += "_"
            found[name] = variable
    return found
