# SPDX-License-Identifier: MIT
"""A room: one impulse response for all sounds, learned with the rest."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tf_diet.arrays import BackendTensor
from tf_diet.errors import InputError


@keras.saving.register_keras_serializable("tf_diet")
class Reverb(keras.layers.Layer):
    """Adds what a room makes of a sound; the dry sound stays as it is.

    The taps are one weight, drawn once: every call uses the same. They start
    so low that a training hears the dry sound first.

    Args:
        length: of the impulse response, in samples.
        seed: of the taps.
        **kwargs: what every Keras layer takes.

    Shapes:
        (batch, samples) -> (batch, samples); what rings on is cut.

    Source:
        Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR
        2020, section 3.5: an explicit, factorised model of the room.
    """

    def __init__(self, length: int = 16000, seed: int = 0, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.length = length
        self.seed = seed

    def build(self, shape: Any) -> None:
        """Makes the taps.

        Raises:
            InputError: there would be none, or the input is no sound.
        """
        if self.length < 2 or len(shape) != 2:
            raise InputError(
                f"The reverb {self.name!r} takes sounds (batch, samples) and "
                f"two taps or more. Received: {tuple(shape)}, length="
                f"{self.length}."
            )
        decay = np.exp(-4.0 * np.arange(1, self.length) / self.length)
        noise = np.random.default_rng(self.seed).normal(size=self.length - 1)
        # Tap 0 is the dry sound, and not learned.
        self.taps = self.add_weight(
            name="taps",
            shape=(self.length - 1,),
            initializer=lambda shape, dtype: ops.convert_to_tensor(
                1e-4 * noise * decay, dtype
            ),
        )
        self.built = True

    def call(self, audio: BackendTensor) -> BackendTensor:
        """Returns the sound in its room."""
        size = self.length
        batch, samples = ops.shape(audio)[:2]
        blocks = ops.pad(audio, ((0, 0), (0, -samples % size)))
        blocks = ops.reshape(blocks, (batch, -1, size))
        response = ops.concatenate([ops.ones((1,)), self.taps])
        # Each block rings into the next one, and no further.
        a, b = ops.rfft(blocks, fft_length=_even(2 * size))
        c, d = ops.rfft(response, fft_length=_even(2 * size))
        wet = ops.irfft((a * c - b * d, a * d + b * c), _even(2 * size))
        late = ops.pad(wet[:, :-1, size : 2 * size], ((0, 0), (1, 0), (0, 0)))
        total = ops.reshape(wet[:, :, :size] + late, (batch, -1))
        return total[:, :samples]

    def compute_output_shape(self, shape: Any) -> Any:
        """Returns the input's shape."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "length": self.length,
            "seed": self.seed,
        }


def _even(size: int) -> int:
    """Returns the next power of two, which every FFT is fast for."""
    return 1 << (size - 1).bit_length()
