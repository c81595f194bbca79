# SPDX-License-Identifier: MIT
"""On trained models, before any retraining, repair beats no repair."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

import tf_diet
from tf_diet.models.wavenet_network import WaveNetConfig, wavenet
from tf_diet.pruning.repair.repair import repair

pytestmark = pytest.mark.slow


def classifier():
    x, y = load_digits(return_X_y=True)
    x = (x[:400].reshape(-1, 8, 8, 1) / 16).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(12, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(10),
        ]
    )
    return model, x, y[:400], 4


def recurrent():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 6, 3)).astype("float32")
    y = np.cumsum(x[..., :1] * x[..., 1:2], axis=1)
    inputs = keras.Input((6, 3))
    h = layers.Dense(12, activation="tanh")(inputs)
    h = layers.GRU(16, return_sequences=True)(h)
    return keras.Model(inputs, layers.Dense(1)(h)), x, y, 6


def tones():
    rng = np.random.default_rng(0)
    pitch = rng.uniform(0.1, 0.8, (64, 1))
    wave = np.sin(pitch * np.arange(49) + rng.uniform(0, 6, (64, 1)))
    codes = np.round(7.5 + 7.5 * wave).astype("int32")
    config = WaveNetConfig(
        cycles=1, layers=2, channels=8, skip_channels=12, classes=16
    )
    model = wavenet(config)
    # As a plain input: what the dict of inputs is called is not the point.
    plain = keras.Model(model.inputs[0], model.outputs[0])
    return plain, codes[:, :-1], codes[:, 1:], 6


@pytest.fixture(scope="module", params=[classifier, recurrent, tones])
def trained(request):
    keras.utils.set_random_seed(3)
    model, x, y, epochs = request.param()
    loss = "mse"
    if y.dtype.kind == "i":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    model.fit(x, y, epochs=epochs, batch_size=16, verbose=0)
    half = len(x) // 2
    return model, x[:half], x[half:]


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.7])
def test_outputs_come_nearer_on_data_that_repair_has_not_seen(trained, rate):
    model, seen, unseen = trained
    plan = tf_diet.plan(model, rate=rate, criterion="magnitude")

    def error(method):
        small = plan.apply(model)
        if method:
            repair(model, small, plan, seen, method)
        one, other = (
            keras.ops.convert_to_numpy(m(unseen)) for m in (model, small)
        )
        return np.mean((one - other) ** 2)

    rough = error(None)
    assert error("least_squares") < 0.9 * rough
    if isinstance(model, keras.Sequential):
        # In recurrent and gated models right means may do harm.
        assert error("bias") < rough
