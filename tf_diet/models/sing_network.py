# SPDX-License-Identifier: MIT
"""SING: notes from their symbols, through a convolutional auto-encoder.

It is trained in three stages (section 4 of the paper): the auto-encoder on
sounds; the generator on what its encoder makes of them; both ends together,
from symbols to sound.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import ArrayLike

from tf_diet.arrays import Ints32
from tf_diet.audio.overlap_add import Frames, OverlapAdd
from tf_diet.errors import InputError
from tf_diet.models.presets import Preset


@dataclass(frozen=True)
class SINGConfig(Preset):
    """The sizes of a SING model.

    "paper" is the auto-encoder of SING, 80.8 million parameters, and its
    generator of 21.3 million; "diet" is what the code of the structured
    lottery paper prunes, 21.2 million, with a context of 7 frames for its 6,
    so that a frame lies in the middle of its context.

    Attributes:
        channels: width of every convolution.
        latent: features a frame between encoder and decoder.
        context: frames that one frame of sound is made from.
        rewrites: 1x1 convolutions after the first one, on either side.
        window: samples of a frame.
        stride: samples from one frame to the next.
        samples: of a sound.
        instruments: that the generator tells apart.
        pitches: likewise.
        velocities: likewise.
        units: of each recurrent layer of the generator.
        recurrent_layers: how many there are.
        seed: of the weights.
    """

    channels: int = 512
    latent: int = 128
    context: int = 9
    rewrites: int = 2
    window: int = 1024
    stride: int = 256
    samples: int = 64000
    instruments: int = 1006
    pitches: int = 128
    velocities: int = 5
    units: int = 256
    recurrent_layers: int = 3
    seed: int = 0

    @property
    def frames(self) -> int:
        """Frames of a sound between encoder and decoder.

        More than its samples ask for: the decoder's context takes some away,
        and a whole frame at either end is left out, since fewer overlap there.
        """
        return (self.samples + 2 * self.margin - self.window) // self.stride + 1

    @property
    def margin(self) -> int:
        """Silence around a sound, in samples."""
        return self.cut + (self.context - 1) * self.stride // 2

    @property
    def cut(self) -> int:
        """Samples that the decoder makes too many, at either end."""
        return self.window + self.stride


SINGConfig.presets.register("paper")(SINGConfig(channels=4096, units=1024))
SINGConfig.presets.register("diet")(
    SINGConfig(channels=2048, latent=16, context=7, units=1024)
)
SINGConfig.presets.register("small")(SINGConfig())
SINGConfig.presets.register("tiny")(SINGConfig(channels=256, units=128))


class _Builder:
    """Layers with names and seeds of their own, the same in every model."""

    def __init__(self, config: SINGConfig) -> None:
        self.config = config
        self.made = 1000 * config.seed

    def _start(self) -> Any:
        self.made += 1
        return keras.initializers.HeUniform(self.made)

    def dense(self, x: Any, width: int, name: str, active: bool = True) -> Any:
        """A convolution of one frame: the same for each."""
        return layers.Dense(
            width,
            activation="relu" if active else None,
            kernel_initializer=self._start(),
            name=name,
        )(x)

    def encoder(self, audio: Any) -> Any:
        """Frames, 1x1 convolutions, features (section 3.3)."""
        config = self.config
        x = Frames(config.window, config.stride, config.margin, name="frames")(
            audio
        )
        # Window by window: a strided convolution.
        x = self.dense(x, config.channels, "encoder_window")
        for index in range(config.rewrites):
            x = self.dense(x, config.channels, f"encoder_{index}")
        return self.dense(x, config.latent, "latent", active=False)

    def decoder(self, latent: Any) -> Any:
        """Context, 1x1 convolutions, overlapping frames (section 3.2)."""
        config = self.config
        x = layers.Conv1D(
            config.channels,
            config.context,
            activation="relu",
            kernel_initializer=self._start(),
            name="decoder_context",
        )(latent)
        for index in range(config.rewrites):
            x = self.dense(x, config.channels, f"decoder_{index}")
        # A transposed convolution: each frame adds a window of sound.
        x = self.dense(x, config.window, "decoder_window", active=False)
        return OverlapAdd(
            config.window, config.stride, config.cut, name="sound"
        )(x)

    def generator(self, frames: int | None) -> tuple[dict[str, Any], Any]:
        """Embeddings and recurrent layers (section 3.1)."""
        config = self.config
        sizes = {
            "velocity": (config.velocities, 2),
            "instrument": (config.instruments, 16),
            "pitch": (config.pitches, 8),
            "time": (config.frames, 4),
        }
        inputs = {
            name: keras.Input((frames,), dtype="int32", name=name)
            for name in sizes
        }
        looked_up = []
        for name, (entries, width) in sizes.items():
            self.made += 1
            looked_up.append(
                layers.Embedding(
                    entries,
                    width,
                    embeddings_initializer=keras.initializers.RandomNormal(
                        stddev=1.0, seed=self.made
                    ),
                    name=f"{name}_embedding",
                )(inputs[name])
            )
        x = layers.Concatenate(name="symbols")(looked_up)
        for index in range(config.recurrent_layers):
            self.made += 2
            x = layers.LSTM(
                config.units,
                return_sequences=True,
                kernel_initializer=keras.initializers.GlorotUniform(self.made),
                recurrent_initializer=keras.initializers.Orthogonal(
                    seed=self.made + 1
                ),
                name=f"lstm_{index}",
            )(x)
        # Of another name than the encoder's, whose weights it has not.
        return inputs, self.dense(x, config.latent, "generated", active=False)


def sing_autoencoder(config: SINGConfig) -> keras.Model:
    """Builds the auto-encoder, one flat functional graph.

    Args:
        config: the sizes.

    Shapes:
        audio (batch, samples) -> (batch, samples).

    Returns:
        The model; its layer "latent" gives (batch, frames, latent).

    Source:
        Defossez et al., "SING: Symbol-to-Instrument Neural Generator",
        NeurIPS 2018, sections 3.2 and 3.3; Esling et al., DAFx-20, section
        4.1.
    """
    build = _Builder(config)
    audio = keras.Input((config.samples,), name="audio")
    sound = build.decoder(build.encoder(audio))
    return keras.Model(audio, sound, name="sing_autoencoder")


def sing_generator(config: SINGConfig) -> keras.Model:
    """Builds the sequence generator: symbols to what the decoder reads.

    Args:
        config: the sizes.

    Shapes:
        Inputs, a dict of integers (batch, frames), as many frames as wanted
        or one after the other: velocity, instrument, pitch, time; `symbols`
        makes them. Output: (batch, frames, latent).

    Source:
        Defossez et al., NeurIPS 2018, section 3.1.
    """
    inputs, latent = _Builder(config).generator(None)
    return keras.Model(inputs, latent, name="sing_generator")


def sing(config: SINGConfig, *trained: keras.Model) -> keras.Model:
    """Builds the whole model: symbols to sound.

    Args:
        config: the sizes.
        *trained: models whose layers of the same name lend their weights:
            the auto-encoder its decoder, the generator all.

    Shapes:
        Inputs as of `sing_generator`; sound (batch, samples).

    Raises:
        InputError: a layer of the same name has other widths.

    Source:
        Defossez et al., NeurIPS 2018, section 3.
    """
    build = _Builder(config)
    inputs, latent = build.generator(config.frames)
    model = keras.Model(inputs, build.decoder(latent), name="sing")
    for other in trained:
        _take_over(model, other)
    return model


def latent_distance(
    config: SINGConfig, autoencoder: keras.Model, scale: float = 1.0
) -> keras.Model:
    """Builds what the generator is trained in, beside a frozen encoder.

    Args:
        config: the sizes.
        autoencoder: that lends its encoder.
        scale: what the distance is divided by, such as the root mean square
            of what the encoder makes of the training set: then a generator
            that gives zeros is at a distance of 1.

    Shapes:
        Inputs as of `sing_generator`, and audio (batch, samples). Output
        (batch, frames, latent): what the generator makes of the symbols less
        what the encoder makes of the sound, to be brought to zero.

    Raises:
        InputError: the auto-encoder is of another configuration.

    Source:
        Defossez et al., NeurIPS 2018, section 4.2.
    """
    build = _Builder(config)
    inputs, latent = build.generator(config.frames)
    audio = keras.Input((config.samples,), name="audio")
    apart = layers.Subtract(name="apart")([latent, build.encoder(audio)])
    apart = layers.Rescaling(1 / scale, name="by_scale")(apart)
    model = keras.Model(
        {**inputs, "audio": audio}, apart, name="sing_latent_distance"
    )
    for layer in _take_over(model, autoencoder):
        layer.trainable = False
    return model


def _take_over(model: keras.Model, other: keras.Model) -> list[Any]:
    """Takes the weights of layers of the same name, and returns the layers."""
    known = {layer.name: layer for layer in other.layers}
    taken = [x for x in model.layers if x.name in known and x.weights]
    for layer in taken:
        _lend(known[layer.name], layer)
    return taken


def _lend(source: Any, target: Any) -> None:
    shapes = [[tuple(w.shape) for w in x.weights] for x in (source, target)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"The layer {target.name!r} cannot take over weights. Received: "
            f"shapes {shapes[0]} for {shapes[1]}. Build both models from one "
            "configuration."
        )
    target.set_weights(source.get_weights())


def encoder(autoencoder: keras.Model) -> keras.Model:
    """Returns the part of an auto-encoder that the generator learns from.

    Args:
        autoencoder: from `sing_autoencoder`, or a pruned copy.

    Shapes:
        audio (batch, samples) -> (batch, frames, latent).

    Raises:
        InputError: it has no layer "latent".
    """
    names = [layer.name for layer in autoencoder.layers]
    if "latent" not in names:
        raise InputError(
            f"The model {autoencoder.name!r} is no auto-encoder of SING: it "
            f"has no layer named 'latent'. Received layers: "
            f"{', '.join(names[:8])}."
        )
    latent = autoencoder.get_layer("latent").output
    return keras.Model(autoencoder.inputs, latent, name="sing_encoder")


def symbols(
    config: SINGConfig,
    instrument: ArrayLike,
    pitch: ArrayLike,
    velocity: ArrayLike = 0,
) -> dict[str, Ints32]:
    """Returns what the generator takes for some notes.

    Args:
        config: the sizes.
        instrument: an integer a note, or one for all.
        pitch: likewise, a MIDI number.
        velocity: likewise, from 0.

    Shapes:
        Each of (batch,); returns integers (batch, frames).

    Raises:
        InputError: one is out of range.
    """
    given = {"instrument": instrument, "pitch": pitch, "velocity": velocity}
    limits = {
        "instrument": config.instruments,
        "pitch": config.pitches,
        "velocity": config.velocities,
    }
    notes = np.broadcast_arrays(
        *[
            np.atleast_1d(np.asarray(value, np.int32))
            for value in given.values()
        ]
    )
    for (name, limit), values in zip(limits.items(), notes, strict=True):
        wrong = values[(values < 0) | (values >= limit)]
        if len(wrong):
            raise InputError(
                f"The model knows {limit} values of {name}. Received: "
                f"{wrong[0]}. Give integers from 0 to {limit - 1}."
            )
    shape = (len(notes[0]), config.frames)
    found = {
        name: np.broadcast_to(values[:, None], shape).copy()
        for name, values in zip(limits, notes, strict=True)
    }
    time = np.arange(config.frames, dtype=np.int32)
    return {**found, "time": np.broadcast_to(time, shape).copy()}
