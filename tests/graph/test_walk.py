# SPDX-License-Identifier: MIT
"""Calls in order, nested models inlined, arguments kept."""

import graphs
import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.errors import UnsupportedModelError
from tf_diet.graph.calls import replay
from tf_diet.graph.walk import walk


def run(model, x):
    """Replays the operations themselves."""
    walked = walk(model)
    values = replay(
        walked, x, lambda call, args, kwargs: call.operation(*args, **kwargs)
    )
    return walked.pack(walked.output_structure, values)


def test_replay_of_the_operations_is_the_model():
    model = graphs.nested_and_shared()
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(3, 6)).astype("float32") for _ in range(2)]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(run(model, x)),
        keras.ops.convert_to_numpy(model(x)),
        rtol=1e-6,
    )


def test_shared_nested_model_gives_calls_with_numbers():
    paths = [call.path for call in walk(graphs.nested_and_shared()).calls]
    inner = [path for path in paths if path.startswith("inner/")]
    assert len(inner) == 4
    assert sum(path.endswith(":1") for path in inner) == 2
    assert any(path.startswith("tail/") for path in paths)


def test_nested_model_with_dict_inputs_in_any_order():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    inner = keras.Model(
        {"b": b, "a": a}, layers.Concatenate()([layers.Dense(4)(a), b])
    )
    p, q = keras.Input((3,), name="p"), keras.Input((2,), name="q")
    model = keras.Model([p, q], layers.Dense(2)(inner({"a": q, "b": p})))
    x = [np.ones((1, 3), "float32"), np.full((1, 2), 2, "float32")]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(run(model, x)),
        keras.ops.convert_to_numpy(model(x)),
        rtol=1e-6,
    )


def test_only_the_models_own_nodes_are_walked():
    shared = layers.Dense(3)
    one, other = keras.Input((2,)), keras.Input((2,))
    model = keras.Model(one, shared(one))
    keras.Model(other, layers.Dense(5)(shared(other)))
    assert len(walk(model).calls) == 1


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Subclassed(), "keras.Model(inputs, outputs)"),
        (keras.Sequential([layers.Dense(3)]), "keras.Input"),
        ("model.keras", "Received: str"),
    ],
    ids=["subclassed", "unbuilt", "not a model"],
)
def test_what_cannot_be_walked_is_said(model, words):
    with pytest.raises(UnsupportedModelError) as caught:
        walk(model)
    assert words in str(caught.value)
