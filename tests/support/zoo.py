# SPDX-License-Identifier: MIT
"""Architectures of keras.applications, and two that Keras 3 left behind."""

import inspect
import zlib

import keras
import numpy as np
from keras import layers

from tf_diet.criteria.criterion import Criterion

CLASSES = 10
# The members of each family that the tests run; the table has all of them.
FAMILIES = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Large": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "RegNetY200": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "ResNetRS50": 32,
    "VGG16": 32,
    "Xception": 71,
}
DEEP = {
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "NASNetMobile",
}
RESNET_RS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    270: (4, 29, 53, 4),
    350: (4, 36, 72, 4),
    420: (4, 44, 87, 4),
}


def names() -> list[str]:
    """Every architecture, those of Keras first."""
    shipped = [n for n in dir(keras.applications) if n[0].isupper()]
    return [*shipped, *(f"ResNetRS{d}" for d in RESNET_RS), "RegNetY200"]


def make(name: str, size: int, classes: int = CLASSES) -> keras.Model:
    """Builds an architecture that ends in logits.

    Args:
        name: one of `names()`.
        size: height and width of the images.
        classes: how many logits.
    """
    if name.startswith("ResNetRS"):
        return resnet_rs(int(name.removeprefix("ResNetRS")), size, classes)
    if name == "RegNetY200":
        return regnet_y(size, classes)
    function = getattr(keras.applications, name)
    arguments = {
        "weights": None,
        "input_shape": (size, size, 3),
        "classes": classes,
    }
    if "classifier_activation" in inspect.signature(function).parameters:
        arguments["classifier_activation"] = None
    return function(**arguments)


class Uneven(Criterion):
    """Random scores, larger in some groups than in others.

    Equal shares of every group would hide missing ties: widths would agree
    by luck.
    """

    needs = frozenset()

    def score(self, group, seen):
        """Scores the units of a group."""
        name = zlib.crc32(group.name.encode())
        rng = np.random.default_rng([seen.seed, name])
        return rng.uniform(0.5, 1.5) * rng.random(group.n_units)


def _normalised(x, activation="relu"):
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def _excite(x, squeezed):
    width = x.shape[-1]
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = layers.Conv2D(squeezed, 1, activation="relu")(s)
    s = layers.Conv2D(width, 1, activation="sigmoid")(s)
    return layers.Multiply()([x, s])


def _rs_block(x, width, strides, drop):
    skip = x
    if strides > 1 or x.shape[-1] != 4 * width:
        if strides > 1:
            skip = layers.AveragePooling2D(2, strides, padding="same")(skip)
        skip = layers.Conv2D(4 * width, 1, use_bias=False)(skip)
        skip = _normalised(skip, None)
    x = _normalised(layers.Conv2D(width, 1, use_bias=False)(x))
    x = layers.Conv2D(
        width, 3, strides=strides, padding="same", use_bias=False
    )(x)
    x = _normalised(layers.Conv2D(4 * width, 1, use_bias=False)(_normalised(x)))
    x = _excite(_normalised(x, None), width)
    if drop:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1))(x)
    return layers.Activation("relu")(layers.Add()([x, skip]))


def resnet_rs(depth: int, size: int, classes: int = CLASSES) -> keras.Model:
    """ResNet-RS: ResNet-D with squeeze-and-excite and stochastic depth.

    Source: Bello et al., "Revisiting ResNets", 2021, table 11.
    """
    image = keras.Input((size, size, 3))
    x = image
    for width, strides in ((32, 2), (32, 1), (64, 1), (64, 2)):
        x = layers.Conv2D(
            width, 3, strides=strides, padding="same", use_bias=False
        )(x)
        x = _normalised(x)
    total = sum(RESNET_RS[depth])
    done = 0
    for stage, blocks in enumerate(RESNET_RS[depth]):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            x = _rs_block(x, 64 * 2**stage, strides, 0.2 * done / total)
            done += 1
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(
        image, layers.Dense(classes)(x), name=f"resnet_rs_{depth}"
    )


def regnet_y(size: int, classes: int = CLASSES) -> keras.Model:
    """RegNetY of 200 MFLOPs: grouped bottlenecks with squeeze-and-excite.

    Source: Radosavovic et al., "Designing Network Design Spaces", 2020.
    """
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(image)
    x = _normalised(x)
    for width, blocks in ((24, 1), (56, 1), (152, 4), (368, 7)):
        for block in range(blocks):
            strides = 1 if block else 2
            skip, squeezed = x, x.shape[-1] // 4
            if strides > 1 or x.shape[-1] != width:
                skip = layers.Conv2D(width, 1, strides=strides, use_bias=False)(
                    x
                )
                skip = _normalised(skip, None)
            x = _normalised(layers.Conv2D(width, 1, use_bias=False)(x))
            x = layers.Conv2D(
                width,
                3,
                strides=strides,
                padding="same",
                groups=width // 8,
                use_bias=False,
            )(x)
            x = _excite(_normalised(x), squeezed)
            x = _normalised(layers.Conv2D(width, 1, use_bias=False)(x), None)
            x = layers.Activation("relu")(layers.Add()([x, skip]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(classes)(x), name="regnet_y_200")
