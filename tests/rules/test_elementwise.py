# SPDX-License-Identifier: MIT
"""Operations value by value and merges, with what is left to prune.

The tensor has shape (batch, 8, 6), its last axis six units.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.testing import assert_law

RAMP = np.linspace(0.5, 1.5, 6).astype("float32")
GRID = np.linspace(-1, 1, 48).reshape(8, 6).astype("float32")


def squeezed(h):
    """Squeeze and excite by operations."""
    mean = ops.mean(h, axis=1, keepdims=True)
    return h * layers.Dense(6, "sigmoid")(layers.Dense(3, "relu")(mean))


VALUES = {
    "constant": (lambda h: h * RAMP, 6),
    "constant first": (lambda h: ops.subtract(GRID, h), 6),
    "tensor of the backend": (lambda h: h + ops.convert_to_tensor(GRID), 6),
    "numbers": (lambda h: 2.0 - h / 3.0, 6),
    "in place": (lambda h: h.__iadd__(1.0) if hasattr(h, "__iadd__") else h, 6),
    "itself": (lambda h: h + h, 6),
    "compare": (lambda h: ops.cast(h > RAMP, "float32"), 6),
    "where": (lambda h: ops.where(h > 0, h, RAMP), 6),
    "select": (lambda h: ops.select([h > 0, h < -1], [h, h * 2], 0.5), 6),
    "clip": (lambda h: ops.clip(h, -0.5, 0.5), 6),
    "clip each": (lambda h: ops.clip(h, -RAMP, RAMP), 0),
    "divide by dead": (lambda h: h / layers.Dense(6)(h), 6),
    "logarithm of dead": (lambda h: ops.log(ops.abs(h)), 6),
    "revived": (lambda h: ops.ones_like(h) + ops.exp(h), 6),
    "full_like": (lambda h: ops.full_like(h, RAMP), 6),
    "digitize": (
        lambda h: ops.cast(ops.digitize(h, RAMP[:2]), "float32"),
        6,
    ),
    "one channel": (lambda h: h * layers.Dense(1)(h), 6),
    "one channel as mask": (lambda h: h * ops.cast(h[..., :1] > 0, h.dtype), 5),
    "squeeze and excite": (squeezed, 9),
    "complex": (lambda h: ops.real(ops.conj(ops.cast(h, "complex64"))), 6),
}


@pytest.mark.parametrize("part", range(4))
def test_value_by_value(part, units_through):
    cases = dict(list(VALUES.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


def first(h):
    return layers.Dense(6)(h[:, 0])


MERGES = {
    "add itself": (lambda h: layers.Add()([h, h]), 6),
    "vector and sequence": (lambda h: layers.Add()([first(h), h]), 6),
    "vector and image": (
        lambda h: layers.Multiply()([h[:, None], first(h)]),
        6,
    ),
    "average of three": (lambda h: layers.Average()([h, h * 2, first(h)]), 6),
    "one channel": (lambda h: layers.Maximum()([h, layers.Dense(1)(h)]), 6),
}


@pytest.mark.parametrize("part", range(4))
def test_merge(part, units_through):
    cases = dict(list(MERGES.items())[part::4])
    functions = {name: function for name, (function, _) in cases.items()}
    left = {name: units for name, (_, units) in cases.items()}
    assert units_through(functions) == left


def test_mask_of_an_image_and_bias_of_channels():
    image, mask = keras.Input((6, 6, 3)), keras.Input((6, 6, 1))
    h = layers.Conv2D(5, 3, padding="same")(image)
    bias = layers.Dense(5)(layers.GlobalAveragePooling2D(keepdims=True)(h))
    h = layers.Multiply()([h + bias, mask])
    h = layers.Concatenate()([h, h])
    model = keras.Model([image, mask], layers.Conv2D(2, 1)(h))
    graph = assert_law(model)
    assert [group.n_units for group in graph.groups] == [5]


def test_data_beside_units_pins_them():
    x, other = keras.Input((8, 4)), keras.Input((8, 6))
    h = ops.maximum(layers.Dense(6)(x), other)
    graph = assert_law(keras.Model([x, other], layers.Dense(2)(h)))
    assert not graph.groups
    assert "combines it with data" in graph.pinned[0].reason
