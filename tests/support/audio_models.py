# SPDX-License-Identifier: MIT
"""Audio models at the size that people run, made of sequences.

Those of `streaming_models` are as small as they can be; untrained all the
same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers, ops

from tf_diet.models import DDSPConfig, WaveNetConfig, ddsp, deployable, wavenet


@dataclass(frozen=True)
class AudioModel:
    """One model.

    Args:
        build: makes it.
        sample_rate: samples of audio a second.
        hop: samples of audio in one time step.
        frame: time steps in one call.
        classes: of integer inputs.
    """

    build: Callable[[], keras.Model]
    sample_rate: int
    hop: int = 1
    frame: int = 1
    classes: int = 2


AUDIO: dict[str, AudioModel] = {}


def audio_model(name: str, sample_rate: int, hop: int = 1, **settings: int):
    """Registers the builder of a model; see `AudioModel`."""

    def add(build):
        AUDIO[name] = AudioModel(build, sample_rate, hop, **settings)
        return build

    return add


def conv(x, filters, size=3, dilation=1, **more):
    """Returns a causal convolution."""
    return layers.Conv1D(
        filters, size, dilation_rate=dilation, padding="causal", **more
    )(x)


@audio_model("NAM standard WaveNet, blocks of 64", 48000, frame=64)
@audio_model("NAM standard WaveNet", 48000)
def _():
    """Neural Amp Modeler: two arrays of ten layers, 16 and 8 channels."""
    x = keras.Input((None, 1), name="x")
    h, head = x, None
    for width in (16, 8):
        h = layers.Conv1D(width, 1, use_bias=False)(h)
        made = [] if head is None else [head]
        for layer in range(10):
            mixed = layers.Conv1D(width, 1, use_bias=False)(x)
            y = ops.tanh(conv(h, width, 3, 2**layer) + mixed)
            made.append(y)
            h = layers.Add()([h, layers.Conv1D(width, 1)(y)])
        head = layers.Conv1D(8 if width == 16 else 1, 1)(layers.Add()(made))
    return keras.Model(x, head)


@audio_model("GuitarML LSTM 40", 48000)
def _():
    """Proteus: an amplifier with a knob, and the dry sound past it."""
    x = keras.Input((None, 2), name="x")
    h = layers.LSTM(40, return_sequences=True)(x)
    return keras.Model(x, layers.Dense(1)(h) + x[..., :1])


@audio_model("NSNet2 at half its width", 16000, hop=160)
def _():
    """Braun and Tashev, 2020: gains of 161 bands; 400 and 600 wide there."""
    x = keras.Input((None, 161), name="x")
    h = layers.Dense(200)(x)
    for _ in range(2):
        h = layers.GRU(200, return_sequences=True)(h)
    for _ in range(2):
        h = layers.Dense(300, "relu")(h)
    return keras.Model(x, layers.Dense(161, "sigmoid")(h))


@audio_model("Depthwise TCN, 64 channels", 16000, hop=160)
def _():
    x = keras.Input((None, 40), name="x")
    h = layers.Dense(64)(x)
    for dilation in (1, 2, 4, 8, 16):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Dense(128)(h)))
        y = conv(y, 128, 3, dilation, groups=128)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        h = layers.Add()([h, layers.Dense(64)(y)])
    return keras.Model(x, layers.Dense(12)(h))


@audio_model("DDSP, small", 16000, hop=160)
def _():
    return deployable(ddsp(DDSPConfig.preset("small"))).model


@audio_model("WaveNet, 12 layers of 32 channels", 16000, classes=64)
def _():
    config = WaveNetConfig(cycles=2, layers=6, classes=64)
    return deployable(wavenet(config)).model
