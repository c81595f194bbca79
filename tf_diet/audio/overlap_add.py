# SPDX-License-Identifier: MIT
"""Sound as overlapping frames, and overlapping frames as sound."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tf_diet.arrays import BackendTensor, Floats32
from tf_diet.errors import InputError


def window_of(size: int, hop: int) -> Floats32:
    """Returns a squared Hann window whose overlaps add up to one.

    Args:
        size: samples of a frame.
        hop: samples from one frame to the next; a third of a frame or less.

    Shapes:
        Returns (size,), float32.
    """
    n = np.arange(size)
    squared = (0.5 - 0.5 * np.cos(2 * np.pi * n / size)) ** 2
    # All shifts by a hop sum to the window's sum over the hop.
    return (squared * hop / squared.sum()).astype("float32")


class _Overlapping(keras.layers.Layer):
    """What both directions share: whole hops in a frame, and padding."""

    def __init__(
        self, size: int = 1024, hop: int = 256, margin: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.hop = hop
        self.margin = margin

    def _check(self) -> None:
        if self.hop < 1 or self.size % self.hop or self.size < 3 * self.hop:
            raise InputError(
                f"Frames of the layer {self.name!r} must be three whole hops "
                f"or more. Received: size={self.size}, hop={self.hop}."
            )
        if self.margin % self.hop or self.margin < 0:
            raise InputError(
                f"The margin of the layer {self.name!r} must be whole hops. "
                f"Received: margin={self.margin}, hop={self.hop}."
            )

    @property
    def overlaps(self) -> int:
        """Frames that a sample lies in."""
        return self.size // self.hop

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "hop": self.hop,
            "margin": self.margin,
        }


@keras.saving.register_keras_serializable("tf_diet")
class Frames(_Overlapping):
    """Cuts a sound into overlapping frames under a squared Hann window.

    Args:
        size: samples of a frame.
        hop: samples from one frame to the next.
        margin: silence that is put at both ends, in samples; whole hops.
        **kwargs: what every Keras layer takes.

    Shapes:
        (batch, samples), whole hops -> (batch, frames, size) with
        frames = (samples + 2 * margin - size) / hop + 1.
    """

    def build(self, shape: Any) -> None:
        """Checks the sizes.

        Raises:
            InputError: frames are not whole hops, or samples are not.
        """
        self._check()
        if shape[-1] is not None and shape[-1] % self.hop:
            raise InputError(
                f"The layer {self.name!r} takes sounds of whole hops of "
                f"{self.hop} samples. Received: {shape[-1]}. Cut or pad them."
            )
        self.built = True

    def call(self, audio: BackendTensor) -> BackendTensor:
        """Returns the frames; see the class."""
        audio = ops.pad(audio, ((0, 0), (self.margin, self.margin)))
        hops = ops.reshape(audio, (ops.shape(audio)[0], -1, self.hop))
        count = ops.shape(hops)[1] - self.overlaps + 1
        parts = [hops[:, i : i + count] for i in range(self.overlaps)]
        window = window_of(self.size, self.hop)
        return ops.concatenate(parts, axis=-1) * window

    def compute_output_shape(self, shape: Any) -> Any:
        """Returns (batch, frames, size), None where unknown."""
        frames = None
        if shape[-1] is not None:
            frames = (shape[-1] + 2 * self.margin - self.size) // self.hop + 1
        return (shape[0], frames, self.size)


@keras.saving.register_keras_serializable("tf_diet")
class OverlapAdd(_Overlapping):
    """Adds overlapping frames up, under a squared Hann window.

    Frames of ones give ones, but for the first and the last frame's length.

    Args:
        size: samples of a frame.
        hop: samples from one frame to the next.
        margin: what is cut off at both ends, in samples; whole hops.
        **kwargs: what every Keras layer takes.

    Shapes:
        (batch, frames, size) -> (batch, samples) with
        samples = (frames - 1) * hop + size - 2 * margin.
    """

    def build(self, shape: Any) -> None:
        """Checks the sizes.

        Raises:
            InputError: frames are not whole hops, or of another size.
        """
        self._check()
        if shape[-1] != self.size:
            raise InputError(
                f"The layer {self.name!r} takes frames of {self.size} samples. "
                f"Received: {tuple(shape)}."
            )
        self.built = True

    def call(self, frames: BackendTensor) -> BackendTensor:
        """Returns the sound; see the class."""
        frames = frames * window_of(self.size, self.hop)
        batch, count = ops.shape(frames)[:2]
        parts = ops.reshape(frames, (batch, count, self.overlaps, self.hop))
        total = 0.0
        for late in range(self.overlaps):
            after = self.overlaps - 1 - late
            total = total + ops.pad(
                parts[:, :, late], ((0, 0), (late, after), (0, 0))
            )
        audio = ops.reshape(total, (batch, -1))
        end = ops.shape(audio)[1] - self.margin
        return audio[:, self.margin : end]

    def compute_output_shape(self, shape: Any) -> Any:
        """Returns (batch, samples), None where unknown."""
        if shape[1] is None:
            return (shape[0], None)
        whole = (shape[1] - 1) * self.hop + self.size
        return (shape[0], whole - 2 * self.margin)
