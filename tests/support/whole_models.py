# SPDX-License-Identifier: MIT
"""Models of fixed shapes that people run on microcontrollers and phones.

MLPerf Tiny's four, and others of every kind: see the source of each. Small
inputs where the original is large; untrained.
"""

from collections.abc import Callable

import keras
from keras import layers, ops

Build = Callable[[], keras.Model]
WHOLE: dict[str, Build] = {}


def whole_model(name: str) -> Callable[[Build], Build]:
    """Registers the builder of a model."""

    def add(build: Build) -> Build:
        WHOLE[name] = build
        return build

    return add


def normalised(x, activation="relu"):
    """Returns batch-normalised channels after an activation, if any."""
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def separable(x, width, strides=1, activation="relu"):
    """Returns a depthwise and a pointwise convolution of images."""
    x = layers.DepthwiseConv2D(
        3, strides=strides, padding="same", use_bias=False
    )(x)
    x = normalised(x, activation)
    x = layers.Conv2D(width, 1, use_bias=False)(x)
    return normalised(x, activation)


@whole_model("DS-CNN, keyword spotting")
def _():
    """MLPerf Tiny: 49 frames of 10 MFCCs, 12 words."""
    x = keras.Input((49, 10, 1), name="x")
    h = layers.Conv2D(64, (10, 4), strides=2, padding="same", use_bias=False)
    h = normalised(h(x))
    for _ in range(4):
        h = separable(h, 64)
    h = layers.GlobalAveragePooling2D()(layers.Dropout(0.4)(h))
    return keras.Model(x, layers.Dense(12, "softmax")(h))


@whole_model("MobileNetV1 0.25, visual wake words")
def _():
    """MLPerf Tiny, at 48 pixels in place of 96."""
    x = keras.Input((48, 48, 3), name="x")
    h = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    h = normalised(h)
    widths = (16, 32, 32, 64, 64, *[128] * 6, 256, 256)
    for width, before in zip(widths, (16, *widths), strict=False):
        h = separable(h, width, 2 if width > before else 1)
    h = layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, layers.Dense(2, "softmax")(h))


@whole_model("ResNet8, image classification")
def _():
    """MLPerf Tiny: CIFAR-10."""
    x = keras.Input((32, 32, 3), name="x")
    h = normalised(layers.Conv2D(16, 3, padding="same")(x))
    for width, strides in ((16, 1), (32, 2), (64, 2)):
        y = layers.Conv2D(width, 3, strides=strides, padding="same")(h)
        y = layers.Conv2D(width, 3, padding="same")(normalised(y))
        if strides > 1:
            h = layers.Conv2D(width, 1, strides=strides)(h)
        h = layers.ReLU()(layers.Add()([h, normalised(y, None)]))
    h = layers.Flatten()(layers.AveragePooling2D(8)(h))
    return keras.Model(x, layers.Dense(10, "softmax")(h))


@whole_model("Autoencoder, anomaly detection")
def _():
    """MLPerf Tiny: 5 frames of 128 mel bands of a machine's noise."""
    x = h = keras.Input((640,), name="x")
    for width in (*[128] * 4, 8, *[128] * 4):
        h = normalised(layers.Dense(width)(h))
    return keras.Model(x, layers.Dense(640)(h))


@whole_model("micro_speech, tiny convolution")
def _():
    """The example of TFLite Micro: yes, no, silence, unknown."""
    x = keras.Input((49, 40, 1), name="x")
    h = layers.Conv2D(8, (10, 8), 2, padding="same", activation="relu")(x)
    h = layers.Flatten()(layers.Dropout(0.5)(h))
    return keras.Model(x, layers.Dense(4, "softmax")(h))


@whole_model("TC-ResNet8, keyword spotting")
def _():
    """Choi et al., Interspeech 2019: convolutions over time alone."""
    x = keras.Input((98, 40), name="x")
    h = layers.Conv1D(16, 3, padding="same", use_bias=False)(x)
    for width in (24, 32, 48):
        options = {"padding": "same", "use_bias": False}
        y = layers.Conv1D(width, 9, strides=2, **options)(h)
        y = layers.Conv1D(width, 9, **options)(normalised(y))
        skip = layers.Conv1D(width, 1, strides=2, **options)(h)
        skip = normalised(skip)
        h = layers.ReLU()(layers.Add()([normalised(y, None), skip]))
    h = layers.GlobalAveragePooling1D()(h)
    return keras.Model(x, layers.Dense(12, "softmax")(h))


@whole_model("CRNN, keyword spotting")
def _():
    """Zhang et al., "Hello Edge", 2017: a convolution, a GRU, two layers."""
    x = keras.Input((49, 10, 1), name="x")
    h = layers.Conv2D(32, (10, 4), (2, 2), padding="same", use_bias=False)(x)
    h = layers.Reshape((25, 160))(normalised(h))
    h = layers.GRU(48)(h)
    h = layers.Dense(48, "relu")(h)
    return keras.Model(x, layers.Dense(12, "softmax")(h))


@whole_model("LSTM, human activity")
def _():
    """UCI HAR: 128 steps of 9 channels of inertial sensors."""
    x = keras.Input((128, 9), name="x")
    h = layers.LSTM(32)(x)
    return keras.Model(x, layers.Dense(6, "softmax")(h))


