# SPDX-License-Identifier: MIT
"""SING: the sizes, the stages, the law, and that it learns."""

import keras
import numpy as np
import pytest

import tf_diet
from tf_diet.audio.log_power import LogPowerSpectralLoss
from tf_diet.errors import InputError
from tf_diet.models.sing_network import (
    SINGConfig,
    encoder,
    latent_distance,
    sing,
    sing_autoencoder,
    sing_generator,
    symbols,
)
from tf_diet.testing import assert_law

pytestmark = pytest.mark.slow

MINI = SINGConfig(
    channels=24,
    latent=6,
    context=3,
    window=64,
    stride=16,
    samples=320,
    instruments=3,
    pitches=90,
    velocities=2,
    units=10,
    recurrent_layers=2,
)
BUILDERS = (sing_autoencoder, sing_generator, sing)


def test_the_published_sizes():
    config = SINGConfig.preset("paper")
    # 265 frames of 64,000 samples, as published.
    assert config.frames == 265
    assert config.margin == 2304
    small = SINGConfig.preset("small", seed=1)
    assert sing_autoencoder(small).count_params() == 2_756_736
    assert (small.window, small.stride, small.samples) == (1024, 256, 64000)
    with pytest.raises(InputError, match="diet, paper, small, tiny"):
        SINGConfig.preset("huge")


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("build", BUILDERS)
def test_the_law(build, rate):
    assert_law(build(MINI), rate=rate)


@pytest.mark.parametrize("build", BUILDERS)
def test_all_but_the_ends_can_be_pruned(build, tmp_path):
    model = build(MINI)
    groups = {group.name for group in tf_diet.inspect(model).groups}
    wanted = {
        sing_autoencoder: {"encoder_window", "encoder_1", "decoder_context"},
        sing_generator: {"lstm_0", "lstm_1", "pitch_embedding"},
        sing: {"lstm_1", "decoder_context", "generated"},
    }
    assert wanted[build] <= groups
    small = tf_diet.prune(model, rate=0.6, criterion="magnitude")
    assert small.output_shape == model.output_shape
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    assert again.count_params() <= 0.4 * model.count_params()


def test_a_sound_is_made_of_what_lies_around_it():
    model = sing_autoencoder(MINI)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, MINI.samples)).astype("float32")
    before = model.predict(x, verbose=0)
    assert before.shape == x.shape
    at = 160
    x[:, at] += 3.0
    moved = np.abs(model.predict(x, verbose=0) - before).max(axis=0) > 0
    reached = np.flatnonzero(moved)
    # A window on either side of the context, and the context.
    span = 2 * MINI.window + (MINI.context - 1) * MINI.stride
    assert at - span < reached.min() < at < reached.max() < at + span


def test_one_stage_lends_its_weights_to_the_next():
    autoencoder = sing_autoencoder(MINI)
    generator = sing_generator(MINI)
    for model, seed in ((autoencoder, 1), (generator, 2)):
        rng = np.random.default_rng(seed)
        model.set_weights(
            [rng.normal(0, 0.3, w.shape) for w in model.get_weights()]
        )
    whole = sing(MINI, autoencoder, generator)
    notes = symbols(MINI, [0, 2], [60, 61], 1)
    latent = generator.predict(notes, verbose=0)
    assert latent.shape == (2, MINI.frames, MINI.latent)
    start = autoencoder.get_layer("latent").output
    decode = keras.Model(start, autoencoder.output)
    np.testing.assert_allclose(
        whole.predict(notes, verbose=0),
        decode.predict(latent, verbose=0),
        atol=1e-5,
    )
    audio = np.zeros((1, MINI.samples), "float32")
    features = encoder(autoencoder).predict(audio, verbose=0)
    assert features.shape == (1, MINI.frames, MINI.latent)
    other = sing_autoencoder(SINGConfig(**{**vars(MINI), "channels": 12}))
    with pytest.raises(InputError, match="'decoder_context' cannot take over"):
        sing(MINI, other)
    with pytest.raises(InputError, match="no auto-encoder"):
        encoder(generator)


def test_the_generator_learns_what_the_encoder_says():
    autoencoder = sing_autoencoder(MINI)
    rng = np.random.default_rng(0)
    autoencoder.set_weights(
        [rng.normal(0, 0.3, w.shape) for w in autoencoder.get_weights()]
    )
    before = autoencoder.get_weights()
    model = latent_distance(MINI, autoencoder)
    audio = rng.normal(0, 0.1, (2, MINI.samples)).astype("float32")
    notes = symbols(MINI, [0, 2], [60, 61], 1)
    generator = sing_generator(MINI)
    for layer in generator.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    given = {**notes, "audio": audio}
    np.testing.assert_allclose(
        model.predict(given, verbose=0),
        generator.predict(notes, verbose=0)
        - encoder(autoencoder).predict(audio, verbose=0),
        atol=1e-5,
    )
    halves = latent_distance(MINI, autoencoder, scale=2.0)
    halves.set_weights(model.get_weights())
    np.testing.assert_allclose(
        2 * halves.predict(given, verbose=0),
        model.predict(given, verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )
    none = np.zeros((2, MINI.frames, MINI.latent), "float32")
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    first = model.evaluate(given, none, verbose=0)
    model.fit(given, none, epochs=30, verbose=0)
    assert model.evaluate(given, none, verbose=0) < 0.5 * first
    for name in ("encoder_window", "latent"):
        for one, other in zip(
            model.get_layer(name).get_weights(),
            autoencoder.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(before, autoencoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # What it learned is taken over by its name.
    whole = sing(MINI, autoencoder, model)
    np.testing.assert_array_equal(
        whole.get_layer("lstm_0").get_weights()[0],
        model.get_layer("lstm_0").get_weights()[0],
    )


def test_symbols_are_checked():
    notes = symbols(MINI, 1, [60, 62])
    assert notes["time"][0].tolist() == list(range(MINI.frames))
    assert (notes["instrument"] == 1).all()
    assert notes["pitch"][:, 0].tolist() == [60, 62]
    with pytest.raises(InputError, match="knows 90 values of pitch"):
        symbols(MINI, 1, 100)
    with pytest.raises(InputError, match="knows 3 values of instrument"):
        symbols(MINI, -1, 60)


def test_it_learns_more_than_the_mean_spectrum():
    rate, size = 4000, 2048
    config = SINGConfig(
        channels=48, latent=8, context=5, window=256, stride=64, samples=size
    )
    time = np.arange(size) / rate
    tones = [
        np.sin(2 * np.pi * f * time + p) * np.exp(-2 * time)
        for f in (220, 262, 330, 392, 523, 659)
        for p in (0.0, 1.5)
    ]
    audio = 0.5 * np.array(tones, "float32")
    loss = LogPowerSpectralLoss(window=256)
    keras.utils.set_random_seed(0)
    model = sing_autoencoder(config)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(audio, audio, epochs=60, batch_size=4, verbose=0)
    error = model.evaluate(audio, audio, verbose=0)
    # The best that one spectrum for all notes can do.
    from tf_diet.audio.losses import power_spectra

    spectra = keras.ops.convert_to_numpy(
        keras.ops.log1p(power_spectra(keras.ops.array(audio), 256, 64))
    )
    mean = np.mean((spectra - spectra.mean(axis=0)) ** 2)
    silence = np.mean(spectra**2)
    assert mean < silence
    assert error < 0.7 * mean
