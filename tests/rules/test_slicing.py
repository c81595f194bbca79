# SPDX-License-Identifier: MIT
"""Cutting, indexing and joining, with what is left to prune.

The tensor has shape (batch, 8, 6), its last axis six units.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.pruning.trim import trim
from tf_diet.rules.slicing import relocated
from tf_diet.testing import assert_law


def gated(h):
    value, gate = ops.split(h, 2, axis=-1)
    return value * ops.sigmoid(gate)


def rotated(h):
    """Rotary embedding: neighbours are turned in a plane."""
    angle = np.linspace(0, 1, 24).reshape(8, 3).astype("float32")
    even, odd = h[..., ::2], h[..., 1::2]
    turned = [
        even * np.cos(angle) - odd * np.sin(angle),
        even * np.sin(angle) + odd * np.cos(angle),
    ]
    return ops.reshape(ops.stack(turned, axis=-1), (-1, 8, 6))


CUTS = {
    "split": (lambda h: ops.split(h, 3, axis=-1)[1], 6),
    "split at": (lambda h: ops.split(h, [1, 4], axis=-1)[1], 6),
    "split at an array": (lambda h: ops.split(h, np.array([1, 4]), 2)[1], 6),
    "split time at an array": (
        lambda h: ops.split(h, np.array([1, 4]), axis=1)[1],
        6,
    ),
    "gate": (gated, 3),
    "glu": (lambda h: ops.glu(h), 3),
    "array_split": (lambda h: ops.array_split(h, 4, axis=-1)[1], 6),
    "hsplit": (lambda h: ops.hsplit(h, 2)[1], 6),
    "dsplit": (lambda h: ops.dsplit(h, 3)[1], 6),
    "slices": (lambda h: h[:, 1:7, 2:5], 6),
    "last": (lambda h: h[..., -4:], 6),
    "new axes": (lambda h: h[:, None, ..., None, :], 6),
    "number": (lambda h: h[:, :, 2], 5),
    "number from the end": (lambda h: h[..., -2], 5),
    "time step": (lambda h: h[:, -1], 6),
    "every other": (lambda h: h[..., ::2], 6),
    "backwards": (lambda h: h[:, ::2, 4:0:-2], 6),
    "rotary": (rotated, 3),
    "slice": (lambda h: ops.slice(h, (0, 1, 2), (2, 5, 3)), 6),
    "take": (lambda h: ops.take(h, np.array([5, 0, 2, 2]), axis=-1), 6),
    "take from the end": (lambda h: ops.take(h, np.array([-1, 0]), 2), 6),
    "take one": (lambda h: ops.take(h, 3, axis=-1), 5),
    "take in a grid": (lambda h: ops.take(h, np.array([[0, 1], [2, 1]]), 2), 3),
    "take time": (lambda h: ops.take(h, np.array([5, 0, 2, 2]), axis=1), 6),
    "take what a tensor says": (
        lambda h: ops.take(h, ops.argmax(h, axis=1)[0], axis=1),
        0,
    ),
    "take_along_axis": (
        lambda h: ops.take_along_axis(h, ops.argsort(h, axis=1), axis=1),
        6,
    ),
    "take_along_axis of units": (
        lambda h: ops.take_along_axis(h, ops.argsort(h, axis=-1), axis=-1),
        0,
    ),
}


@pytest.mark.parametrize("part", range(4))
def test_cut(part, units_through):
    cases = dict(list(CUTS.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


def outside(h):
    """Six channels that no unit makes: a slice of the input, repeated."""
    x = h._keras_history.operation._inbound_nodes[0].input_tensors[0]
    return ops.concatenate([x[..., :3], x[..., 1:]], axis=-1)


ONES = np.ones((2, 8, 6), "float32")
JOINS = {
    "concatenate": (lambda h: ops.concatenate([h, ops.tanh(h)], axis=-1), 6),
    "with itself": (lambda h: layers.Concatenate()([h, h]), 6),
    "in time": (
        lambda h: ops.concatenate([h, layers.Dense(6)(h)], axis=1),
        6,
    ),
    "in the batch": (lambda h: layers.Concatenate(axis=0)([h, h * 2]), 6),
    "with data": (lambda h: layers.Concatenate()([outside(h), h]), 6),
    "with data in time": (
        lambda h: layers.Concatenate(axis=1)([outside(h), h]),
        0,
    ),
    "with a constant": (
        lambda h: ops.concatenate([h, ONES[..., :3]], axis=-1),
        6,
    ),
    "with a constant in time": (
        lambda h: ops.concatenate([h, ONES], axis=1),
        0,
    ),
    "append": (lambda h: ops.append(h, h, axis=-1), 6),
    "append all": (lambda h: ops.reshape(ops.append(h, h), (-1, 8, 6)), 0),
    "hstack": (lambda h: ops.hstack([h, h]), 6),
    "vstack": (lambda h: ops.vstack([h, h]), 6),
    "stack with data": (lambda h: ops.stack([h, outside(h)], axis=1), 0),
}


@pytest.mark.parametrize("part", range(4))
def test_join(part, units_through):
    cases = dict(list(JOINS.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


def test_strides_stay_slices_where_they_can():
    alive = np.ones(9, bool)
    assert relocated(slice(None, None, 2), alive) == slice(0, 9, 2)
    assert relocated(slice(None, None, -1), alive) == slice(8, None, -1)
    alive[:2] = False
    assert relocated(slice(None, None, 2), alive) == slice(0, 7, 2)
    alive[5] = False
    assert relocated(slice(None, None, 2), alive).tolist() == [0, 2, 3, 5]
    assert relocated(slice(0, 2), alive) == slice(0, 0)
    assert relocated(-1, alive) == 5


def test_what_is_taken_saves_without_tf_diet(tmp_path):
    x = keras.Input((8, 4))
    h = layers.Dense(6, name="units")(x)
    h = layers.Flatten()(h[..., ::2] * np.arange(1, 4, dtype="float32"))
    model = keras.Model(x, layers.Dense(2)(h))
    graph = assert_law(model)
    small = trim(model, graph, graph.alive({"units": [0, 1, 3, 4]}))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    data = np.random.default_rng(0).normal(size=(2, 8, 4)).astype("float32")
    assert np.array_equal(
        small.predict(data, verbose=0), again.predict(data, verbose=0)
    )
