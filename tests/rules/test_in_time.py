# SPDX-License-Identifier: MIT
"""What rules say of the steps that an output step is made of."""

import keras
import pytest
from keras import layers, ops

from tf_diet.errors import StreamingError
from tf_diet.graph.rule_table import rule_for
from tf_diet.graph.walk import walk


def form(head, shape=(None, 4)):
    x = keras.Input(shape)
    call = walk(keras.Model(x, head(x))).calls[-1]
    axes = [1 for _ in call.inputs]
    return rule_for(call.operation).in_time(call, axes)


@pytest.mark.parametrize(
    ("head", "span", "stride", "left"),
    [
        (layers.Conv1D(2, 3, padding="causal", dilation_rate=2), 5, 1, 4),
        (layers.Conv1D(2, 3, padding="same"), 3, 1, 1),
        (layers.Conv1D(2, 4, padding="same", strides=2), 4, 2, 1),
        (layers.Conv1D(2, 1, strides=3, padding="same"), 1, 3, 0),
        (layers.DepthwiseConv1D(3), 3, 1, 0),
        (layers.SeparableConv1D(2, 2), 2, 1, 0),
        (layers.MaxPooling1D(3), 3, 3, 0),
        (layers.AveragePooling1D(3, strides=1), 3, 1, 0),
        (layers.ZeroPadding1D((5, 2)), 1, 1, 5),
        (layers.Cropping1D((2, 1)), 1, 1, -2),
        (lambda x: ops.pad(x, ((0, 0), (3, 1), (0, 0))), 1, 1, 3),
        (lambda x: x[:, 2::3], 1, 3, -2),
        (lambda x: x[:, :-2], 1, 1, 0),
        (layers.Reshape((-1, 12)), 3, 3, 0),
        (layers.Dense(3), 1, 1, 0),
    ],
)
def test_windows(head, span, stride, left):
    found = form(head)
    assert (found.span, found.stride, found.left) == (span, stride, left)


@pytest.mark.parametrize(
    ("head", "factor", "skip"),
    [
        (layers.UpSampling1D(3), 3, 0),
        (lambda x: ops.repeat(x, 2, axis=1), 2, 0),
        (layers.Conv1DTranspose(2, 6, strides=2), 2, 0),
        (layers.Conv1DTranspose(2, 6, strides=2, padding="same"), 2, 2),
        (layers.Reshape((-1, 2)), 2, 0),
    ],
)
def test_several_steps_for_one(head, factor, skip):
    found = form(head)
    assert (found.factor, found.skip) == (factor, skip)


@pytest.mark.parametrize(
    ("head", "axis"),
    [
        (layers.Permute((2, 1)), 2),
        (lambda x: ops.expand_dims(x, 1), 2),
        (lambda x: ops.expand_dims(x, -1), 1),
        (lambda x: ops.transpose(x, (2, 0, 1)), 2),
        (lambda x: x[:, None, :, 0], 2),
        (lambda x: ops.sum(x, axis=-1), 1),
        (lambda x: ops.einsum("btc,cd->dbt", x, ops.ones((4, 3))), 2),
        (lambda x: ops.stack([x, x], axis=1), 2),
        (layers.Reshape((-1, 2, 2)), 1),
    ],
)
def test_time_goes_with_its_axis(head, axis):
    assert form(head).outputs == (axis,)


@pytest.mark.parametrize("sequences", [True, False])
def test_recurrent_layers(sequences):
    layer = layers.LSTM(3, return_sequences=sequences, return_state=True)
    found = form(lambda x: layer(x)[0])
    assert found.outputs == (1 if sequences else None, None, None)
    assert found.carries


@pytest.mark.parametrize(
    "head",
    [
        layers.Softmax(axis=1),
        layers.BatchNormalization(axis=1),
        lambda x: layers.Dense(3)(layers.Permute((2, 1))(x)),
        lambda x: ops.concatenate([x, x], axis=1),
        lambda x: ops.split(x, 2, axis=1)[0],
        lambda x: ops.sort(x, axis=1),
        lambda x: ops.roll(x, 1, axis=1),
        layers.Flatten(),
    ],
)
def test_what_works_along_time_is_refused(head):
    x = keras.Input((6, 4))
    call = walk(keras.Model(x, head(x))).calls[-1]
    last = isinstance(call.operation, layers.Dense)
    axes = [2 if last else 1 for _ in call.inputs]
    with pytest.raises(StreamingError, match="cannot run one frame at a time"):
        rule_for(call.operation).in_time(call, axes)
