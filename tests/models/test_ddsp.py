# SPDX-License-Identifier: MIT
"""The DDSP model: its form, its decoder and its trivial baseline."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.audio.synthesis import synthesize
from tf_diet.errors import InputError
from tf_diet.models import DDSPConfig, ddsp, decoder, static_envelope

pytestmark = pytest.mark.slow

TINY = DDSPConfig.preset("tiny", instruments=2)


def notes(frames, instruments=2, batch=2, seed=0):
    random = np.random.default_rng(seed)
    shape = (batch, frames, 1)
    inputs = {
        "f0": random.uniform(200, 900, shape).astype("float32"),
        "loudness": random.uniform(-60, -10, shape).astype("float32"),
    }
    if instruments:
        chosen = random.integers(instruments, size=batch)
        one_hot = np.eye(instruments, dtype="float32")[chosen]
        inputs["instrument"] = np.repeat(one_hot[:, None], frames, axis=1)
    return inputs


@pytest.fixture(scope="module")
def model():
    return ddsp(TINY)


def test_sizes_of_the_presets():
    # Parameters of the same net were counted by hand, layer by layer.
    def count(h, layers, harmonics):
        first = 2 * (2 * h + (layers - 1) * (h * h + h))
        gru = 3 * h * (2 * h) + 3 * h * h + 6 * h
        last = 3 * h * h + h + (layers - 1) * (h * h + h)
        return first + gru + last + (h + 1) * (1 + harmonics + 65)

    for name, sizes in {
        "paper": (512, 3, 100),
        "small": (128, 3, 40),
        "tiny": (32, 2, 40),
    }.items():
        config = DDSPConfig.preset(name)
        assert ddsp(config).count_params() == count(*sizes)


def test_fields_of_a_preset_can_be_changed():
    config = DDSPConfig.preset("small", instruments=3, gru_units=20)
    assert (config.hidden, config.gru_units) == (128, 20)
    assert config.controls == 106
    assert ddsp(config).get_layer("gru").units == 20


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(InputError, match=r"'huge'.*paper, small, tiny"):
        DDSPConfig.preset("huge")


def test_it_is_flat_and_named(model):
    names = [layer.name for layer in model.layers]
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    for name in ("pitch", "level", "pitch_mlp_1", "gru", "controls"):
        assert name in names


@pytest.mark.parametrize("instruments", [0, 2])
def test_any_number_of_frames(instruments):
    built = ddsp(DDSPConfig.preset("tiny", instruments=instruments))
    for frames in (1, 7):
        audio = built.predict(notes(frames, instruments), verbose=0)
        assert audio.shape == (2, frames * 160)


def test_the_scales_of_pitch_and_level(model):
    for name, values, expected in [
        ("pitch", [440.0, 8.1758, 0.0], [69 / 127, 0, 0]),
        ("level", [-80.0, -40.0, 0.0], [0, 0.5, 1]),
    ]:
        got = model.get_layer(name)(np.array(values, "float32"))
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_decoder_gives_the_controls_of_the_model():
    # Weights that no initialiser would give again.
    model = ddsp(TINY)
    random = np.random.default_rng(7)
    model.set_weights(
        [w + random.normal(0, 0.1, w.shape) for w in model.get_weights()]
    )
    x = notes(20)
    cut = decoder(model)
    assert [tensor.name for tensor in cut.inputs] == [
        "pitch",
        "level",
        "instrument",
    ]
    pitch = (69 + 12 * np.log2(x["f0"] / 440)) / 127
    controls = cut.predict(
        [pitch, x["loudness"] / 80 + 1, x["instrument"]], verbose=0
    )
    assert controls.shape == (2, 20, 106)
    noise = keras.random.uniform((2, 20 * 160), -1, 1, seed=TINY.seed)
    np.testing.assert_allclose(
        synthesize(x["f0"], controls, noise),
        model.predict(x, verbose=0),
        atol=1e-4,
    )


def test_the_decoder_is_a_copy(model):
    before = model.get_weights()
    cut = decoder(model)
    cut.set_weights([0 * value for value in cut.get_weights()])
    for was, value in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, value)


def test_the_decoder_of_a_saved_narrower_model(tmp_path):
    narrow = ddsp(DDSPConfig(hidden=5, mlp_layers=1, gru_units=3))
    decoder(narrow)  # must leave the model fit to be saved
    narrow.save(tmp_path / "narrow.keras")
    loaded = keras.models.load_model(tmp_path / "narrow.keras")
    x = notes(6, 0)
    np.testing.assert_array_equal(
        narrow.predict(x, verbose=0), loaded.predict(x, verbose=0)
    )
    cut = decoder(loaded)
    cut.save(tmp_path / "decoder.keras")
    again = keras.models.load_model(tmp_path / "decoder.keras")
    frames = [x["f0"] / 1000, x["loudness"] / 100]
    np.testing.assert_array_equal(
        cut.predict(frames, verbose=0), again.predict(frames, verbose=0)
    )


def test_the_decoder_of_something_else_is_refused():
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="no layer named pitch, level"):
        decoder(other)


def test_the_same_seed_gives_the_same_model():
    first, again = ddsp(TINY), ddsp(TINY)
    other = ddsp(DDSPConfig.preset("tiny", instruments=2, seed=1))
    x = notes(5)
    expected = first.predict(x, verbose=0)
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    assert np.abs(other.predict(x, verbose=0) - expected).max() > 1e-3


def test_no_two_layers_start_alike(model):
    kernels = [
        model.get_layer(f"{name}_mlp_1").kernel.numpy()
        for name in ("pitch", "level")
    ]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1


def test_the_mlps_start_bent_within_the_range_of_their_input(model):
    x = np.linspace(0, 1, 101, dtype="float32")[:, None]
    for name in ("pitch", "level"):
        features = np.asarray(model.get_layer(f"{name}_mlp_0")(x))
        bends = np.abs(np.diff(features, 2, axis=0)).max(axis=0) > 1e-3
        assert bends.sum() > 5
        # Neither so weak that the recurrent layer cannot hear it.
        assert features.std(axis=0).max() > 0.3


def test_a_step_of_training_changes_every_weight():
    built = ddsp(TINY)
    before = built.get_weights()
    x = notes(20)
    audio = np.random.default_rng(1).normal(0, 0.1, (2, 3200))
    loss = MultiScaleSpectralLoss((256, 64))
    built.compile("adam", loss, jit_compile=False)
    built.fit(x, audio.astype("float32"), epochs=3, verbose=0)
    for was, variable in zip(before, built.weights, strict=True):
        assert (was != variable.numpy()).any(), variable.path


def test_the_static_envelope_knows_one_spectrum_an_instrument():
    model = static_envelope(TINY)
    assert model.count_params() == 2 * (3 + 40 + 65)
    layer = model.get_layer("controls")
    random = np.random.default_rng(2)
    layer.set_weights([random.normal(size=w.shape) for w in layer.weights])
    level = np.array([0.2, 0.6, 0.6], "float32")[None, :, None]
    instrument = np.eye(2, dtype="float32")[[0, 0, 1]][None]
    controls = np.asarray(layer(level, instrument))[0]
    spectrum, slope = layer.get_weights()
    np.testing.assert_allclose(controls[0, 1:41], controls[1, 1:41])
    np.testing.assert_allclose(controls[2, 1:41], spectrum[1, 1:41])
    louder = controls[1] - controls[0]
    np.testing.assert_allclose(louder[0], 0.4 * slope[0, 0], rtol=1e-4)
    np.testing.assert_allclose(louder[41:], 0.4 * slope[0, 1], rtol=1e-3)
    plain = static_envelope(DDSPConfig())
    assert plain.count_params() == 108
    assert plain.predict(notes(4, 0), verbose=0).shape == (2, 640)


JAX_SCRIPT = """
import sys, numpy as np, keras
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.models import DDSPConfig, ddsp, decoder, static_envelope
assert keras.backend.backend() == "jax"
assert "tensorflow" not in sys.modules
data = dict(np.load(sys.argv[1]))
audio = data.pop("audio")
model = ddsp(DDSPConfig.preset("tiny", instruments=2))
model.compile("adam", MultiScaleSpectralLoss((256, 64)))
history = model.fit(data, audio, epochs=8, verbose=0).history["loss"]
assert history[-1] < history[0], history
model.save(sys.argv[2])
keras.models.load_model(sys.argv[2])
assert decoder(model).output_shape == (None, None, 106)
assert static_envelope(DDSPConfig()).count_params() == 108
"""


def test_jax_trains_and_saves(tmp_path):
    random = np.random.default_rng(3)
    audio = random.normal(0, 0.1, (2, 1600)).astype("float32")
    np.savez(tmp_path / "notes.npz", audio=audio, **notes(10))
    subprocess.run(
        [sys.executable, "-c", JAX_SCRIPT, "notes.npz", "model.keras"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
