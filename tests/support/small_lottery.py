# SPDX-License-Identifier: MIT
"""A small lottery that does everything a kill could spoil, and is quick."""

import dataclasses

import keras
import numpy as np

from tf_diet.lottery.diet import LotteryDiet
from tf_diet.lottery.resets import Rewind
from tf_diet.lottery.schedules import ConstantRate


def target(x):
    return np.tanh(x[:, :1] * x[:, 1:2] + x[:, 2:3]).astype("float32")


def data(seed, size=60):
    x = np.random.default_rng(seed).normal(size=(size, 6)).astype("float32")
    return x, target(x)


def model(seed=3, eager=True, width=12, plain=False):
    """Returns a net with random draws and moving statistics, compiled."""
    keras.utils.set_random_seed(seed)
    net = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(width, "relu", name="a"),
            # What each of two devices would do by itself.
            *([] if plain else [keras.layers.BatchNormalization(name="norm")]),
            *([] if plain else [keras.layers.Dropout(0.2)]),
            keras.layers.Dense(width, "relu", name="b"),
            keras.layers.Dense(1, name="out"),
        ]
    )
    net.compile(
        keras.optimizers.Adam(1e-2), "mse", metrics=["mae"], run_eagerly=eager
    )
    return net


def callbacks():
    """Returns callbacks that remember what they have seen."""
    return [
        keras.callbacks.ReduceLROnPlateau("val_mae", 0.5, 1, min_delta=0.05),
        keras.callbacks.EarlyStopping("val_loss", patience=2),
    ]


def fit(folder, rounds=2, net=None, x=None, **changes):
    """Runs the lottery."""
    made = {field.name for field in dataclasses.fields(LotteryDiet)}
    diet = {name: changes.pop(name) for name in made & set(changes)}
    settings = {
        "epochs": 4,
        "batch_size": 20,
        "validation_data": data(1),
        "test_data": data(2),
        "callbacks": callbacks,
        **changes,
    }
    return LotteryDiet(
        **{
            "schedule": ConstantRate(0.3, rounds),
            "reset": Rewind(step=4),
            **diet,
        }
    ).fit(
        net or model(),
        data(0) if x is None else x,
        folder=folder,
        **settings,
    )


def fit_kept(folder, **changes):
    """Runs the lottery so that each batch leaves a state behind."""
    return fit(folder, checkpoint_seconds=0.0, **changes)


def traces(run):
    """Returns all that two equal runs share, to the last bit."""
    return [
        (
            ticket.line.widths,
            ticket.line.validation_error,
            ticket.line.test_error,
            ticket.line.epochs,
            [value.tobytes() for value in ticket.load().get_weights()],
        )
        for ticket in run.tickets
    ]
