"""Normalisations that treat every channel alone."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.graph.labels import Labels, Mask, kept_positions
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call


@register_rule(keras.layers.BatchNormalization)
class BatchNormalizationRule(Rule):
    """Scale, shift and statistics follow the channels they belong to."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through."""
        x = inputs[0]
        seen = x.axes[call.operation.axis]
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return Signature(outputs=[x], weights=dict.fromkeys(names, (seen,)))

    def flops(self, call: Call, signature: Signature, alive: Mask) -> int:
        """A multiply and an add for each value, statistics folded."""
        elements = 1
        for axis, size in zip(
            signature.outputs[0].axes[1:],
            call.output_specs[0].shape[1:],
            strict=True,
        ):
            count = 1 if size is None else size
            elements *= count if axis is None else int(alive[axis].sum())
        return 2 * elements


@register_rule(keras.layers.Rescaling)
class RescalingRule(Rule):
    """Scale and offset, one for all or one a position of some axes."""

    pointwise_in_time = True

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes labels through; one channel spread over many stays."""
        (x,) = inputs
        given = [_per_axis(call.operation, name) for name in _FACTORS]
        frozen = [
            (axis, f"{call.path!r} spreads one channel over many")
            for place, axis in enumerate(x.axes, start=-x.rank)
            if axis is not None
            and len(axis) == 1
            and any(sizes.get(place, 1) > 1 for sizes in given)
        ]
        return Signature(outputs=[x], frozen=frozen)

    def config(
        self, call: Call, signature: Signature, alive: Mask
    ) -> dict[str, Any]:
        """Takes the factors of the positions that live."""
        config = dict(call.operation.get_config())
        (x,) = signature.outputs
        for name in _FACTORS:
            value = getattr(call.operation, name)
            sizes = _per_axis(call.operation, name)
            for number, (place, size) in enumerate(sizes.items()):
                axis = x.axes[place]
                if axis is not None and size > 1:
                    kept = kept_positions(axis, size, alive)
                    value = np.take(np.asarray(value), kept, axis=number)
            if value is not getattr(call.operation, name):
                config[name] = value.tolist()
        return config


_FACTORS = ("scale", "offset")


def _per_axis(layer: Any, name: str) -> dict[int, int]:
    """Returns the negative axis and size that each axis of a factor meets."""
    shape = np.shape(getattr(layer, name))
    behind = 0
    # Keras moves the scale, and not the offset, to the front of an image.
    if name == "scale" and shape:
        first = keras.config.image_data_format() == "channels_first"
        behind = 3 - len(shape) if first else 0
    start = -len(shape) - behind
    return {start + number: size for number, size in enumerate(shape)}
