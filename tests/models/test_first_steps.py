# SPDX-License-Identifier: MIT
"""The first steps of a training: losses are finite, every weight moves.

Runs on the backend that Keras was started with; `.ci/run` runs it on both.
"""

import keras
import numpy as np
import pytest

from tf_diet.audio.log_power import LogPowerSpectralLoss
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.audio.metrics import BitsPerSample
from tf_diet.models import (
    DDSPConfig,
    SINGConfig,
    WaveNetConfig,
    ddsp,
    sing,
    sing_autoencoder,
    static_envelope,
    wavenet,
)
from tf_diet.models.sing_network import latent_distance, symbols

pytestmark = pytest.mark.slow

WAVENET = WaveNetConfig(
    cycles=1,
    layers=3,
    channels=6,
    skip_channels=8,
    conditioning=5,
    hop=8,
    instruments=2,
)
SING = SINGConfig(
    channels=12,
    latent=4,
    context=3,
    window=64,
    stride=16,
    samples=320,
    instruments=2,
    pitches=70,
    velocities=2,
    units=6,
    recurrent_layers=2,
)
DDSP = DDSPConfig.preset(
    "tiny", hidden=12, gru_units=8, harmonics=6, noise_bands=9, instruments=2
)
RANDOM = np.random.default_rng(0)
SOUND = RANDOM.normal(0, 0.1, (2, 320)).astype("float32")
NOTES = symbols(SING, [0, 1], [60, 64], [1, 0])


def log_power():
    return LogPowerSpectralLoss(window=64)


def wavenet_case():
    codes = RANDOM.integers(256, size=(2, 32))
    x = {
        "codes": codes,
        "conditioning": RANDOM.normal(size=(2, 4, 5)).astype("float32"),
        "instrument": np.array([[0], [1]]),
    }
    return wavenet(WAVENET), x, codes, BitsPerSample(), (2, 32, 256)


def autoencoder_case():
    return sing_autoencoder(SING), SOUND, SOUND, log_power(), SOUND.shape


def latent_case():
    model = latent_distance(SING, sing_autoencoder(SING))
    shape = (2, SING.frames, SING.latent)
    x = {**NOTES, "audio": SOUND}
    return model, x, np.zeros(shape, "float32"), "mse", shape


def sing_case():
    return sing(SING), NOTES, SOUND, log_power(), SOUND.shape


def _controls(frames):
    return {
        "f0": np.full((2, frames, 1), 330, "float32"),
        "loudness": np.full((2, frames, 1), -20, "float32"),
        "instrument": np.repeat(np.eye(2)[:, None], frames, 1),
    }


def ddsp_case():
    audio = RANDOM.normal(0, 0.1, (2, 1600)).astype("float32")
    loss = MultiScaleSpectralLoss((256, 64))
    return ddsp(DDSP), _controls(10), audio, loss, audio.shape


def static_case():
    audio = RANDOM.normal(0, 0.1, (2, 1600)).astype("float32")
    loss = MultiScaleSpectralLoss((256, 64))
    return static_envelope(DDSP), _controls(10), audio, loss, audio.shape


CASES = [
    wavenet_case,
    autoencoder_case,
    latent_case,
    sing_case,
    ddsp_case,
    static_case,
]


@pytest.mark.parametrize("case", CASES)
def test_every_weight_learns(case):
    keras.utils.set_random_seed(0)
    model, x, y, loss, shape = case()
    model.compile(keras.optimizers.Adam(1e-2), loss)
    assert model.predict(x, verbose=0).shape == shape
    before = [np.array(w) for w in model.trainable_weights]
    frozen = [np.array(w) for w in model.non_trainable_weights]
    losses = model.fit(x, y, epochs=3, batch_size=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    for was, weight in zip(before, model.trainable_weights, strict=True):
        now = np.array(weight)
        assert np.isfinite(now).all(), weight.path
        assert (now != was).any(), weight.path
    for was, weight in zip(frozen, model.non_trainable_weights, strict=True):
        if "seed" not in weight.path:
            np.testing.assert_array_equal(np.array(weight), was)


def test_a_ddsp_learns_more_than_one_spectrum():
    """A few notes, the brighter the higher: a static envelope cannot."""
    config = DDSPConfig.preset(
        "tiny", harmonics=8, noise_bands=9, sample_rate=8000, hop=80
    )
    frames, time = 50, np.arange(4000) / 8000
    hertz = np.array([220, 277, 330, 415, 466, 494])
    tilts = np.linspace(2.5, 0.2, len(hertz))
    sounds = [
        0.2
        * sum(np.sin(2 * np.pi * f * k * time) / k**tilt for k in range(1, 9))
        for f, tilt in zip(hertz, tilts, strict=True)
    ]
    audio = np.stack(sounds).astype("float32")
    x = {
        "f0": np.tile(hertz[:, None, None], (1, frames, 1)).astype("float32"),
        "loudness": np.full((len(hertz), frames, 1), -20, "float32"),
    }
    loss = MultiScaleSpectralLoss((512, 128))
    errors = {}
    for build, rate in ((static_envelope, 3e-2), (ddsp, 5e-3)):
        keras.utils.set_random_seed(0)
        model = build(config)
        model.compile(
            keras.optimizers.Adam(rate, global_clipnorm=3.0),
            loss,
            jit_compile=keras.backend.backend() == "jax",
        )
        model.fit(x, audio, epochs=120, batch_size=6, verbose=0)
        errors[build] = float(model.evaluate(x, audio, verbose=0))
    assert errors[ddsp] < 0.8 * errors[static_envelope], errors
