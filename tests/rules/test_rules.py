"""Every shipped layer rule passes the check that users get."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.errors import InputError
from tf_diet.graph.rule import Rule, Signature, register_rule, registered
from tf_diet.testing import assert_law, check_rule

SEQUENCE = (12, 6)
IMAGE = (8, 8, 6)
VOLUME = (4, 4, 4, 3)

CASES = {
    "Activation": (lambda: layers.Activation("sigmoid"), SEQUENCE),
    "ActivityRegularization": (layers.ActivityRegularization, SEQUENCE),
    "Add": (layers.Add, SEQUENCE, SEQUENCE),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.2), SEQUENCE),
    "Average": (layers.Average, SEQUENCE, SEQUENCE),
    "AveragePooling1D": (lambda: layers.AveragePooling1D(2), SEQUENCE),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(2), IMAGE),
    "AveragePooling3D": (lambda: layers.AveragePooling3D(2), VOLUME),
    "BatchNormalization": (layers.BatchNormalization, SEQUENCE),
    "Concatenate": (layers.Concatenate, SEQUENCE, SEQUENCE),
    "Conv1D": (
        lambda: layers.Conv1D(7, 3, padding="causal", dilation_rate=2),
        SEQUENCE,
    ),
    "Conv2D": (lambda: layers.Conv2D(7, 3, strides=2), IMAGE),
    "Conv3D": (lambda: layers.Conv3D(5, 2), VOLUME),
    "Conv1DTranspose": (
        lambda: layers.Conv1DTranspose(7, 3, strides=2),
        SEQUENCE,
    ),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(7, 3), IMAGE),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(5, 2), VOLUME),
    "Cropping1D": (layers.Cropping1D, SEQUENCE),
    "Cropping2D": (layers.Cropping2D, IMAGE),
    "Cropping3D": (lambda: layers.Cropping3D(1), VOLUME),
    "Dense": (lambda: layers.Dense(9, activation="relu"), SEQUENCE),
    "DepthwiseConv1D": (
        lambda: layers.DepthwiseConv1D(3, depth_multiplier=2),
        SEQUENCE,
    ),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3), IMAGE),
    "Dropout": (lambda: layers.Dropout(0.3), SEQUENCE),
    "ELU": (layers.ELU, SEQUENCE),
    "Flatten": (layers.Flatten, SEQUENCE),
    "GRU": (lambda: layers.GRU(7, return_sequences=True), SEQUENCE),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.2), SEQUENCE),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.2), SEQUENCE),
    "GlobalAveragePooling1D": (layers.GlobalAveragePooling1D, SEQUENCE),
    "GlobalAveragePooling2D": (
        lambda: layers.GlobalAveragePooling2D(keepdims=True),
        IMAGE,
    ),
    "GlobalAveragePooling3D": (layers.GlobalAveragePooling3D, VOLUME),
    "GlobalMaxPooling1D": (layers.GlobalMaxPooling1D, SEQUENCE),
    "GlobalMaxPooling2D": (layers.GlobalMaxPooling2D, IMAGE),
    "GlobalMaxPooling3D": (layers.GlobalMaxPooling3D, VOLUME),
    "Identity": (layers.Identity, SEQUENCE),
    "LSTM": (lambda: layers.LSTM(7), SEQUENCE),
    "LeakyReLU": (layers.LeakyReLU, SEQUENCE),
    "MaxPooling1D": (layers.MaxPooling1D, SEQUENCE),
    "MaxPooling2D": (layers.MaxPooling2D, IMAGE),
    "MaxPooling3D": (layers.MaxPooling3D, VOLUME),
    "Maximum": (layers.Maximum, SEQUENCE, SEQUENCE),
    "Minimum": (layers.Minimum, SEQUENCE, SEQUENCE),
    "Multiply": (layers.Multiply, SEQUENCE, SEQUENCE),
    "Permute": (lambda: layers.Permute((2, 1)), SEQUENCE),
    "ReLU": (lambda: layers.ReLU(max_value=6.0), SEQUENCE),
    "RepeatVector": (lambda: layers.RepeatVector(3), (6,)),
    "Rescaling": (lambda: layers.Rescaling(0.5, 0.1), SEQUENCE),
    "Reshape": (lambda: layers.Reshape((3, 4, 6)), SEQUENCE),
    "SeparableConv1D": (
        lambda: layers.SeparableConv1D(7, 3, depth_multiplier=2),
        SEQUENCE,
    ),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(7, 3), IMAGE),
    "SimpleRNN": (lambda: layers.SimpleRNN(7), SEQUENCE),
    "Softmax": (layers.Softmax, SEQUENCE),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.2), SEQUENCE),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.2), IMAGE),
    "SpatialDropout3D": (lambda: layers.SpatialDropout3D(0.2), VOLUME),
    "Subtract": (layers.Subtract, SEQUENCE, SEQUENCE),
    "UpSampling1D": (layers.UpSampling1D, SEQUENCE),
    "UpSampling2D": (layers.UpSampling2D, IMAGE),
    "UpSampling3D": (layers.UpSampling3D, VOLUME),
    "ZeroPadding1D": (layers.ZeroPadding1D, SEQUENCE),
    "ZeroPadding2D": (layers.ZeroPadding2D, IMAGE),
    "ZeroPadding3D": (lambda: layers.ZeroPadding3D(1), VOLUME),
}


@pytest.mark.parametrize("name", CASES)
def test_layer(name):
    make, *shapes = CASES[name]
    check_rule(make(), *shapes)


def test_every_layer_rule_has_a_case():
    named = {kind.__name__ for kind in registered() if isinstance(kind, type)}
    shipped = {n for n in named if hasattr(layers, n)}
    assert shipped - set(CASES) == {"Embedding"}


OPERATIONS = {
    "binary": lambda h: ops.maximum(h, 0.1) + ops.power(ops.abs(h), 1.5),
    "concatenate": lambda h: ops.concatenate([h, ops.tanh(h)], axis=-1),
    "time concatenate": lambda h: ops.concatenate([h, h * 2], axis=1),
    "split in time": lambda h: ops.split(h, 3, axis=1)[1],
    "uneven split": lambda h: ops.split(h, [1, 4], axis=-1)[1],
    "slice": lambda h: h[:, 1:9, 2:5],
    "ellipsis": lambda h: h[..., -4:],
    "new axis": lambda h: h[:, None, :, :],
    "one step": lambda h: h[:, -1],
    "expand": lambda h: ops.expand_dims(h, 1),
    "squeeze": lambda h: ops.squeeze(ops.expand_dims(h, 1), 1),
    "transpose": lambda h: ops.transpose(h, (0, 2, 1)),
    "repeat": lambda h: ops.repeat(h, 2, axis=1),
    "repeat channels": lambda h: ops.repeat(h, 2, axis=-1),
    "pad": lambda h: ops.pad(h, ((0, 0), (2, 0), (0, 0))),
    "reduce": lambda h: ops.max(h, axis=1),
    "sum of units": lambda h: ops.sum(h, axis=-1, keepdims=True),
    "reshape": lambda h: ops.reshape(h, (-1, 24, 3)),
    "clip": lambda h: ops.clip(h, -0.5, 0.5),
    "where": lambda h: ops.where(h > 0, h, ops.exp(h)),
    "softmax": lambda h: ops.softmax(h, axis=1),
    "broadcast one": lambda h: h * layers.Dense(1)(h),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name):
    x = keras.Input((12, 4))
    h = OPERATIONS[name](layers.Dense(6)(x))
    model = keras.Model(x, layers.Dense(2)(h))
    for seed, rate in enumerate((0.3, 0.7)):
        assert_law(model, rate=rate, seed=seed)


def test_embedding():
    x = keras.Input((12,), dtype="int32")
    h = layers.Embedding(8, 6)(x)
    assert_law(keras.Model(x, layers.Dense(2)(h)))


@keras.saving.register_keras_serializable("tests")
class Gain(layers.Layer):
    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=(shape[-1],))

    def call(self, x):
        return x * self.gain


def test_users_rule_and_a_wrong_one():
    @register_rule(Gain)
    class Wrong(Rule):
        def signature(self, call, inputs, fresh):
            (x,) = inputs
            return Signature([x], {"gain": (np.roll(x.channels, 1),)})

    with pytest.raises(AssertionError, match="differ by"):
        check_rule(Gain(), SEQUENCE)

    @register_rule(Gain)
    class Right(Rule):
        def signature(self, call, inputs, fresh):
            (x,) = inputs
            return Signature([x], {"gain": (x.channels,)})

    check_rule(Gain(), SEQUENCE)


def test_rule_for_something_else_is_refused():
    with pytest.raises(InputError, match="layer class or a name"):
        register_rule("Dense")
