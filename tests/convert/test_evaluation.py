# SPDX-License-Identifier: MIT
"""What a converted model is worth on data with targets."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.convert import evaluate
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.errors import InputError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6)).astype("float32")


@pytest.fixture(scope="module")
def classifier():
    """Its answer is the place of the largest of three inputs."""
    x = keras.Input((6,), name="x")
    layer = layers.Dense(3, use_bias=False)
    model = keras.Model(x, layer(x))
    layer.set_weights([np.eye(6, 3)])
    return model


@pytest.mark.parametrize("runtime", ["LiteRT", "TFLite Micro"])
@pytest.mark.parametrize("form", ["numbers", "column", "one hot", "floats"])
def test_accuracy_in_every_form_of_classes(classifier, runtime, form):
    y = X[:, :3].argmax(axis=1)
    y[:20] = (y[:20] + 1) % 3
    targets = {
        "numbers": y,
        "column": y[:, None],
        "one hot": np.eye(3)[y],
        "floats": y[:, None].astype("float32"),
    }[form]
    found = evaluate(to_tflite(classifier), (X, targets), runtime=runtime)
    assert found.metric == "accuracy"
    assert found.value == pytest.approx(0.9)
    assert found.examples == 200
    assert "accuracy 90.00%" in str(found)


def test_error_of_values_and_of_sequences():
    x = keras.Input((None, 2), name="x")
    y = layers.GRU(3, return_sequences=True)(x)
    model = keras.Model(x, layers.Dense(2)(y))
    data = RNG.normal(size=(3, 20, 2)).astype("float32")
    wanted = keras.ops.convert_to_numpy(model(data)) + 0.5
    step = to_streaming(model)
    for one in (to_tflite(step), step):
        found = evaluate(one, (data, wanted))
        assert found.metric == "mean squared error"
        assert found.value == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, "targets"),
        ((X, np.zeros((200, 7))), r"do not fit.*\(200, 7\).*\(200, 3\)"),
        ((X[:, :5], np.zeros(200)), "Received"),
    ],
)
def test_data_that_does_not_fit(classifier, data, message):
    with pytest.raises(InputError, match=message):
        evaluate(to_tflite(classifier), data)
    with pytest.raises(InputError, match="Known: LiteRT"):
        evaluate(to_tflite(classifier), (X, X[:, 0]), runtime="CPU")
