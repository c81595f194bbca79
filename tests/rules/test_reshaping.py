# SPDX-License-Identifier: MIT
"""Reshaping, moving, repeating and padding axes, with what is left to prune.

The tensor has shape (batch, 8, 6), its last axis six units.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.rules.reshaping import segments
from tf_diet.testing import assert_law

RAMP = np.arange(1, 7, dtype="float32")


def heads(h):
    return ops.transpose(ops.reshape(h, (-1, 8, 3, 2)), (0, 2, 1, 3))


def attention(h):
    query, key, value = heads(h), heads(layers.Dense(6)(h)), heads(ops.tanh(h))
    score = ops.softmax(
        ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / np.sqrt(2.0)
    )
    mixed = ops.transpose(ops.matmul(score, value), (0, 2, 1, 3))
    return ops.reshape(mixed, (-1, 8, 6))


RESHAPES = {
    "cut into blocks": (lambda h: ops.reshape(h, (-1, 16, 3)), 2),
    "whole heads": (heads, 3),
    "heads and back": (
        lambda h: layers.Reshape((8, 6))(ops.swapaxes(heads(h), 1, 2)),
        3,
    ),
    "across heads": (lambda h: layers.Reshape((8, 6))(heads(h)), 1),
    "attention by hand": (attention, 3),
    "flatten": (lambda h: layers.Flatten()(h), 6),
    "flatten and back": (
        lambda h: layers.Reshape((8, 6))(layers.Flatten()(h)),
        6,
    ),
    "positions cut": (lambda h: ops.reshape(h, (-1, 2, 4, 6)), 6),
    "positions and channels": (lambda h: ops.reshape(h, (-1, 4, 12)), 6),
    "batch and positions": (lambda h: ops.reshape(h, (-1, 6)), 6),
    "batch and channels": (
        lambda h: ops.reshape(ops.ravel(h), (-1, 8, 6)),
        0,
    ),
    "channels on their own": (lambda h: ops.reshape(h, (-1, 8, 6, 1)), 6),
    "open size": (lambda h: layers.Reshape((-1, 3, 2))(h), 3),
    "two axes on one": (lambda h: layers.Flatten()(outer(h)), 10),
}


def outer(h):
    """Two axes with units: (batch, 6, 10)."""
    return layers.Dense(10)(ops.transpose(h, (0, 2, 1)))


@pytest.mark.parametrize("part", range(4))
def test_reshape(part, units_through):
    cases = dict(list(RESHAPES.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


MOVES = {
    "Permute": (lambda h: layers.Permute((2, 1))(h), 6),
    "transpose": (lambda h: ops.transpose(ops.transpose(h)), 6),
    "moveaxis": (lambda h: ops.moveaxis(h[:, None], (1, 3), (2, 1)), 6),
    "swapaxes": (lambda h: ops.swapaxes(h, 1, -1), 6),
    "rot90": (lambda h: ops.rot90(h, k=1, axes=(1, 2)), 6),
    "rot90 back": (lambda h: ops.rot90(h, k=-1, axes=(1, 2)), 6),
    "expand_dims": (lambda h: ops.expand_dims(h, (1, -1)), 6),
    "squeeze": (lambda h: ops.squeeze(h[:, None]), 6),
    "squeeze a unit": (lambda h: ops.squeeze(h[:, :, 2:3], -1), 5),
    "one_hot": (lambda h: ops.one_hot(ops.cast(h > 0, "int32"), 3), 6),
    "flip": (lambda h: ops.flip(h, -1) * RAMP, 6),
    "flip both": (lambda h: ops.flip(h, (1, 2)), 6),
    "roll": (lambda h: ops.roll(h, 2, axis=-1) * RAMP, 6),
    "roll back": (lambda h: ops.roll(h, (3, -1), axis=(1, 2)), 6),
    "roll onto itself": (lambda h: ops.roll(h, 2, axis=-1) + h, 2),
    "roll all": (lambda h: ops.roll(h, 2), 0),
    "unstack": (lambda h: ops.unstack(h, axis=1)[3], 6),
    "unstack units": (lambda h: ops.unstack(h, axis=-1)[3], 0),
    "stack": (lambda h: ops.stack([h, ops.tanh(h)], axis=1), 6),
    "interleave": (
        lambda h: ops.reshape(ops.stack([h, h * 2], axis=-1), (-1, 8, 12)),
        6,
    ),
    "diagonal": (
        lambda h: ops.diagonal(ops.stack([h, h], axis=1), axis1=1, axis2=2),
        6,
    ),
    "trace": (
        lambda h: ops.trace(ops.stack([h, h], axis=1), axis1=1, axis2=2),
        6,
    ),
}


@pytest.mark.parametrize("part", range(4))
def test_whole_axes(part, units_through):
    cases = dict(list(MOVES.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


def one(h):
    return ops.sum(h, axis=-1, keepdims=True)


REPEATS = {
    "RepeatVector": (lambda h: layers.RepeatVector(3)(h[:, 0]), 6),
    "repeat": (lambda h: ops.repeat(h, 2, axis=-1), 6),
    "repeat unevenly": (
        lambda h: ops.repeat(h, np.array([1, 2, 1, 3, 1, 1]), axis=-1),
        6,
    ),
    "repeat one": (lambda h: h * ops.repeat(one(h), 6, axis=-1), 6),
    "tile": (lambda h: ops.tile(h, (1, 2, 3)), 6),
    "tile one": (lambda h: h * ops.tile(one(h), (1, 1, 6)), 6),
    "broadcast_to": (lambda h: ops.broadcast_to(h[:, :1], (2, 8, 6)), 6),
    "spread one": (lambda h: h + ops.broadcast_to(one(h), (2, 8, 6)), 6),
    "spread a unit": (lambda h: ops.broadcast_to(h[..., :1], (2, 8, 6)), 5),
    "pad": (lambda h: ops.pad(h, ((0, 0), (2, 0), (0, 0))), 6),
    "pad units": (
        lambda h: ops.pad(h, ((0, 0), (2, 0), (1, 2)), constant_values=1.5),
        6,
    ),
    "mirror units": (
        lambda h: ops.pad(h, ((0, 0), (0, 0), (1, 2)), mode="reflect"),
        0,
    ),
    "mirror time": (
        lambda h: ops.pad(h, ((0, 0), (2, 0), (0, 0)), mode="reflect"),
        6,
    ),
}


@pytest.mark.parametrize("part", range(4))
def test_repeat(part, units_through):
    cases = dict(list(REPEATS.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


def test_unknown_time():
    x = keras.Input((None, 4))
    h = layers.Dense(6)(x)
    h = layers.Reshape((-1, 3, 2))(h)
    h = layers.Permute((2, 1, 3))(h)
    h = ops.max(h, axis=2)
    graph = assert_law(keras.Model(x, layers.Dense(2)(layers.Flatten()(h))))
    assert [group.n_units for group in graph.groups] == [3]


def test_flatten_puts_first_channels_last():
    x = keras.Input((8, 4))
    h = ops.transpose(layers.Dense(6)(x), (0, 2, 1))
    h = layers.Flatten(data_format="channels_first")(h)
    graph = assert_law(keras.Model(x, layers.Dense(2)(h)))
    assert [group.n_units for group in graph.groups] == [6]


def test_shapes_are_cut_into_the_shortest_runs():
    cut = segments((None, 3, 4, 10), (None, 12, 2, 5))
    assert cut == [
        (range(1), range(1)),
        (range(1, 3), range(1, 2)),
        (range(3, 4), range(2, 4)),
    ]
    assert segments((None, 6), (None, 1, 6))[-1] == (range(1, 2), range(2, 3))
    assert len(segments((None, 8, 6), (None, 9, 6))) == 2
