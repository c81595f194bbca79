# SPDX-License-Identifier: MIT
"""DDSP with a latent and a room."""

import keras
import numpy as np
import pytest

import tf_diet
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.models import DDSPConfig, ddsp, decoder
from tf_diet.testing import assert_law

pytestmark = pytest.mark.slow

CONFIG = DDSPConfig(
    hidden=14,
    mlp_layers=2,
    gru_units=12,
    harmonics=6,
    noise_bands=9,
    hop=16,
    sample_rate=1600,
    instruments=2,
    latent=4,
    reverb=40,
)


def inputs(frames=5, batch=2):
    rng = np.random.default_rng(0)
    return {
        "f0": rng.uniform(100, 300, (batch, frames, 1)).astype("float32"),
        "loudness": rng.uniform(-60, 0, (batch, frames, 1)).astype("float32"),
        "instrument": np.tile(
            np.eye(2, dtype="float32")[:, None], (1, frames, 1)
        ),
        "mfcc": rng.normal(size=(batch, frames, 30)).astype("float32"),
    }


def test_the_setting_of_the_diet_paper():
    config = DDSPConfig.preset("diet")
    assert (config.noise_bands, config.latent, config.hidden) == (160, 16, 512)
    assert config.controls == 261


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
def test_the_law(rate):
    assert_law(ddsp(CONFIG), rate=rate)


def test_the_latent_tells_timbre_and_the_room_rings():
    model = ddsp(CONFIG)
    model.get_layer("reverb").taps.assign(np.full(39, 0.1))
    x = inputs()
    before = model.predict(x, verbose=0)
    x["mfcc"] = x["mfcc"] + 1
    assert np.abs(model.predict(x, verbose=0) - before).max() > 1e-3


def test_the_decoder_leaves_out_synthesis_and_room():
    model = ddsp(CONFIG)
    cut = decoder(model)
    names = [tensor.name for tensor in cut.inputs]
    assert names == ["pitch", "level", "instrument", "mfcc"]
    x = inputs()
    pitch = model.get_layer("pitch")(x["f0"])
    level = model.get_layer("level")(x["loudness"])
    got = cut.predict(
        [np.asarray(pitch), np.asarray(level), x["instrument"], x["mfcc"]],
        verbose=0,
    )
    probe = keras.Model(model.inputs, model.get_layer("controls").output)
    wanted = probe.predict([x[t.name] for t in model.inputs], verbose=0)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_it_trains_is_pruned_and_trains_on():
    keras.utils.set_random_seed(0)
    model = ddsp(CONFIG)
    loss = MultiScaleSpectralLoss(windows=(64, 16))
    model.compile(keras.optimizers.Adam(3e-3), loss)
    x = inputs(frames=20)
    x = {name: np.repeat(value, 8, axis=0) for name, value in x.items()}
    y = 0.1 * np.random.default_rng(1).normal(size=(16, 320)).astype("float32")
    before = model.get_weights()
    model.fit(x, y, epochs=3, verbose=0)
    moved = [
        (a != b).any() for a, b in zip(before, model.get_weights(), strict=True)
    ]
    assert all(moved)
    small = tf_diet.prune(model, (x, y), rate=0.5)
    assert small.count_params() < 0.55 * model.count_params()
    small.fit(x, y, epochs=1, verbose=0)
