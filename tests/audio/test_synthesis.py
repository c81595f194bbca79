# SPDX-License-Identifier: MIT
"""The synthesiser against a slow reference in float64, block by block."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from tf_diet.audio.synthesis import (
    Synthesizer,
    block_phase,
    exp_sigmoid,
    filtered_noise,
    harmonic_oscillator,
    scale_controls,
    synthesize,
)
from tf_diet.errors import InputError

RATE, HOP, HARMONICS, BANDS = 16000, 160, 40, 65


def squash(x):
    return 2 * (1 / (1 + np.exp(-x))) ** np.log(10) + 1e-7


def split_frame(f0, frame, harmonics):
    """Amplitudes and noise magnitudes of one frame."""
    audible = np.arange(1, harmonics + 1) * f0 < RATE / 2
    distribution = squash(frame[1 : 1 + harmonics]) * audible
    distribution /= max(distribution.sum(), 1e-7)
    return squash(frame[0]) * distribution, squash(frame[1 + harmonics :] - 5)


def reference(f0, controls, noise, harmonics=HARMONICS, hop=HOP):
    """One sound, one block after the other, nothing vectorised over time."""
    taps = 2 * (controls.shape[1] - 1 - harmonics - 1)
    audio = np.zeros(len(f0) * hop + hop + taps)
    numbers = np.arange(1, harmonics + 1)
    n = np.arange(1, hop + 1)
    rise = 0.5 - 0.5 * np.cos(np.pi * n / hop)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(taps) / taps)
    phase, before = 0.0, f0[0]
    old, _ = split_frame(f0[0], controls[0], harmonics)
    for m, (now, frame) in enumerate(zip(f0, controls, strict=True)):
        new, magnitudes = split_frame(now, frame, harmonics)
        cycles = phase + (before * n + (now - before) * n**2 / (2 * hop)) / RATE
        sines = np.sin(2 * np.pi * numbers[:, None] * cycles)
        tone = (1 - rise) * (old @ sines) + rise * (new @ sines)
        audio[m * hop : (m + 1) * hop] += tone
        phase = (phase + hop * (before + now) / (2 * RATE)) % 1.0
        response = np.roll(np.fft.irfft(magnitudes), taps // 2) * hann
        wet = np.convolve(noise[m * hop : (m + 1) * hop], response)
        audio[m * hop : m * hop + len(wet)] += wet
        before, old = now, new
    return audio[: len(f0) * hop]


def moving_controls(seed, frames, harmonics=HARMONICS, bands=BANDS):
    rng = np.random.default_rng(seed)
    f0 = 200 * 2 ** np.cumsum(rng.normal(0, 0.1, (2, frames, 1)), axis=1)
    controls = rng.normal(0, 2, (2, frames, 1 + harmonics + bands))
    return f0.astype("float32"), controls.astype("float32")


@pytest.mark.parametrize(
    ("harmonics", "bands", "hop"), [(40, 65, 160), (7, 33, 50), (3, 9, 64)]
)
def test_equals_the_block_by_block_reference(harmonics, bands, hop):
    f0, controls = moving_controls(1, 200, harmonics, bands)
    noise = np.random.default_rng(2).uniform(-1, 1, (2, 200 * hop))
    got = ops.convert_to_numpy(
        synthesize(
            f0,
            controls,
            noise,
            harmonics=harmonics,
            sample_rate=RATE,
            hop=hop,
        )
    )
    for index in range(2):
        expected = reference(
            f0[index, :, 0].astype("float64"),
            controls[index].astype("float64"),
            noise[index],
            harmonics,
            hop,
        )
        assert np.abs(expected).max() > 0.5
        np.testing.assert_allclose(got[index], expected, atol=3e-5)


def test_without_noise_only_the_harmonics_sound():
    f0, controls = moving_controls(3, 20)
    dry = synthesize(f0, controls)
    silent = synthesize(f0, controls, np.zeros((2, 20 * HOP), "float32"))
    np.testing.assert_allclose(dry, silent, atol=1e-6)


@pytest.mark.parametrize("f0_hz", [196.03, 440.0, 2093.7])
def test_the_phase_is_exact_after_a_minute(f0_hz):
    frames = 6000
    vibrato = np.sin(np.arange(frames) * 0.35) * 0.01
    f0 = (f0_hz * 2**vibrato).astype("float32")
    exact = f0.astype("float64")
    before = np.concatenate([exact[:1], exact[:-1]])
    turns = np.cumsum((before + exact) * HOP / (2 * RATE))
    start = np.concatenate([[0.0], turns[:-1]])
    got = ops.convert_to_numpy(block_phase(f0[None, :, None], RATE, HOP))
    error = (got[0, :, 0] - start + 0.5) % 1.0 - 0.5
    # A plain float32 sum of the same turns is off by more than 0.02 cycles.
    assert np.abs(error).max() < 1e-5


def test_nothing_sounds_above_nyquist():
    # 40 harmonics of 450 Hz: from the 18th on they would fold back to
    # frequencies that are no multiples of 450 Hz.
    frames = 100
    f0 = np.full((1, frames, 1), 450.0, "float32")
    controls = np.zeros((1, frames, 1 + HARMONICS + BANDS), "float32")
    audio = ops.convert_to_numpy(synthesize(f0, controls))[0]
    spectrum = np.abs(np.fft.rfft(audio))
    hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
    tones = np.arange(1, 18) * 450
    far = np.abs(hertz[:, None] - tones).min(axis=1) > 1
    assert spectrum[far].max() < 1e-4 * spectrum.max()


def test_the_mask_comes_before_the_normalisation():
    controls = np.zeros((1, 3, 1 + HARMONICS + BANDS), "float32")
    f0 = np.array([200.0, 450.0, 3999.0], "float32")[None, :, None]
    amplitudes = ops.convert_to_numpy(
        scale_controls(f0, controls, HARMONICS, RATE).amplitudes
    )[0]
    assert (amplitudes > 0).sum(axis=-1).tolist() == [39, 17, 2]
    # Whatever is masked, the audible ones share the overall amplitude.
    np.testing.assert_allclose(amplitudes.sum(axis=-1), squash(0.0), rtol=1e-5)


def test_above_nyquist_altogether_is_silence():
    f0 = np.full((1, 4, 1), 9000.0, "float32")
    controls = np.ones((1, 4, 1 + HARMONICS + BANDS), "float32")
    assert np.abs(synthesize(f0, controls)).max() == 0.0


def test_exp_sigmoid_keeps_its_gradient_finite():
    x = np.array([-200.0, -30.0, 0.0, 30.0], "float32")
    np.testing.assert_allclose(
        exp_sigmoid(x), squash(x.astype("float64")), rtol=1e-5
    )
    layer = Probe(x)
    _, gradient = loss_and_gradient(layer)
    assert np.isfinite(gradient).all()
    assert gradient[2] > 0.1


class Probe(keras.Model):
    """Trains what it is given, to read gradients on either backend."""

    def __init__(self, start, function=exp_sigmoid):
        super().__init__()
        self.value = self.add_weight(
            shape=start.shape, initializer=lambda *_, **__: start, name="value"
        )
        self.function = function

    def call(self, x):
        return self.function(self.value)[None] + 0 * x


def loss_and_gradient(model):
    """Reads the gradient of the summed output off one step of plain SGD."""
    rate = 1e8  # large, so that small gradients are not lost in rounding
    before = model.value.numpy().copy()
    model.compile(
        keras.optimizers.SGD(rate),
        loss=lambda _, y: ops.sum(y),
        jit_compile=False,
    )
    x = np.zeros((1, 1), "float32")
    loss = model.train_on_batch(x, x)
    return loss, (before - model.value.numpy()) / rate


def test_gradients_reach_every_control():
    f0, controls = moving_controls(5, 6)
    noise = np.random.default_rng(6).uniform(-1, 1, (1, 6 * HOP))
    target = np.random.default_rng(7).normal(size=6 * HOP).astype("float32")

    def against_target(value):
        audio = synthesize(f0[:1], value[None], noise.astype("float32"))
        return ops.sum(audio[0] * target)[None]

    _, gradient = loss_and_gradient(Probe(controls[0], against_target))
    audible = np.arange(1, HARMONICS + 1) * f0[0] < RATE / 2
    assert (gradient[:, 1 : 1 + HARMONICS] != 0)[audible].all()
    assert (gradient[:, 0] != 0).all()
    assert (gradient[:, 1 + HARMONICS :] != 0).all()

    # One control nudged, in float64, agrees with the slope.
    def exact(value):
        start = f0[0, :, 0].astype("float64")
        return reference(start, value, noise[0]) @ target

    for where in [(2, 0), (3, 4), (1, HARMONICS + 9)]:
        nudge = np.zeros(controls[0].shape)
        nudge[where] = 1e-5
        base = controls[0].astype("float64")
        slope = (exact(base + nudge) - exact(base - nudge)) / 2e-5
        assert gradient[where] == pytest.approx(slope, rel=1e-2, abs=1e-3)


def test_filtered_noise_takes_the_shape_of_its_filter():
    frames = 400
    magnitudes = np.zeros((1, frames, BANDS), "float32")
    magnitudes[..., 16:25] = 1.0  # 2 to 3 kHz of 8
    noise = np.random.default_rng(8).uniform(-1, 1, (1, frames * HOP))
    audio = filtered_noise(magnitudes, noise.astype("float32"), HOP)
    power = np.abs(np.fft.rfft(ops.convert_to_numpy(audio)[0])) ** 2
    hertz = np.fft.rfftfreq(frames * HOP, 1 / RATE)
    inside = power[(hertz > 2100) & (hertz < 2900)].mean()
    outside = power[(hertz < 1500) | (hertz > 3500)].mean()
    assert outside < 1e-4 * inside
    assert inside / (frames * HOP) == pytest.approx(1 / 3, rel=0.1)


def test_the_amplitude_glides_between_frames():
    f0 = np.full((1, 3, 1), 100.0, "float32")
    amplitudes = np.array([0.0, 1.0, 1.0], "float32")[None, :, None]
    audio = harmonic_oscillator(f0, amplitudes, RATE, HOP)
    audio = ops.convert_to_numpy(audio)[0]
    assert np.abs(audio[:HOP]).max() == 0.0  # before frame 0 stands frame 0
    n = np.arange(1, HOP + 1)
    rise = 0.5 - 0.5 * np.cos(np.pi * n / HOP)
    sine = np.sin(2 * np.pi * 100 * (n + HOP) / RATE)
    np.testing.assert_allclose(audio[HOP : 2 * HOP], rise * sine, atol=1e-5)


def layer_model(**options):
    f0 = keras.Input((None, 1))
    controls = keras.Input((None, 1 + HARMONICS + BANDS))
    layer = Synthesizer(RATE, HOP, HARMONICS, BANDS, **options)
    return keras.Model([f0, controls], layer(f0, controls))


def test_the_layer_takes_any_length():
    model = layer_model()
    assert model.output_shape == (None, None)
    for frames in (1, 3, 10):
        f0, controls = moving_controls(9, frames)
        assert model.predict([f0, controls], verbose=0).shape == (
            2,
            frames * HOP,
        )
    shape = Synthesizer().compute_output_shape((2, 7, 1), (2, 7, 106))
    assert shape == (2, 7 * HOP)


def test_noise_is_fresh_in_training_and_fixed_in_evaluation():
    f0, controls = moving_controls(10, 5)
    model = layer_model(seed=3)
    first = model.predict([f0, controls], verbose=0)
    np.testing.assert_array_equal(
        first, model.predict([f0, controls], verbose=0)
    )
    layer = model.layers[-1]
    drawn = [
        ops.convert_to_numpy(layer(f0, controls, training=True))
        for _ in range(2)
    ]
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-3
    np.testing.assert_array_equal(
        first, model.predict([f0, controls], verbose=0)
    )
    other = layer_model(seed=4).predict([f0, controls], verbose=0)
    assert np.abs(first - other).max() > 1e-3


def test_save_and_load(tmp_path):
    f0, controls = moving_controls(11, 5)
    model = layer_model(seed=5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        model.predict([f0, controls], verbose=0),
        loaded.predict([f0, controls], verbose=0),
    )


def test_a_decoder_of_the_wrong_width_is_named():
    with pytest.raises(InputError, match=r"106.*Received: .*, 90\)"):
        Synthesizer()(np.zeros((1, 2, 1)), np.zeros((1, 2, 90)))


JAX_SCRIPT = """
import sys, numpy as np, keras
from tf_diet.audio.synthesis import synthesize
assert keras.backend.backend() == "jax"
assert "tensorflow" not in sys.modules
data = np.load(sys.argv[1])
import jax
audio = jax.jit(synthesize)(data["f0"], data["controls"], data["noise"])
np.save(sys.argv[2], np.asarray(audio))
"""


@pytest.mark.slow
def test_jax_gives_the_same_sound(tmp_path):
    f0, controls = moving_controls(12, 30)
    noise = np.random.default_rng(13).uniform(-1, 1, (2, 30 * HOP))
    source, target = tmp_path / "in.npz", tmp_path / "out.npy"
    np.savez(source, f0=f0, controls=controls, noise=noise.astype("float32"))
    subprocess.run(
        [sys.executable, "-c", JAX_SCRIPT, source, target],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
    here = synthesize(f0, controls, noise)
    np.testing.assert_allclose(np.load(target), here, atol=1e-4)
