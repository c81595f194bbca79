# SPDX-License-Identifier: MIT
"""Operations of `keras.ops` on images: positions change, channels pass."""

from collections.abc import Sequence

import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector
from tf_diet.graph.rule import Fresh, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.rules.outcomes import freeze


def _channel_axis(call: Call, x: Labels) -> int:
    """Returns the axis of the channels of one image, or of several."""
    size = getattr(call.operation, "size", None)
    positions = len(size) if isinstance(size, tuple | list) else 2
    first = call.operation.data_format == "channels_first"
    return x.rank - 1 - (positions if first else 0)


def _passed(
    call: Call,
    inputs: Sequence[Labels],
    channels: Axis,
    ties: Sequence[tuple[Vector, Vector]] = (),
) -> Signature:
    """Lets what becomes of the channels through, and pins all else."""
    x, *others = inputs
    place = _channel_axis(call, x)
    rest = [axis for p, axis in enumerate(x.axes) if p != place]
    rest += [axis for other in others for axis in other.axes]
    rank = len(call.output_specs[0].shape)
    return Signature(
        outputs=[Labels.none(rank).at(place, channels)],
        ties=ties,
        frozen=freeze(call, rest, "moves positions along this axis"),
    )


def _channels(call: Call, x: Labels) -> Axis:
    return x.axes[_channel_axis(call, x)]


@register_rule(
    "ops.AffineTransform",
    "ops.CropImages",
    "ops.GaussianBlur",
    "ops.PadImages",
    "ops.PerspectiveTransform",
    "ops.Resize",
)
def transformed_image(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Channels pass: each is transformed alone."""
    return _passed(call, inputs, _channels(call, inputs[0]))


@register_rule("ops.ExtractPatches", "ops.SpaceToDepth")
def patches(call: Call, inputs: Sequence[Labels], fresh: Fresh) -> Signature:
    """Repeats the channels once for each position of a patch."""
    channels = _channels(call, inputs[0])
    if channels is not None:
        block = type(call.operation).__name__ == "SpaceToDepth"
        count = (
            call.operation.block_size**2
            if block
            else int(np.prod(call.operation.size))
        )
        channels = np.tile(channels, count)
    return _passed(call, inputs, channels)


@register_rule("ops.DepthToSpace")
def depth_to_space(
    call: Call, inputs: Sequence[Labels], fresh: Fresh
) -> Signature:
    """Ties the channels that become the positions of one block."""
    channels = _channels(call, inputs[0])
    if channels is None:
        return _passed(call, inputs, None)
    first, *others = np.split(channels, call.operation.block_size**2)
    return _passed(call, inputs, first, [(first, other) for other in others])
