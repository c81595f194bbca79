# SPDX-License-Identifier: MIT
"""Every Python block of the guides runs, from the top of its page down."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import tf_diet

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "pages").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


class MyDense(layers.Dense):
    """A layer of the reader's own."""


def reader():
    """Returns what a reader has at hand: a trained model and its data."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 12)).astype("float32")
    y = x[:, :2] @ np.ones((2, 1), "float32")
    # The names that pages speak of.
    inputs = keras.Input((12,))
    h = layers.Dense(24, "relu", name="stem")(inputs)
    h = layers.Dense(16, "relu", name="encoder_0")(h)
    h = layers.Dense(16, "relu", name="encoder_1")(h)
    sides = [layers.Dense(8, name=name)(h) for name in ("left", "right")]
    h = layers.Activation("relu")(layers.Concatenate()(sides))
    model = keras.Model(inputs, layers.Dense(1, name="logits")(h))
    model.compile("adam", "mse")
    plan = tf_diet.plan(model, (x, y), rate=0.5)
    return {
        "tf_diet": tf_diet,
        "keras": keras,
        "np": np,
        "layers": layers,
        "MyDense": MyDense,
        "model": model,
        "x": x,
        "y": y,
        "plan": plan,
        "small": plan.apply(model),
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scope = reader()
    for block in BLOCK.findall(page.read_text("utf-8")):
        exec(compile(block, str(page), "exec"), scope)
