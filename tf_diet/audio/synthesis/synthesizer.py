# SPDX-License-Identifier: MIT
"""The whole synthesiser, as a function and as a layer."""

from typing import Any

import keras
from keras import ops

from tf_diet.arrays import BackendTensor
from tf_diet.audio.synthesis.controls import scale_controls
from tf_diet.audio.synthesis.harmonic import harmonic_oscillator
from tf_diet.audio.synthesis.noise import filtered_noise
from tf_diet.errors import InputError


def synthesize(
    f0_hz: BackendTensor,
    controls: BackendTensor,
    noise: BackendTensor | None = None,
    *,
    harmonics: int = 40,
    sample_rate: int = 16000,
    hop: int = 160,
) -> BackendTensor:
    """Renders raw decoder outputs as audio.

    Args:
        f0_hz: fundamental frequency in Hz.
        controls: raw decoder outputs in the order overall amplitude, harmonic
            distribution, noise magnitudes.
        noise: white noise within [-1, 1); the noise branch is left out when
            None.
        harmonics: number of harmonics.
        sample_rate: sample rate in Hz.
        hop: samples in a frame.

    Shapes:
        f0_hz (batch, frames, 1); controls (batch, frames,
        1 + harmonics + bands); noise (batch, frames * hop).

    Returns:
        Audio, (batch, frames * hop).

    Source:
        Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR
        2020.
    """
    f0_hz = ops.convert_to_tensor(f0_hz, "float32")
    controls = ops.convert_to_tensor(controls, "float32")
    scaled = scale_controls(f0_hz, controls, harmonics, sample_rate)
    audio = harmonic_oscillator(f0_hz, scaled.amplitudes, sample_rate, hop)
    if noise is None:
        return audio
    noise = ops.convert_to_tensor(noise, "float32")
    return audio + filtered_noise(scaled.magnitudes, noise, hop)


@keras.saving.register_keras_serializable("tf_diet")
class Synthesizer(keras.layers.Layer):
    """Renders raw decoder outputs as audio, with noise of its own.

    In training every call draws fresh noise. In inference every call draws
    the same noise for the same shape, so that an error measured twice is the
    same twice.

    Args:
        sample_rate: sample rate in Hz.
        hop: samples in a frame.
        harmonics: number of harmonics.
        noise_bands: number of bands of the noise filter.
        seed: of the noise.
        name: of the layer.
        **kwargs: what every Keras layer takes.

    Shapes:
        f0_hz (batch, frames, 1) in Hz; controls (batch, frames,
        1 + harmonics + noise_bands); audio (batch, frames * hop).

    Example:
        `Synthesizer(16000, 160, 40, 65)(f0_hz, controls)`

    Source:
        Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR
        2020.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        hop: int = 160,
        harmonics: int = 40,
        noise_bands: int = 65,
        seed: int = 0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        # Half precision would detune: f0 in Hz needs more than 11 bits.
        kwargs.setdefault("dtype", "float32")
        super().__init__(name=name, **kwargs)
        self.sample_rate = sample_rate
        self.hop = hop
        self.harmonics = harmonics
        self.noise_bands = noise_bands
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, f0_hz_shape: Any, controls_shape: Any) -> None:
        """Checks the widths of both inputs.

        Raises:
            InputError: the last axes are not 1 and 1 + harmonics +
                noise_bands.
        """
        expected = 1 + self.harmonics + self.noise_bands
        if f0_hz_shape[-1] != 1 or controls_shape[-1] != expected:
            raise InputError(
                f"The synthesiser {self.name!r} takes f0 (batch, frames, 1) "
                f"and controls (batch, frames, {expected}). Received: "
                f"{tuple(f0_hz_shape)} and {tuple(controls_shape)}. Set "
                "harmonics and noise_bands to the decoder's, or keep the "
                "decoder's last layer out of pruning."
            )
        self.built = True

    def call(
        self,
        f0_hz: BackendTensor,
        controls: BackendTensor,
        training: bool = False,
    ) -> BackendTensor:
        """Renders a batch; see the class for shapes."""
        batch, frames = ops.shape(controls)[:2]
        noise = keras.random.uniform(
            (batch, frames * self.hop),
            -1.0,
            1.0,
            dtype="float32",
            seed=self.generator if training else self.seed,
        )
        return synthesize(
            f0_hz,
            controls,
            noise,
            harmonics=self.harmonics,
            sample_rate=self.sample_rate,
            hop=self.hop,
        )

    def compute_output_shape(
        self, f0_hz_shape: Any, controls_shape: Any
    ) -> tuple[int | None, int | None]:
        """Returns (batch, frames * hop), None where unknown."""
        batch, frames = controls_shape[:2]
        return batch, None if frames is None else frames * self.hop

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "sample_rate": self.sample_rate,
            "hop": self.hop,
            "harmonics": self.harmonics,
            "noise_bands": self.noise_bands,
            "seed": self.seed,
        }
