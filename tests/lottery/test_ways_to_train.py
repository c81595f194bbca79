# SPDX-License-Identifier: MIT
"""Mixed precision, train steps of one's own and class weights in a run."""

import keras
import numpy as np
import pytest
import small_lottery as small
from keras import ops

from tf_diet.lottery.run import Run

pytestmark = pytest.mark.slow


class Stop(BaseException):
    """Nothing catches it, as nothing catches a kill."""


class StopsOnce(keras.callbacks.Callback):
    """Dies after so many batches, all trainings counted."""

    left = 0

    def on_train_batch_end(self, batch, logs=None):
        StopsOnce.left -= 1
        if StopsOnce.left == 0:
            raise Stop


def broken_and_unbroken(tmp_path, make, **changes):
    """Returns a run that was not stopped, and one that was, twice."""
    settings = {"callbacks": [StopsOnce()], **changes}
    StopsOnce.left = 0
    whole = small.fit_kept(tmp_path / "whole", net=make(), **settings)
    for batches in (5, 9):
        StopsOnce.left = batches
        with pytest.raises(Stop):
            small.fit_kept(
                tmp_path / "broken", net=make(), resume=True, **settings
            )
    StopsOnce.left = 0
    broken = small.fit_kept(
        tmp_path / "broken", net=make(), resume=True, **settings
    )
    return whole, broken


def mixed():
    """Returns a net in half precision, its loss scaled."""
    keras.utils.set_random_seed(3)
    half = keras.DTypePolicy("mixed_float16")
    net = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(12, "relu", dtype=half, name="a"),
            keras.layers.BatchNormalization(dtype=half, name="norm"),
            keras.layers.Dense(12, "relu", dtype=half, name="b"),
            keras.layers.Dense(1, dtype="float32", name="out"),
        ]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(1e-2),
        initial_scale=2.0**8,
        dynamic_growth_steps=4,
    )
    net.compile(optimizer, "mse", metrics=["mae"], run_eagerly=True)
    return net


def test_half_precision_stays_and_its_loss_scale_goes_on(tmp_path):
    whole, broken = broken_and_unbroken(tmp_path, mixed)
    assert small.traces(broken) == small.traces(whole)
    tickets = [ticket.load() for ticket in broken.tickets]
    for net in tickets:
        assert net.get_layer("a").compute_dtype == "float16"
        assert net.get_layer("a").kernel.dtype == "float32"
        assert isinstance(net.optimizer, keras.optimizers.LossScaleOptimizer)
    assert tickets[2].count_params() < tickets[0].count_params() / 1.5
    # 12 steps a training, doubled every 4, from the early moment on.
    scales = [float(net.optimizer.dynamic_scale) for net in tickets]
    assert scales == [2.0**11] * 3
    assert tickets[-1].optimizer.iterations == 12
    error = broken.tickets[-1].line.validation_error
    assert 0 < error < float(np.var(small.data(1)[1]))


@keras.saving.register_keras_serializable("tests")
class Noisy(keras.Model):
    """Trains on inputs with noise, by a step of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.noise = keras.random.SeedGenerator(1)
        self.tracker = keras.metrics.Mean(name="pull")

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        x = x + 0.1 * keras.random.normal(ops.shape(x), seed=self.noise)
        with tf.GradientTape() as tape:
            out = self(x, training=True)
            loss = self.compute_loss(x, y, out) + 1e-3 * sum(
                ops.sum(ops.abs(w)) for w in self.trainable_weights
            )
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_weights, strict=True)
        )
        self.tracker.update_state(loss)
        return {"loss": loss, "pull": self.tracker.result()}


def noisy():
    """Returns a net that trains by its own step."""
    plain = small.model(plain=True)
    net = Noisy(plain.inputs[0], plain.outputs[0])
    net.compile(keras.optimizers.Adam(1e-2), "mse", run_eagerly=True)
    return net


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a step of TensorFlow's"
)
def test_a_train_step_of_ones_own_trains_every_ticket(tmp_path):
    seen = []

    class Seen(StopsOnce):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((type(self.model).__name__, sorted(logs)))

    whole, broken = broken_and_unbroken(
        tmp_path, noisy, callbacks=[Seen()], validation_freq=None
    )
    assert small.traces(broken) == small.traces(whole)
    assert set(map(str, seen)) == {str(("Noisy", ["loss", "pull"]))}
    assert all(isinstance(t.load(), Noisy) for t in broken.tickets)
    assert broken.tickets[2].line.weights_left < 0.55


def test_class_weights_count_in_every_training(tmp_path):
    x, _ = small.data(0)
    y = (x[:, 0] > 0).astype("int32")
    wrong = np.where(y == 1, 1, 0)
    wrong[y == 0] = np.arange((y == 0).sum()) % 2

    def net():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(12, "relu", name="a"),
                keras.layers.Dense(3, "softmax", name="out"),
            ]
        )
        model.compile(
            "adam", "sparse_categorical_crossentropy", run_eagerly=True
        )
        return model

    def run(name, weights):
        return small.fit(
            tmp_path / name,
            net=net(),
            x=x,
            y=y,
            class_weight=weights,
            validation_data=(x, y),
            test_data=None,
            criterion="magnitude",
            callbacks=[],
            epochs=8,
        )

    plain = run("plain", None)
    ones = run("ones", {0: 1.0, 1: 1.0, 2: 1.0})
    tilted = run("tilted", {0: 0.0, 1: 1.0, 2: 1.0})
    assert small.traces(ones) == small.traces(plain)
    for ticket in tilted.tickets:
        # What weighs nothing is never learned.
        out = ticket.load().predict(x, verbose=0)
        assert out[:, 1].mean() > out[:, 0].mean()
    assert [t.line.weights_left for t in Run.open(tmp_path / "tilted").tickets][
        -1
    ] < 0.55