@whole_model("1-D CNN, accelerometer")
def _():
    x = h = keras.Input((128, 3), name="x")
    for width in (32, 48, 64):
        h = layers.Conv1D(width, 5, padding="same", activation="relu")(h)
        h = layers.MaxPooling1D(2)(h)
    h = layers.Dense(32, "relu")(layers.Flatten()(h))
    return keras.Model(x, layers.Dense(6, "softmax")(h))


@whole_model("1-D U-Net, denoising")
def _():
    x = h = keras.Input((256, 1), name="x")
    skips = []
    for width in (16, 32, 48):
        h = normalised(layers.Conv1D(width, 9, padding="same")(h))
        skips.append(h)
        h = layers.MaxPooling1D(2)(h)
    h = normalised(layers.Conv1D(64, 9, padding="same")(h))
    for skip in reversed(skips):
        h = layers.Conv1DTranspose(skip.shape[-1], 4, 2, padding="same")(h)
        h = layers.Concatenate()([h, skip])
        h = layers.Conv1D(skip.shape[-1], 9, padding="same")(h)
        h = layers.LeakyReLU(0.2)(h)
    return keras.Model(x, layers.Conv1D(1, 1, activation="tanh")(h))


@whole_model("MobileNetV2 0.35")
def _():
    """The original of keras.applications, at 48 pixels."""
    return keras.applications.MobileNetV2(
        (48, 48, 3), alpha=0.35, weights=None, classes=10
    )


@whole_model("ConvNeXt block, LayerNormalization, GELU")
def _():
    """Liu et al., "A ConvNet for the 2020s", CVPR 2022."""
    x = keras.Input((24, 24, 3), name="x")
    h = layers.Conv2D(32, 4, strides=4)(x)
    h = layers.LayerNormalization(epsilon=1e-6)(h)
    for _ in range(2):
        y = layers.DepthwiseConv2D(7, padding="same")(h)
        y = layers.LayerNormalization(epsilon=1e-6)(y)
        y = layers.Dense(128, "gelu")(y)
        h = layers.Add()([h, layers.Dense(32)(y)])
    h = layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, layers.Dense(10)(layers.LayerNormalization()(h)))


@whole_model("Squeeze-and-excite, hard swish")
def _():
    """Blocks of MobileNetV3; Howard et al., ICCV 2019."""
    x = keras.Input((32, 32, 3), name="x")
    h = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    h = normalised(h, "hard_swish")
    for width, wide in ((24, 48), (24, 72)):
        y = layers.Conv2D(wide, 1, use_bias=False)(h)
        y = layers.DepthwiseConv2D(3, padding="same")(
            normalised(y, "hard_swish")
        )
        s = layers.GlobalAveragePooling2D(keepdims=True)(y)
        s = layers.Conv2D(wide // 4, 1, activation="relu")(s)
        s = layers.Conv2D(wide, 1, activation="hard_sigmoid")(s)
        y = layers.Conv2D(width, 1)(layers.Multiply()([y, s]))
        h = y if width != h.shape[-1] else layers.Add()([h, y])
    h = layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, layers.Dense(10, "softmax")(h))


@whole_model("Attention block of MobileViT")
def _():
    """Mehta and Rastegari, ICLR 2022: convolutions around a transformer."""
    x = keras.Input((16, 16, 3), name="x")
    h = layers.Conv2D(24, 3, strides=2, padding="same")(x)
    h = layers.Activation("swish")(h)
    y = layers.Reshape((64, 48))(layers.Conv2D(48, 1)(h))
    for _ in range(2):
        z = layers.LayerNormalization()(y)
        y = layers.Add()([y, layers.MultiHeadAttention(4, 12)(z, z)])
        z = layers.Dense(96, "swish")(layers.LayerNormalization()(y))
        y = layers.Add()([y, layers.Dense(48)(z)])
    y = layers.Conv2D(24, 1)(layers.Reshape((8, 8, 48))(y))
    h = layers.Conv2D(32, 3, padding="same")(layers.Concatenate()([h, y]))
    h = layers.GlobalAveragePooling2D()(layers.Activation("swish")(h))
    return keras.Model(x, layers.Dense(10)(h))


@whole_model("Log-mel front end and CNN")
def _():
    """Sound in, words out: the spectrogram is a part of the model."""
    x = keras.Input((4000,), name="x")
    h = layers.MelSpectrogram(
        fft_length=256,
        sequence_stride=128,
        sampling_rate=8000,
        num_mel_bins=32,
        min_freq=60,
    )(x)
    h = layers.Reshape((*h.shape[1:], 1))(h)
    for width in (8, 16, 24):
        h = layers.Conv2D(width, 3, strides=2, padding="same")(h)
        h = normalised(h)
    h = layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, layers.Dense(8)(h))


@whole_model("BC-ResNet block")
def _():
    """Kim et al., Interspeech 2021: what is of time alone is broadcast."""
    x = keras.Input((40, 48, 1), name="x")
    h = layers.Conv2D(16, 5, strides=(2, 1), padding="same")(x)
    for _ in range(2):
        y = layers.DepthwiseConv2D((3, 1), padding="same")(h)
        y = layers.BatchNormalization()(y)
        z = ops.mean(y, axis=1, keepdims=True)
        z = layers.DepthwiseConv2D((1, 3), padding="same")(z)
        z = layers.Conv2D(16, 1)(normalised(z, "swish"))
        h = layers.ReLU()(h + y + z)
    h = layers.DepthwiseConv2D(5, strides=2)(h)
    h = layers.GlobalAveragePooling2D()(layers.Conv2D(32, 1)(h))
    return keras.Model(x, layers.Dense(12)(h))
