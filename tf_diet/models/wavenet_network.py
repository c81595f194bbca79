# SPDX-License-Identifier: MIT
"""A WaveNet: the next mu-law code from all codes before it.

`tf_diet.models.wavenet_sampling` generates with it, a sample at a time.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tf_diet.audio import mu_law
from tf_diet.models.presets import Preset


@dataclass(frozen=True)
class WaveNetConfig(Preset):
    """The sizes of a WaveNet.

    "paper" is what the code of the structured lottery paper runs, 2.9 million
    parameters: 20 blocks in two cycles, 128 residual and 256 skip channels, 80
    mel bands every 512 samples. Its text says two stacks of 20 layers; were
    their dilations not to start again, a code would be told by the two minutes
    before it.

    Attributes:
        cycles: how often the dilations 1, 2, 4, ... start again.
        layers: dilated layers a cycle.
        channels: width of the residual path and of filter and gate.
        skip_channels: width of the skip path.
        kernel: taps of each dilated convolution.
        classes: mu-law codes.
        conditioning: features a frame of the `conditioning` input, such as
            the bands of a log-mel spectrogram; 0 for a model without it.
        hop: samples in a frame of conditioning.
        instruments: classes of the `instrument` input; 0 for a model without
            that input.
        seed: of the weights.
    """

    cycles: int = 2
    layers: int = 10
    channels: int = 32
    skip_channels: int = 64
    kernel: int = 2
    classes: int = 256
    conditioning: int = 0
    hop: int = 512
    instruments: int = 0
    seed: int = 0

    @property
    def receptive_field(self) -> int:
        """Input codes that reach one output, that one's included.

        Blocks of kernel 2 with dilations up to 512, twice, reach 2047 codes:
        each adds its dilation, and none is counted twice.
        """
        span = (self.kernel - 1) * (2**self.layers - 1)
        return 1 + self.cycles * span


WaveNetConfig.presets.register("paper")(
    WaveNetConfig(channels=128, skip_channels=256, conditioning=80)
)
# Hears 28 ms. Six blocks of eight taps take half the time of sixteen of two,
# and come further in it.
WaveNetConfig.presets.register("small")(
    WaveNetConfig(cycles=1, layers=6, kernel=8, conditioning=80)
)
WaveNetConfig.presets.register("tiny")(
    WaveNetConfig(channels=16, skip_channels=32, conditioning=80)
)


@keras.saving.register_keras_serializable("tf_diet")
class CodeWaves(keras.initializers.Initializer):
    """Starts the rows of neighbouring mu-law codes near each other.

    Codes stand for levels. Rows drawn each for itself do not say so, and many
    thousand steps go by until they are learned to; these are smooth functions
    of the level: itself, a few powers, and waves of several lengths.

    Args:
        seed: of the waves.

    Shapes:
        (codes, channels).

    Source:
        The waves are random Fourier features: Rahimi and Recht, "Random
        Features for Large-Scale Kernel Machines", NIPS 2007, section 3.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Returns the rows."""
        codes, channels = shape
        squeezed = np.linspace(-1, 1, codes)
        level = mu_law.decode(np.arange(codes), codes).astype(np.float64)
        random = np.random.default_rng(self.seed)
        turns = 2.0 ** random.uniform(-2, 3, channels)
        start = random.uniform(size=channels)
        rows = np.cos(2 * np.pi * (np.outer(squeezed, turns) + start))
        plain = [squeezed, level, squeezed**2, squeezed * np.abs(squeezed)]
        given = np.stack(plain, axis=-1)[:, :channels]
        rows[:, : given.shape[1]] = given
        return ops.convert_to_tensor(rows.astype(np.float32), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"seed": self.seed}


def wavenet(config: WaveNetConfig) -> keras.Model:
    """Builds a WaveNet, one flat functional graph.

    Gated residual blocks of causal dilated convolutions (section 2.1 and
    figure 4); filter and gate come from one convolution whose channels are
    split (equation 2). What conditions a block is added before the gates:
    locally, features a frame, and globally, a vector an instrument (section
    2.5). The skips of all blocks are summed and read by two 1x1 convolutions
    (section 2.4).

    Frames go through a block's 1x1 convolution before they are repeated for
    each of their samples: the same sums, made once a frame.

    Args:
        config: the sizes.

    Shapes:
        Inputs, a dict: codes (batch, samples) of integers, already shifted
        by one sample (`tf_diet.audio.mu_law.teacher`); conditioning (batch,
        frames, features) with samples = frames * hop, where there is
        conditioning; instrument (batch, 1) of integers, where there are
        instruments. Output: logits (batch, samples, classes).

    Returns:
        The model.

    Source:
        van den Oord et al., "WaveNet: A Generative Model for Raw Audio",
        2016; Esling et al., "Diet deep generative audio models with
        structured lottery", DAFx-20, section 4.1.
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

    def embedding(entries: int, width: int, name: str) -> Any:
        return layers.Embedding(
            entries,
            width,
            embeddings_initializer=keras.initializers.RandomUniform(
                seed=next(seeds)
            ),
            name=name,
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
            frames = conv(2 * config.channels, f"{name}_condition")(local)
            frames = layers.UpSampling1D(config.hop, name=f"{name}_held")(
                frames
            )
            both = layers.Add(name=f"{name}_conditioned")([both, frames])
        if config.instruments:
            vector = embedding(
                config.instruments, 2 * config.channels, f"{name}_instrument"
            )(inputs["instrument"])
            both = layers.Add(name=f"{name}_told")([both, vector])
        signal, gate = ops.split(both, 2, axis=-1)
        signal = layers.Activation("tanh", name=f"{name}_tanh")(signal)
        gate = layers.Activation("sigmoid", name=f"{name}_sigmoid")(gate)
        z = layers.Multiply(name=f"{name}_gated")([signal, gate])
        skip = conv(config.skip_channels, f"{name}_skip")(z)
        residual = conv(config.channels, f"{name}_residual")(z)
        return layers.Add(name=f"{name}_output")([x, residual]), skip

    inputs = {"codes": keras.Input((None,), name="codes", dtype="int32")}
    local = None
    if config.conditioning:
        frames = keras.Input((None, config.conditioning), name="conditioning")
        inputs["conditioning"] = frames
        # Of log-mel bands, from 0 to 1, to about unit variance: else what a
        # frame says is learned late.
        local = layers.Rescaling(4.0, -1.2, name="frames_scaled")(frames)
    if config.instruments:
        inputs["instrument"] = keras.Input(
            (1,), name="instrument", dtype="int32"
        )
    x = layers.Embedding(
        config.classes,
        config.channels,
        embeddings_initializer=CodeWaves(next(seeds)),
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
