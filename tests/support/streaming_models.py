# SPDX-License-Identifier: MIT
"""Audio architectures that people run frame by frame, and some they cannot.

Small, untrained, with biases and statistics other than zero: what streams must
equal the model of whole sequences whatever its weights are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops


@dataclass(frozen=True)
class StreamingCase:
    """One architecture.

    Args:
        build: makes it.
        frame: time steps of the fastest input in one call.
        refused: part of the reason why it cannot stream; empty if it can.
        settings: other arguments of `to_streaming`.
    """

    build: Callable[[], keras.Model]
    frame: int = 1
    refused: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, StreamingCase] = {}


def case(
    name: str, frame: int = 1, refused: str = "", **settings: Any
) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Registers `build(input)` for an input of 4 channels."""

    def add(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def build() -> keras.Model:
            x = keras.Input((None, 4), name="x")
            return keras.Model(x, function(x))

        CASES[name] = StreamingCase(build, frame, refused, settings)
        return function

    return add


def whole(
    name: str, frame: int = 1, refused: str = "", **settings: Any
) -> Callable[[Callable[[], keras.Model]], Callable[[], keras.Model]]:
    """Registers a builder of a whole model."""

    def add(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
        CASES[name] = StreamingCase(build, frame, refused, settings)
        return build

    return add


def built(name: str, seed: int = 0) -> keras.Model:
    """Returns a model with random weights, biases and statistics."""
    keras.utils.set_random_seed(seed)
    model = CASES[name].build()
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" in weight.name:
            continue
        value = np.asarray(weight.value)
        if "variance" in weight.name or "alpha" in weight.name:
            noise = rng.uniform(0.5, 1.5, value.shape)
        elif "gamma" in weight.name or "scale" in weight.name:
            noise = 1 + 0.2 * rng.normal(size=value.shape)
        elif value.ndim < 2:
            noise = 0.2 * rng.normal(size=value.shape)
        else:
            continue
        weight.assign(noise.astype(value.dtype))
    return model


def conv(x: Any, filters: int, size: int = 3, dilation: int = 1, **more: Any):
    """Returns a causal convolution."""
    return layers.Conv1D(
        filters, size, dilation_rate=dilation, padding="causal", **more
    )(x)


def left(x: Any, steps: int) -> Any:
    """Returns zeros before a sequence."""
    return layers.ZeroPadding1D((steps, 0))(x)


# Convolutional and gated networks.


@case("TCN by hand, BatchNormalization")
def _(x):
    h = layers.Dense(8)(x)
    for dilation in (1, 2, 4, 8):
        y = layers.ReLU()(layers.BatchNormalization()(conv(h, 8, 3, dilation)))
        h = layers.Add()([h, layers.Conv1D(8, 1)(y)])
    return layers.Dense(2)(h)


@case("NAM WaveNet")
def _(x):
    h, heads = layers.Conv1D(6, 1, use_bias=False)(x), []
    for dilation in (1, 2, 4, 8):
        mixed = layers.Conv1D(6, 1, use_bias=False)(x)
        y = layers.Activation("tanh")(conv(h, 6, 3, dilation) + mixed)
        heads.append(y)
        h = layers.Add()([h, layers.Conv1D(6, 1)(y)])
    return layers.Conv1D(1, 1)(layers.Add()(heads))


@case("NAM WaveNet, gated, in blocks of 16", frame=16)
def _(x):
    h = layers.Dense(6)(x)
    for dilation in (1, 2, 4):
        signal, gate = ops.split(conv(h, 12, 3, dilation), 2, axis=-1)
        h = h + layers.Dense(6)(ops.tanh(signal) * ops.sigmoid(gate))
    return layers.Dense(1)(h)


@case("Causal convolution with snake")
def _(x):
    h = conv(x, 8)
    return layers.Dense(2)(h + ops.square(ops.sin(h)))


@case("Depthwise TCN, Conv-TasNet block, LayerNormalization")
def _(x):
    h = layers.Dense(8)(x)
    for dilation in (1, 2, 4):
        y = layers.PReLU(shared_axes=[1])(layers.Dense(12)(h))
        y = layers.LayerNormalization()(y)
        y = conv(y, 12, 3, dilation, groups=12)
        y = layers.LayerNormalization()(layers.PReLU(shared_axes=[1])(y))
        h = h + layers.Dense(8)(y)
    return h


@case("Conv-TasNet block, BatchNormalization")
def _(x):
    y = layers.BatchNormalization()(layers.Dense(12)(x))
    y = layers.BatchNormalization()(conv(y, 12, 3, 2, groups=12))
    return layers.Dense(4)(y) + x


@case("Conv-TasNet block, cumulative LayerNormalization")
def _(x):
    y = conv(x, 6)
    count = ops.cumsum(ops.ones_like(y[..., :1]), axis=1)
    mean = ops.cumsum(ops.mean(y, axis=-1, keepdims=True), axis=1) / count
    power = ops.mean(ops.square(y), axis=-1, keepdims=True)
    power = ops.cumsum(power, axis=1) / count
    scale = ops.sqrt(power - ops.square(mean) + 1e-3)
    return layers.Dense(2)((y - mean) / scale)


@case("Left padding, DepthwiseConv1D")
def _(x):
    h = layers.DepthwiseConv1D(3, depth_multiplier=2, dilation_rate=2)(
        left(x, 4)
    )
    return layers.Dense(3)(h)


@case("Left padding, SeparableConv1D")
def _(x):
    return layers.SeparableConv1D(6, 3, activation="relu")(left(x, 2))


@case("Left padding, valid convolution")
def _(x):
    h = layers.Conv1D(6, 3, dilation_rate=3)(left(layers.Dense(5)(x), 6))
    return layers.Dense(2)(layers.ReLU()(h))


@case("ops.pad, valid convolution")
def _(x):
    return layers.Conv1D(6, 4)(ops.pad(x, ((0, 0), (3, 0), (0, 0))))


@case("All padding in front, valid convolutions with skips cut")
def _(x):
    h = left(x, 12)
    for dilation in (1, 2, 3):
        y = layers.Conv1D(4, 3, dilation_rate=dilation, activation="tanh")(h)
        h = y + h[:, 2 * dilation :]
    return layers.Dense(2)(h)


@case("Max pooling over the past")
def _(x):
    return layers.Dense(2)(layers.MaxPooling1D(3, strides=1)(left(x, 2)))


@case("Average pooling over the past")
def _(x):
    return layers.AveragePooling1D(4, strides=1)(left(x, 3))


@case("Delta features")
def _(x):
    slope = x[:, 1:] - x[:, :-1]
    return layers.Dense(3)(layers.Concatenate()([x, left(slope, 1)]))


@case("Delay and echo")
def _(x):
    return x + 0.5 * ops.pad(x, ((0, 0), (5, 0), (0, 0)))[:, :-5]


# Recurrent networks.


@case("GuitarML LSTM with skip")
def _(x):
    return (
        layers.Dense(1)(layers.LSTM(8, return_sequences=True)(x)) + x[..., :1]
    )


@case("GuitarML GRU, conditioned, skip of one channel")
def _(x):
    h = layers.GRU(6, return_sequences=True, reset_after=False)(x)
    return layers.Dense(1)(h) + x[:, :, 0:1]


@whole("LSTM of two inputs with skip")
def _():
    one, two = (
        keras.Input((None, 1), name="a"),
        keras.Input((None, 2), name="b"),
    )
    h = layers.LSTM(6, return_sequences=True)(layers.Concatenate()([one, two]))
    return keras.Model([one, two], layers.Add()([layers.Dense(1)(h), one]))


@case("NSNet2")
def _(x):
    h = layers.Dense(10, activation="relu")(x)
    h = layers.GRU(10, return_sequences=True)(h)
    h = layers.GRU(10, return_sequences=True)(h)
    h = layers.Dense(12, activation="relu")(h)
    return layers.Dense(4, activation="sigmoid")(h) * x


@case("GRU, PReLU, LayerNormalization, noise and dropout")
def _(x):
    h = layers.GaussianNoise(0.1)(layers.Dropout(0.2)(x))
    h = layers.GRU(6, return_sequences=True)(h)
    h = layers.LayerNormalization()(layers.PReLU(shared_axes=[1])(h))
    return layers.BatchNormalization()(h)


@case("Stacked cells and SimpleRNN")
def _(x):
    cells = [layers.GRUCell(5), layers.LSTMCell(4)]
    h = layers.RNN(cells, return_sequences=True)(x)
    return layers.SimpleRNN(3, return_sequences=True)(h)


@case("Keyword head: last output of a GRU", frame=2)
def _(x):
    h = layers.GRU(6)(conv(x, 5))
    return layers.Dense(3, activation="softmax")(h)


@case("Keyword head: last output of an LSTM")
def _(x):
    return layers.Dense(2)(
        layers.LSTM(5)(layers.LSTM(4, return_sequences=True)(x))
    )


@case("Recurrent layer that returns its states, unused")
def _(x):
    y, *_ = layers.LSTM(5, return_sequences=True, return_state=True)(x)
    return layers.Dense(2)(y)


@whole("GRU that starts from a vector")
def _():
    x, v = keras.Input((None, 3), name="x"), keras.Input((2,), name="v")
    first = layers.Dense(5)(v)
    h = layers.GRU(5, return_sequences=True)(x, initial_state=first)
    return keras.Model([x, v], layers.Dense(2)(h))


@whole("ConvLSTM1D over frequency")
def _():
    x = keras.Input((None, 6, 2), name="x")
    h = layers.ConvLSTM1D(3, 3, padding="same", return_sequences=True)(x)
    return keras.Model(x, layers.Dense(1)(h))


# Time and frequency.


@whole("TimeDistributed convolution over frequency and GRU")
def _():
    x = keras.Input((None, 12, 1), name="x")
    h = layers.TimeDistributed(
        layers.Conv1D(4, 3, strides=2, padding="same", activation="relu")
    )(x)
    h = layers.TimeDistributed(layers.Flatten())(h)
    h = layers.GRU(6, return_sequences=True)(h)
    return keras.Model(x, layers.Dense(12)(h))


@whole("CRUSE")
def _():
    x = keras.Input((None, 8, 1), name="x")
    h = layers.ZeroPadding2D(((1, 0), (1, 1)))(x)
    h = layers.Conv2D(4, (2, 3), strides=(1, 2), activation="relu")(h)
    y = layers.GRU(16, return_sequences=True)(layers.Reshape((-1, 16))(h))
    y = layers.Reshape((-1, 4, 4))(y)
    y = layers.Conv2DTranspose(1, (1, 3), strides=(1, 2), padding="same")(
        layers.Concatenate()([h, y])
    )
    return keras.Model(x, layers.Activation("sigmoid")(y))


@whole("Conv2D over frequency alone")
def _():
    x = keras.Input((None, 8, 1), name="x")
    h = layers.Conv2D(4, (1, 3), padding="same", activation="relu")(x)
    h = layers.DepthwiseConv2D((1, 3), padding="same")(h)
    h = layers.MaxPooling2D((1, 2))(h)
    return keras.Model(x, layers.Dense(2)(layers.Reshape((-1, 16))(h)))


@whole("Causal depthwise Conv2D")
def _():
    x = keras.Input((None, 8, 2), name="x")
    h = layers.ZeroPadding2D(((4, 0), (1, 1)))(x)
    h = layers.DepthwiseConv2D(3, dilation_rate=1)(h[:, 2:])
    return keras.Model(x, layers.BatchNormalization()(h))


@case("DeepFilterNet, grouped linear layers")
def _(x):
    h = layers.Reshape((-1, 4, 4))(layers.Dense(16)(x))
    h = layers.EinsumDense("btgi,gio->btgo", (None, 4, 3), bias_axes="go")(h)
    h = layers.Reshape((-1, 12))(h)
    h = layers.GRU(6, return_sequences=True)(h)
    return layers.EinsumDense("btc,cd->btd", (None, 4), bias_axes="d")(h)


@case("Mixing channels by constant matrices")
def _(x):
    matrix = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
    h = ops.matmul(conv(x, 4), matrix)
    h = ops.einsum("btc,cd->btd", h, matrix[:3])
    return ops.max(h, axis=-1, keepdims=True) + ops.expand_dims(h[..., 0], -1)


# Several rates.


@case("SoundStream encoder", frame=8)
def _(x):
    h = conv(x, 4, 7)
    for stride in (2, 4):
        h = h + layers.Dense(h.shape[-1])(layers.ELU()(conv(h, 4, 3)))
        h = conv(layers.ELU()(h), 6, 2 * stride, strides=stride)
    return conv(h, 3)


@case("Patches and a GRU", frame=16)
def _(x):
    h = layers.Conv1D(6, 16, strides=16)(x)
    return layers.Dense(4)(layers.GRU(6, return_sequences=True)(h))


@case("Frames by Reshape", frame=8)
def _(x):
    return layers.Dense(3)(layers.Reshape((-1, 32))(x))


@case("Average pooling that halves the rate", frame=4)
def _(x):
    return layers.Dense(2)(layers.AveragePooling1D(2)(conv(x, 4)))


@case("RAVE decoder, transposed convolutions")
def _(x):
    h = layers.Conv1DTranspose(6, 8, strides=4)(conv(x, 5))[:, :-4]
    h = layers.LeakyReLU()(h)
    h = layers.Conv1DTranspose(3, 4, strides=2, activation="tanh")(h)[:, :-2]
    return conv(h, 1)


@case("RAVE decoder, up-sampling")
def _(x):
    h = layers.UpSampling1D(4)(conv(x, 5))
    return layers.Activation("tanh")(conv(h, 2, 5))


@case("U-Net with skips over two rates", frame=4)
def _(x):
    one = conv(x, 4)
    two = conv(layers.MaxPooling1D(2)(one), 6)
    low = conv(layers.MaxPooling1D(2)(two), 8)
    two = conv(layers.Concatenate()([layers.UpSampling1D(2)(low), two]), 6)
    return layers.Concatenate()([layers.UpSampling1D(2)(two), one])


@whole("SampleRNN, two tiers", frame=8)
def _():
    slow = keras.Input((None, 3), name="frames")
    fast = keras.Input((None, 1), name="samples")
    tier = layers.GRU(5, return_sequences=True)(slow)
    tier = layers.UpSampling1D(4)(tier)
    h = layers.Concatenate()([tier, conv(fast, 4)])
    return keras.Model([slow, fast], layers.Dense(2)(h))


# Conditions, attention, delays.


@whole("FiLM TCN, a vector for the whole sequence")
def _():
    x, v = keras.Input((None, 2), name="x"), keras.Input((3,), name="v")
    h = x
    for number, dilation in enumerate((1, 2, 4)):
        gain, offset = layers.Dense(6)(v), layers.Dense(6)(v)
        shapes = (
            lambda t: layers.Reshape((1, 6))(t),
            lambda t: t[:, None, :],
            lambda t: ops.expand_dims(t, 1),
        )
        wide = shapes[number]
        h = layers.ReLU()(conv(h, 6, 3, dilation) * wide(gain) + wide(offset))
    return keras.Model([x, v], layers.Dense(1)(h))


@case("Causal attention over a bounded past", frame=2, attention_window=64)
def _(x):
    h = layers.Dense(8)(x)
    y = layers.MultiHeadAttention(2, 4)(h, h, use_causal_mask=True)
    return layers.Dense(3)(layers.LayerNormalization()(h + y))


@case("Look-ahead with a stated delay", frame=2, latency=True)
def _(x):
    h = layers.Conv1D(5, 3, padding="same", activation="relu")(x)
    h = layers.Conv1D(4, 5, padding="same")(h)
    return layers.GRU(4, return_sequences=True)(h + x)


# What cannot stream.


@case("Bidirectional", refused="from the end to the start")
def _(x):
    return layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)


@case("Backwards", refused="from the end to the start")
def _(x):
    return layers.GRU(3, return_sequences=True, go_backwards=True)(x)


@case("Attention to the future", refused="those after it too")
def _(x):
    return layers.MultiHeadAttention(2, 4)(x, x)


@case("Pooling over all time", refused="pools over all of them")
def _(x):
    return layers.Dense(2)(layers.GlobalAveragePooling1D()(conv(x, 4)))


@case("Masking", refused="skip steps")
def _(x):
    return layers.GRU(3, return_sequences=True)(layers.Masking()(x))
