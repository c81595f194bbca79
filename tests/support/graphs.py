# SPDX-License-Identifier: MIT
"""Models that several tests share."""

import keras
from keras import layers, ops

from tf_diet.models.ddsp_network import DDSPConfig, ddsp, decoder
from tf_diet.models.wavenet_network import WaveNetConfig, wavenet


def between(function, shape=(3, 4), width=6):
    """A model that runs a function between Dense layers."""
    x = keras.Input(shape)
    made = function(layers.Dense(width, name="before")(x))
    outputs = [layers.Dense(2)(y) for y in keras.tree.flatten(made)]
    return keras.Model(x, outputs)


def units(graph):
    """The units of each group but that of the layer in front."""
    found = {group.name: group.n_units for group in graph.groups}
    assert found.pop("before") == 6
    assert not graph.barriers
    return found


def ddsp_decoder() -> keras.Model:
    config = DDSPConfig.preset("tiny", instruments=2)
    return decoder(ddsp(config))


def ddsp_synthesiser() -> keras.Model:
    return ddsp(DDSPConfig.preset("tiny", instruments=2))


def tiny_wavenet(conditioning: int = 2, instruments: int = 3) -> keras.Model:
    config = WaveNetConfig(
        cycles=1,
        layers=3,
        channels=8,
        skip_channels=12,
        conditioning=conditioning,
        hop=1,
        instruments=instruments,
    )
    return wavenet(config)


def gated_slices() -> keras.Model:
    """A WaveNet block that cuts its gates by slices instead of split."""
    audio = keras.Input((24, 1), name="audio")
    mel = keras.Input((24, 5), name="mel")
    x = layers.Conv1D(6, 2, padding="causal", name="front")(audio)
    skips = []
    for number in range(3):
        gates = layers.Conv1D(16, 2, padding="causal", dilation_rate=2**number)(
            x
        )
        gates = gates + layers.Conv1D(16, 1)(mel)
        z = ops.tanh(gates[..., :8]) * ops.sigmoid(gates[..., 8:])
        x = layers.Add()([x, layers.Conv1D(6, 1)(z)])
        skips.append(layers.Conv1D(7, 1)(z))
    y = layers.Activation("relu")(layers.Add()(skips))
    return keras.Model(
        {"audio": audio, "mel": mel}, layers.Conv1D(4, 1, name="logits")(y)
    )


def small_convnet() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, layers.Conv2D(8, 1)(x)])
    x = layers.SeparableConv2D(6, 3)(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
    x = layers.Concatenate()([x, layers.MaxPooling2D(1)(x)])
    x = layers.Flatten()(x)
    x = layers.Dropout(0.1)(layers.Dense(10, activation="tanh")(x))
    return keras.Model(image, layers.Dense(4)(x))


def recurrent_mix() -> keras.Model:
    x = keras.Input((9, 4))
    h, state = layers.GRU(7, return_sequences=True, return_state=True)(x)
    h = layers.LSTM(7, return_sequences=True)(layers.Concatenate()([h, x]))
    h = layers.GRU(7, reset_after=False)(h, initial_state=state)
    return keras.Model(x, layers.Dense(3)(h))


def nested_and_shared() -> keras.Model:
    inner_in = keras.Input((6,))
    inner_out = layers.Dense(8)(layers.Dense(9, activation="relu")(inner_in))
    inner = keras.Model(inner_in, inner_out, name="inner")
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    tail = keras.Sequential([layers.Dense(5), layers.ReLU()], name="tail")
    merged = layers.Multiply()([inner(a), inner(b)])
    return keras.Model([a, b], layers.Dense(2)(tail(merged)))


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(8, activation="relu"),
            layers.Dense(7),
            layers.Dense(2),
        ]
    )


def squeeze_and_excite() -> keras.Model:
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3)(image)
    s = layers.GlobalAveragePooling2D()(x)
    s = layers.Dense(4, activation="relu")(s)
    s = layers.Dense(8, activation="sigmoid")(s)
    x = layers.Multiply()([x, layers.Reshape((1, 1, 8))(s)])
    x = ops.mean(x, axis=(1, 2))
    return keras.Model(image, layers.Dense(3)(x))


SMALL = {
    f.__name__: f
    for f in (
        ddsp_decoder,
        tiny_wavenet,
        gated_slices,
        small_convnet,
        recurrent_mix,
        nested_and_shared,
        sequential,
        squeeze_and_excite,
    )
}


def mobilenet_v2(size: int = 64, classes: int = 10) -> keras.Model:
    return keras.applications.MobileNetV2(
        weights=None,
        input_shape=(size, size, 3),
        classes=classes,
        classifier_activation=None,
    )


def mobilenet() -> keras.Model:
    return mobilenet_v2(32, 4)


def resnet50() -> keras.Model:
    return keras.applications.ResNet50(
        weights=None,
        input_shape=(64, 64, 3),
        classes=10,
        classifier_activation=None,
    )


CLAIMED = {
    f.__name__: f for f in (ddsp_decoder, tiny_wavenet, mobilenet_v2, resnet50)
}
