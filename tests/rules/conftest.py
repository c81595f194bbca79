# SPDX-License-Identifier: MIT
"""One check for rules of operations: the law, and what is left to prune."""

import keras
import pytest
from keras import layers

from tf_diet.testing import assert_law


@pytest.fixture
def units_through():
    """Checks the law on functions between Dense layers, all in one model.

    What needless pinning costs cannot be seen from the law, so the number of
    removable units of the layers that feed each function comes back by name,
    and there must be no barrier.
    """

    def check(functions, width=6, shape=(8, 4), seed=1):
        x = keras.Input(shape)
        outputs = {}
        for name, function in functions.items():
            h = function(layers.Dense(width)(x))
            if len(h.shape) > 2:
                h = layers.Flatten()(h)
            elif len(h.shape) < 2:
                h = keras.ops.reshape(h, (1, -1))
            outputs[name] = layers.Dense(2)(h)
        graph = assert_law(keras.Model(x, outputs), seed=seed)
        assert not graph.barriers
        found = {}
        for name, output in outputs.items():
            mine = {layer.name for layer in keras.Model(x, output).layers}
            found[name] = sum(
                group.n_units for group in graph.groups if group.name in mine
            )
        return found

    return check
