# SPDX-License-Identifier: MIT
"""Operations of `keras.ops` on images: positions change, channels pass."""

from collections.abc import Sequence

import numpy as np

from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Axis, Labels, Vector
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.rules.outcomes import gone


class _ImageRule(Rule):
    """Lets the channels through and pins all else."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Passes what becomes of the channels."""
        x, *others = inputs
        size = getattr(call.operation, "size", None)
        positions = len(size) if isinstance(size, tuple | list) else 2
        first = call.operation.data_format == "channels_first"
        place = x.rank - 1 - (positions if first else 0)
        rest = [axis for p, axis in enumerate(x.axes) if p != place]
        rest += [axis for other in others for axis in other.axes]
        vector, ties = self.channels(call, x.axes[place])
        rank = len(call.output_specs[0].shape)
        return Signature(
            outputs=[Labels.none(rank).at(place, vector)],
            ties=ties,
            frozen=gone(call, rest, "moves positions along this axis"),
        )

    def channels(
        self, call: Call, vector: Axis
    ) -> tuple[Axis, list[tuple[Vector, Vector]]]:
        """Returns the channels after it, and which of them are tied."""
        return vector, []


@register_rule(
    "ops.AffineTransform",
    "ops.CropImages",
    "ops.GaussianBlur",
    "ops.PadImages",
    "ops.PerspectiveTransform",
    "ops.Resize",
)
class PositionsOfImagesRule(_ImageRule):
    """Every channel for itself."""


@register_rule("ops.ExtractPatches", "ops.SpaceToDepth")
class PatchesRule(_ImageRule):
    """The positions of a patch lie one behind the other, all channels each."""

    def channels(
        self, call: Call, vector: Axis
    ) -> tuple[Axis, list[tuple[Vector, Vector]]]:
        """Returns the channels once for each position of a patch."""
        if vector is None:
            return None, []
        operation = call.operation
        if hasattr(operation, "block_size"):
            return np.tile(vector, operation.block_size**2), []
        return np.tile(vector, int(np.prod(operation.size))), []


@register_rule("ops.DepthToSpace")
class DepthToSpaceRule(_ImageRule):
    """Channels become the positions of a block."""

    def channels(
        self, call: Call, vector: Axis
    ) -> tuple[Axis, list[tuple[Vector, Vector]]]:
        """Ties the channels that become one."""
        if vector is None:
            return None, []
        first, *others = np.split(vector, call.operation.block_size**2)
        return first, [(first, other) for other in others]
