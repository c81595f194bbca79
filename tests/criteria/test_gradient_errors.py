# SPDX-License-Identifier: MIT
"""Bad input to criteria of gradients: one clear error each."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.criteria import Gradient, Taylor, criteria, rank
from tf_diet.errors import InputError
from tf_diet.graph.build import build


def scores(model, data, criterion):
    return rank(model, build(model), data, criterion).values["units"]


def broken():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, name="units"),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile("sgd", "mse")
    rng = np.random.default_rng(4)
    return model, rng.standard_normal((40, 2)), rng.standard_normal((40, 1))


@pytest.mark.parametrize(
    ("change", "data", "criterion", "message"),
    [
        (None, lambda x, y: None, "taylor", "data=None.*needs none: .*lamp"),
        (None, lambda x, y: x, "taylor", "lacks targets"),
        (None, lambda x, y: (x, None), "obd", "lacks targets"),
        (None, lambda x, y: (x, [y, y]), "obd", r"1 outputs: out.*for 2"),
        (None, lambda x, y: (x, y[:5]), "obd", "40 samples .*5 samples"),
        (None, lambda x, y: (x, y * np.nan), "obd", "target must be finite"),
        (None, lambda x, y: (x[:0], y[:0]), "obd", "is empty"),
        (None, lambda x, y: (x, y, y[:5]), "obd", r"weights.*\(5, 1\).*for 40"),
        (None, lambda x, y: (x, y, y + np.inf), "obd", "weights are finite"),
        (
            None,
            lambda x, y: iter([(x, y, y), (x, y)]),
            "obd",
            "all have sample weights, or none",
        ),
        (None, lambda x, y: iter(()), "obd", "dataset without batches"),
        (None, lambda x, y: 3, "obd", "Received"),
        (
            lambda m: m.compile("sgd", lambda y, z: keras.ops.matmul(z, y)),
            lambda x, y: (x, y.repeat(3, axis=1)),
            "gradient",
            r"cannot be computed.*targets of shape \[\(20, 3\)\]",
        ),
        (
            None,
            lambda x, y: (x, y.astype(str)),
            "gradient",
            "targets that are numbers. Received: dtype <U",
        ),
        (
            lambda m: m.compile("sgd"),
            lambda x, y: (x, y),
            "taylor",
            r"compiled without a loss. Call model.compile\(optimizer, loss\)",
        ),
        (
            lambda m: setattr(m, "trainable", False),
            lambda x, y: (x, y),
            "taylor",
            "of which nothing trains",
        ),
        (
            lambda m: m.layers[0].bias.assign([np.inf] * 3),
            lambda x, y: (x, y),
            "taylor",
            "gradient of the weight .* is not finite",
        ),
        (
            None,
            lambda x, y: (x, y),
            Gradient(keep="biggest"),
            "keep='biggest'. Known: largest, smallest",
        ),
        (
            None,
            lambda x, y: (x, y),
            Taylor(batch_size=0),
            "batch_size=0. Pass 1 or more",
        ),
        (None, lambda x, y: (x, y), "tayler", "Did you mean 'taylor'"),
    ],
)
def test_bad_input(change, data, criterion, message):
    model, x, y = broken()
    if change:
        change(model)
    with pytest.raises(InputError, match=f"(?s){message}"):
        scores(model, data(x, y), criterion)


def test_a_model_that_is_not_compiled():
    _, x, y = broken()
    bare = keras.Sequential(
        [keras.Input((2,)), layers.Dense(3), layers.Dense(1)]
    )
    for name in ("gradient", "gradient_min", "taylor", "obd"):
        assert "gradients" in criteria.get(name).needs
        with pytest.raises(
            InputError, match=r"not compiled\. Call model\.comp"
        ):
            scores(bare, (x, y), name)
