# SPDX-License-Identifier: MIT
"""Models that the jaxpr oracle is asked about, with inputs."""

import graphs
import keras
import numpy as np
from keras import layers, ops
from strategies import seeded

from tf_diet.graph import rule_table
from tf_diet.testing import random_inputs

# A jaxpr shows these through constants, scans, sums or rearranged kernels.
UNSEEN = {
    "attention",
    "bidirectional",
    "cells",
    "constant",
    "conv_lstm",
    "functional_convolution",
    "group_query",
    "multi_head",
    "normalisation",
    "plain",
    "recurrent",
    "reduce",
    "repeat",
    "separable",
    "shuffle",
    "spectral",
    "stack",
    "time_distributed",
    "unstack",
    "vector_to_sequence",
    "with_states",
}


def dense_block():
    x = keras.Input((8, 8, 3))
    h = layers.Conv2D(5, 3)(x)
    for _ in range(3):
        g = layers.ReLU()(layers.BatchNormalization()(h))
        h = layers.Concatenate()([h, layers.Conv2D(4, 3, padding="same")(g)])
    h = layers.AveragePooling2D(2)(h)
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(h)))


def u_net():
    x = keras.Input((8, 8, 2))
    a = layers.Conv2D(4, 3, padding="same")(x)
    b = layers.Conv2D(6, 3, padding="same")(layers.MaxPooling2D(2)(a))
    c = layers.Conv2DTranspose(5, 2, strides=2)(b)
    return keras.Model(x, layers.Conv2D(2, 1)(layers.Concatenate()([a, c])))


def embedded():
    tokens = keras.Input((5,), dtype="int32")
    h = layers.Embedding(8, 6)(tokens)
    h = layers.LayerNormalization()(layers.Conv1D(7, 2)(h))
    a, b = ops.split(layers.Dense(8)(h), 2, axis=-1)
    return keras.Model(tokens, layers.Dense(2)(a * ops.sigmoid(b)))


def normalised():
    """The statistics of LayerNormalization pin what they are taken over."""
    x = keras.Input((5, 4))
    h = layers.LayerNormalization()(layers.Dense(6)(x))
    g = layers.PReLU()(layers.Dense(7)(h))
    return keras.Model(x, layers.Dense(2)(g))


def rolled_beta():
    """A planted bug: the rule gives beta the labels of other channels."""
    true = type(rule_table._RULES[layers.BatchNormalization])

    class Mutant(true):
        def signature(self, call, inputs, fresh):
            signature = super().signature(call, inputs, fresh)
            (beta,) = signature.weights["beta"]
            if beta is not None:
                signature.weights["beta"] = (np.roll(beta, 1),)
            return signature

    rule_table._RULES[layers.BatchNormalization] = Mutant()
    return dense_block()


def given(make):
    def made():
        model = make()
        return model, random_inputs(model)

    return made


def of_seed(seed):
    return lambda: given(seeded(seed).model)()


def visible(count):
    """Returns the first random graphs without what a jaxpr does not show."""
    found, seed = [], 0
    while len(found) < count:
        if UNSEEN.isdisjoint(seeded(seed).kinds()):
            found.append(seed)
        seed += 1
    return found


MODELS = {
    name: given(make)
    for name, make in {
        **{
            name: graphs.SMALL[name]
            for name in (
                "gated_slices",
                "nested_and_shared",
                "sequential",
                "small_convnet",
                "squeeze_and_excite",
                "tiny_wavenet",
            )
        },
        "dense_block": dense_block,
        "embedded": embedded,
        "mobilenet": graphs.mobilenet,
        "normalised": normalised,
        "u_net": u_net,
    }.items()
}
MODELS |= {f"random {seed}": of_seed(seed) for seed in visible(80)}
# Changes a rule for good, so it comes last.
MODELS["rolled_beta"] = given(rolled_beta)
