# SPDX-License-Identifier: MIT
"""The WaveNet: causal, gated, conditioned."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tf_diet.audio import mu_law
from tf_diet.errors import InputError
from tf_diet.models import WaveNetConfig, wavenet

pytestmark = pytest.mark.slow

TINY = WaveNetConfig(
    cycles=1,
    layers=3,
    channels=8,
    skip_channels=12,
    conditioning=2,
    hop=16,
    instruments=3,
)


def codes_and_frames(config, frames=4, seed=0):
    random = np.random.default_rng(seed)
    x = {"codes": random.integers(256, size=(2, frames * config.hop))}
    if config.conditioning:
        shape = (2, frames, config.conditioning)
        x["conditioning"] = random.normal(size=shape).astype("float32")
    if config.instruments:
        x["instrument"] = np.arange(2)[:, None] % config.instruments
    return x


def with_biases(model, seed=0):
    random = np.random.default_rng(seed)
    model.set_weights(
        [random.normal(0, 0.5, w.shape) for w in model.get_weights()]
    )
    return model


def test_causal_and_as_far_as_the_receptive_field():
    model = with_biases(wavenet(TINY))
    x = codes_and_frames(TINY)
    before = model.predict(x, verbose=0)
    at = 20
    x["codes"][:, at] = (x["codes"][:, at] + 100) % 256
    moved = np.abs(model.predict(x, verbose=0) - before).max(axis=(0, 2)) > 0
    reached = np.flatnonzero(moved)
    assert TINY.receptive_field == 8
    assert (reached.min(), reached.max()) == (at, at + 7)


def test_conditioning_reaches_its_own_frame_onwards():
    model = with_biases(wavenet(TINY))
    x = codes_and_frames(TINY)
    before = model.predict(x, verbose=0)
    x["conditioning"][:, 2] += 1
    moved = np.abs(model.predict(x, verbose=0) - before).max(axis=(0, 2)) > 0
    assert not moved[:32].any()
    assert moved[32:48].all()


def test_receptive_field_of_the_presets():
    assert WaveNetConfig.preset("small").receptive_field == 442
    assert WaveNetConfig.preset("paper").receptive_field == 2047
    assert WaveNetConfig(kernel=3, cycles=1, layers=2).receptive_field == 7


def test_without_conditioning_and_with_one_block():
    config = WaveNetConfig(
        cycles=1, layers=1, channels=4, skip_channels=5, hop=16
    )
    model = wavenet(config)
    assert [tensor.name for tensor in model.inputs] == ["codes"]
    x = codes_and_frames(config)
    assert model.predict(x, verbose=0).shape == (2, 64, 256)


def test_it_is_flat_and_named():
    model = wavenet(TINY)
    names = {layer.name for layer in model.layers}
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert {"block_0_gate", "block_2_skip", "hidden", "logits"} <= names


def test_it_learns_to_repeat(tmp_path):
    keras.utils.set_random_seed(0)
    config = WaveNetConfig(cycles=1, layers=3, channels=8, skip_channels=12)
    model = wavenet(config)
    sound = 0.5 * np.sin(2 * np.pi * (np.arange(256) + 0.3) / 8)
    inputs, targets = mu_law.teacher(mu_law.encode(sound)[None])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, jit_compile=False)
    model.fit({"codes": inputs}, targets, epochs=60, verbose=0)
    heard = model.predict({"codes": inputs}, verbose=0).argmax(axis=-1)
    assert (heard[:, 8:] == targets[:, 8:]).mean() > 0.95
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.predict({"codes": inputs}, verbose=0).argmax(axis=-1)
    np.testing.assert_array_equal(heard, again)


def test_codes_of_like_levels_start_alike(tmp_path):
    model = wavenet(WaveNetConfig.preset("small", layers=1))
    rows = model.get_layer("embedding").get_weights()[0]
    assert rows.shape == (256, 32)
    near = np.linalg.norm(rows[1:] - rows[:-1], axis=1)
    far = np.linalg.norm(rows[128:] - rows[:128], axis=1)
    assert near.max() < 0.3 * far.min()
    assert np.abs(rows).max() <= 1
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = keras.models.clone_model(loaded).get_layer("embedding")
    np.testing.assert_array_equal(again.get_weights()[0], rows)
    narrow = wavenet(WaveNetConfig.preset("tiny", layers=1, channels=2))
    assert narrow.get_layer("embedding").get_weights()[0].shape == (256, 2)


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(InputError, match=r"'huge'.*paper, small, tiny"):
        WaveNetConfig.preset("huge")


JAX_SCRIPT = """
import sys, numpy as np, keras
from tf_diet.models import WaveNetConfig, wavenet
assert keras.backend.backend() == "jax"
data = dict(np.load(sys.argv[1]))
expected = data.pop("logits")
model = keras.models.load_model(sys.argv[2])
assert "tensorflow" not in sys.modules
got = model.predict(data, verbose=0)
np.testing.assert_allclose(got, expected, atol=1e-3)
"""


def test_jax_gives_the_same_logits(tmp_path):
    model = wavenet(TINY)
    x = codes_and_frames(TINY)
    model.save(tmp_path / "model.keras")
    logits = model.predict(x, verbose=0)
    np.savez(tmp_path / "data.npz", logits=logits, **x)
    subprocess.run(
        [sys.executable, "-c", JAX_SCRIPT, "data.npz", "model.keras"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
