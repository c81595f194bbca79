# SPDX-License-Identifier: MIT
"""A front end of constants: rounds remove a share of what can be removed."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet.lottery.masking import read_masks
from tf_diet.lottery.run_folder import Round, RunFolder

pytestmark = pytest.mark.slow

KERNELS = 2 * 32 * 17


def front_end():
    keras.utils.set_random_seed(0)
    x = keras.Input((160, 1))
    h = layers.STFTSpectrogram(
        mode="log", frame_length=32, frame_step=16, name="front"
    )(x)
    h = layers.GlobalAveragePooling1D()(h)
    h = layers.Dense(40, "relu", name="a")(h)
    model = keras.Model(x, layers.Dense(1, name="out")(h))
    model.compile("adam", "mse")
    return model


def lottery(folder, **settings):
    x = np.random.default_rng(0).normal(size=(32, 160, 1)).astype("float32")
    y = x[:, :1, 0]
    diet = tf_diet.LotteryDiet(
        tf_diet.ConstantRate(0.5, rounds=2),
        criterion="magnitude",
        reset=tf_diet.NoReset(epoch=1),
        **settings,
    )
    return diet.fit(
        front_end(), x, y, epochs=2, validation_data=(x, y), folder=folder
    )


@pytest.mark.parametrize("method", ["trim", "mask"])
def test_shares_are_of_what_counts(method, tmp_path):
    model = front_end()
    counted = model.count_params() - KERNELS
    lines = [t.line for t in lottery(tmp_path / "run", method=method).tickets]
    assert {line.constants for line in lines} == {KERNELS}
    for number, line in enumerate(lines):
        left = line.parameters - KERNELS
        assert line.weights_left == left / counted
        assert 0.5**number - 0.06 < line.weights_left <= 0.5**number
    if method == "mask":
        masks = read_masks(RunFolder(tmp_path / "run"), 2)
        assert all("front" not in path for path in masks)
    else:
        small = keras.models.load_model(tmp_path / "run" / "round_02.keras")
        assert small.count_params() == lines[2].parameters
        assert small.get_layer("a").units > 8


def test_a_line_of_before_still_opens(tmp_path):
    lottery(tmp_path / "run")
    path = tmp_path / "run" / "rounds.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        del row["constants"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = RunFolder(tmp_path / "run").rounds()
    assert all(isinstance(line, Round) for line in lines)
    assert {line.constants for line in lines} == {0}
