# SPDX-License-Identifier: MIT
"""Normalisations, and what else scales and shifts along axes."""

from collections.abc import Sequence

import keras
import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import (
    Axis,
    Labels,
    Mask,
    Vector,
    count_elements,
    take_factors,
)
from tf_diet.graph.operation import Config, Operation
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import Axes, StepForm, check_apart
from tf_diet.rules.outcomes import axis_numbers, freeze


def statistics(call: Call, axes: Sequence[Axis]) -> list[tuple[Vector, str]]:
    """Returns `inexact` entries of axes that statistics are taken over."""
    return freeze(call, axes, "takes statistics over this axis")


class Normalizer(Rule):
    """What normalisations share: shapes stay, a few operations a value."""

    pointwise_in_time = True
    per_value = 2

    def across(self, call: Call) -> list[int]:
        """Returns the axes whose positions are not treated alike."""
        axis = call.operation.axis
        return axis_numbers(axis, len(call.output_specs[0].shape))

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Counts a few operations for each value that is left."""
        axes, shape = signature.outputs[0].axes, call.output_specs[0].shape
        return self.per_value * count_elements(axes[1:], shape[1:], alive)

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is, unless statistics are taken along it."""
        return StepForm(outputs=(check_apart(call, axes, self.across(call)),))


@register_rule(keras.layers.BatchNormalization)
class BatchNormalizationRule(Normalizer):
    """Scale, shift and statistics follow the channels they belong to."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through."""
        x = inputs[0]
        seen = x.axes[call.operation.axis]
        weights = dict.fromkeys(_BATCH_WEIGHTS, (seen,))
        return Signature(outputs=[x], weights=weights)


_BATCH_WEIGHTS = (
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "moving_stddev",
    "renorm_mean",
    "renorm_stddev",
)


@register_rule(keras.layers.LayerNormalization)
class LayerNormalizationRule(Normalizer):
    """Takes mean and variance over axes, which a removed channel changes."""

    per_value = 8

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; the axes of the statistics are inexact."""
        (x,) = inputs
        order = axis_numbers(call.operation.axis, x.rank)
        seen = tuple(x.axes[place] for place in order)
        frozen = []
        if order != sorted(order):
            reason = "has weights in another order than its axes"
            frozen = freeze(call, seen, reason)
        return Signature(
            outputs=[x],
            weights={"gamma": seen, "beta": seen},
            frozen=frozen,
            inexact=statistics(call, seen),
        )


@register_rule(keras.layers.GroupNormalization)
class GroupNormalizationRule(Normalizer):
    """Takes statistics within groups of channels; whole groups can go."""

    per_value = 8

    def across(self, call: Call) -> list[int]:
        """Returns all axes: statistics are taken over positions too."""
        return list(range(1, len(call.output_specs[0].shape)))

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Ties the channels of a group; one group of all is inexact."""
        (x,) = inputs
        layer = call.operation
        place = layer.axis % x.rank
        seen = x.axes[place]
        others = [axis for n, axis in enumerate(x.axes) if n != place]
        inexact = statistics(call, others)
        ties: list[tuple[Vector, Vector]] = []
        groups: Axis = None
        if seen is not None and layer.groups == 1:
            inexact += statistics(call, [seen])
        elif seen is not None:
            columns = seen.reshape(layer.groups, -1).T
            groups = columns[0]
            ties = [(columns[0], column) for column in columns[1:]]
        return Signature(
            outputs=[x],
            weights={"gamma": (seen,), "beta": (seen,)},
            sizes={"groups": groups},
            ties=ties,
            inexact=inexact,
        )


@register_rule(keras.layers.RMSNormalization)
class RMSNormalizationRule(Normalizer):
    """Divides by a mean of squares: exact once its count is corrected."""

    per_value = 4

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; the scale makes up for those that go."""
        (x,) = inputs
        order = axis_numbers(call.operation.axis, x.rank)
        seen = tuple(x.axes[place] for place in order)
        known = [axis for axis in seen if axis is not None]
        reason = "takes its mean over another axis with units"
        frozen = freeze(call, known[:-1], reason)
        if order != list(range(x.rank - len(order), x.rank)):
            # Keras broadcasts the scale along the last axes all the same.
            reason = "has a scale along other axes than its mean"
            frozen = freeze(call, x.axes, reason)
        return Signature(
            outputs=[x],
            weights={"scale": seen},
            frozen=frozen,
            scales={"scale": (known[-1], -0.5)} if known else {},
        )

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Corrects epsilon, which is added to the mean."""
        config = dict(call.operation.get_config())
        for axis, _ in signature.scales.values():
            config["epsilon"] = corrected(config["epsilon"], axis, alive)
        return config


def corrected(epsilon: float | None, axis: Vector, alive: Mask) -> float:
    """Returns the epsilon for a mean over what is left of an axis."""
    full = keras.config.epsilon() if epsilon is None else epsilon
    return float(full * len(axis) / alive[axis].sum())


@register_rule(keras.layers.UnitNormalization)
class UnitNormalizationRule(Normalizer):
    """Divides by the length, to which zeros add nothing."""

    per_value = 3

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through."""
        return Signature(outputs=[inputs[0]])


@register_rule(keras.layers.Normalization)
class DataNormalizationRule(Normalizer):
    """Subtracts a mean and divides by a deviation, given or from `adapt`."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; statistics follow the axes they kept."""
        (x,) = inputs
        seen = tuple(x.axes[n] for n in _kept_axes(call.operation, x.rank))
        return Signature(outputs=[x], weights={"mean": seen, "variance": seen})

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Takes the given statistics of the positions that are left."""
        config = dict(call.operation.get_config())
        (x,) = signature.outputs
        if config["mean"] is None:
            return config
        order = _kept_axes(call.operation, x.rank)
        for name in ("mean", "variance"):
            value = np.asarray(config[name])
            axes = [x.axes[n] for n in order][len(order) - value.ndim :]
            config[name] = take_factors(value, axes, alive).tolist()
        return config

    def settle(self, operation: Operation) -> None:
        """Derives the constants that the layer works with."""
        operation.finalize_state()


def _kept_axes(layer: Operation, rank: int) -> list[int]:
    return sorted(axis_numbers(layer.axis, rank))


@register_rule(keras.layers.Rescaling)
class RescalingRule(Rule):
    """Scales and shifts, by one value or by one for each position."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; one channel spread over many stays."""
        (x,) = inputs
        reason = f"{call.path!r} spreads one channel over many"
        frozen = [
            (axis, reason)
            for name in _FACTORS
            for axis, size in _along(call.operation, name, x)
            if axis is not None and len(axis) == 1 < size
        ]
        return Signature(outputs=[x], frozen=frozen)

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Takes the factors of the positions that are left."""
        config = dict(call.operation.get_config())
        (x,) = signature.outputs
        for name in _FACTORS:
            value = np.asarray(getattr(call.operation, name))
            axes = [axis for axis, _ in _along(call.operation, name, x)]
            if any(axis is not None for axis in axes):
                config[name] = take_factors(value, axes, alive).tolist()
        return config


_FACTORS = ("scale", "offset")


def _along(layer: Operation, name: str, x: Labels) -> list[tuple[Axis, int]]:
    """Returns the labels that each axis of a factor meets, and its size."""
    shape = np.shape(getattr(layer, name))
    end = x.rank
    # Keras moves the scale, and not the offset, to the front of an image.
    first = keras.config.image_data_format() == "channels_first"
    if name == "scale" and shape and first:
        end -= 3 - len(shape)
    axes = x.axes[end - len(shape) : end]
    return list(zip(axes, shape, strict=True))
