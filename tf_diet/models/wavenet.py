"""A WaveNet: the next mu-law code from all codes before it."""

from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import layers, ops

from tf_diet.errors import InputError


@dataclass(frozen=True)
class WaveNetConfig:
    """The sizes of a WaveNet.

    Attributes:
        cycles: how often the dilations 1, 2, 4, ... start again.
        layers: dilated layers a cycle.
        channels: width of the residual path and of filter and gate.
        skip_channels: width of the skip path.
        kernel: taps of each dilated convolution.
        classes: mu-law codes.
        conditioning: features a frame of the `conditioning` input; 0 for a
            model without that input.
        hop: samples in a frame of conditioning.
        seed: of the weights.
    """

    cycles: int = 2
    layers: int = 10
    channels: int = 32
    skip_channels: int = 64
    kernel: int = 2
    classes: int = 256
    conditioning: int = 0
    hop: int = 160
    seed: int = 0

    @property
    def receptive_field(self) -> int:
        """Input codes that reach one output."""
        span = (self.kernel - 1) * (2**self.layers - 1)
        return 1 + self.cycles * span

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "WaveNetConfig":
        """Returns the sizes known as `name`, with fields changed.

        Args:
            name: "paper", "small" or "tiny".
            **changes: fields to set otherwise.

        Raises:
            InputError: the name is unknown.
        """
        if name not in _PRESETS:
            raise InputError(
                f"Unknown WaveNet preset. Received: {name!r}. "
                f"Choose one of: {', '.join(sorted(_PRESETS))}."
            )
        return replace(_PRESETS[name], **changes)


_PRESETS = {
    "paper": WaveNetConfig(
        layers=20, channels=128, skip_channels=256, conditioning=80
    ),
    "small": WaveNetConfig(conditioning=2),
    "tiny": WaveNetConfig(
        cycles=1, layers=3, channels=8, skip_channels=12, conditioning=2
    ),
}


def wavenet(config: WaveNetConfig) -> keras.Model:
    """Builds a WaveNet, one flat functional graph.

    Gated residual blocks of causal dilated convolutions; filter and gate
    come from one convolution whose channels are split. The skips of all
    blocks are summed and read by two 1x1 convolutions.

    Args:
        config: the sizes.

    Shapes:
        Inputs, a dict: codes (batch, samples) of integers, already shifted
        by one sample (`tf_diet.audio.mu_law.teacher`); conditioning (batch,
        frames, features) with samples = frames * hop, where there is
        conditioning. Output: logits (batch, samples, classes).

    Returns:
        The model.

    Source:
        van den Oord et al., "WaveNet: A Generative Model for Raw Audio",
        2016.
    """
    seeds = iter(range(1000 * config.seed, 1000 * config.seed + 1000))

    def conv(width: int, name: str, **options: Any) -> Any:
        return layers.Conv1D(
            width,
            options.pop("kernel_size", 1),
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
            name=name,
            **options,
        )

    def block(x: Any, name: str, dilation: int) -> tuple[Any, Any]:
        both = conv(
            2 * config.channels,
            f"{name}_gate",
            kernel_size=config.kernel,
            padding="causal",
            dilation_rate=dilation,
        )(x)
        if config.conditioning:
            bias = conv(2 * config.channels, f"{name}_condition")(local)
            both = layers.Add(name=f"{name}_conditioned")([both, bias])
        signal, gate = ops.split(both, 2, axis=-1)
        signal = layers.Activation("tanh", name=f"{name}_tanh")(signal)
        gate = layers.Activation("sigmoid", name=f"{name}_sigmoid")(gate)
        z = layers.Multiply(name=f"{name}_gated")([signal, gate])
        skip = conv(config.skip_channels, f"{name}_skip")(z)
        residual = conv(config.channels, f"{name}_residual")(z)
        return layers.Add(name=f"{name}_output")([x, residual]), skip

    inputs = {"codes": keras.Input((None,), name="codes", dtype="int32")}
    if config.conditioning:
        width = config.conditioning
        inputs["conditioning"] = keras.Input((None, width), name="conditioning")
        local = layers.UpSampling1D(config.hop, name="upsampled")(
            inputs["conditioning"]
        )
    x = layers.Embedding(
        config.classes,
        config.channels,
        embeddings_initializer=keras.initializers.RandomUniform(
            seed=next(seeds)
        ),
        name="embedding",
    )(inputs["codes"])
    skips = None
    for index in range(config.cycles * config.layers):
        name = f"block_{index}"
        x, skip = block(x, name, 2 ** (index % config.layers))
        # Added as they come: one sum over all would hold every one of them.
        if skips is not None:
            skip = layers.Add(name=f"{name}_skips")([skips, skip])
        skips = skip
    x = layers.Activation("relu", name="skips_relu")(skips)
    x = conv(config.skip_channels, "hidden")(x)
    x = layers.Activation("relu", name="hidden_relu")(x)
    logits = conv(config.classes, "logits")(x)
    return keras.Model(inputs, logits, name="wavenet")
