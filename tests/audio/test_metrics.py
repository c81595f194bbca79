# SPDX-License-Identifier: MIT
"""Losses, metrics and baselines against plain numpy."""

import sys
import types

import keras
import numpy as np
import pytest
import scipy.signal

from tf_diet.audio import baselines, metrics, mu_law
from tf_diet.audio.log_power import LogPowerSpectralLoss
from tf_diet.errors import InputError, MissingDependencyError


def tone(hertz, seconds=0.5, level=0.3):
    return level * np.sin(
        2 * np.pi * hertz * np.arange(int(seconds * 16000)) / 16000
    )


def spectra(sound, size, hop):
    padded = np.pad(sound, size // 2)
    starts = range(0, len(padded) - size + 1, hop)
    taper = scipy.signal.get_window("hann", size)
    return np.array([np.fft.rfft(padded[i : i + size] * taper) for i in starts])


@pytest.mark.parametrize("squared", [True, False])
def test_the_log_power_loss(squared):
    rng = np.random.default_rng(0)
    true, pred = rng.normal(size=(2, 3, 2048))
    wanted = []
    for one, other in zip(true, pred, strict=True):
        logs = [
            np.log(1 + np.abs(spectra(s, 512, 128)) ** 2) for s in (one, other)
        ]
        apart = logs[0] - logs[1]
        wanted.append(np.mean(apart**2 if squared else np.abs(apart)))
    loss = LogPowerSpectralLoss(window=512, squared=squared, reduction=None)
    got = loss(true.astype("float32"), pred.astype("float32"))
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-4)
    again = LogPowerSpectralLoss.from_config(loss.get_config())
    assert again.squared == squared
    with pytest.raises(InputError, match="channel axis"):
        loss(np.zeros((1, 64, 1)), np.zeros((1, 64, 1)))
    with pytest.raises(InputError, match="whole numbers of hops"):
        LogPowerSpectralLoss(512, overlap=0.7)(true, pred)


def test_its_gradient_is_finite_for_silence():
    layer = keras.layers.Dense(512, use_bias=True)
    inputs = keras.Input((1,))
    model = keras.Model(inputs, layer(inputs))
    layer.kernel.assign(np.zeros((1, 512)))
    model.compile("sgd", LogPowerSpectralLoss(window=256))
    target = tone(440)[None, :512].astype("float32")
    model.train_on_batch(np.ones((1, 1), "float32"), target)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_log_spectral_distance_is_a_level_where_that_is_all():
    sound = np.stack([tone(440), tone(660)])
    assert metrics.log_spectral_distance(sound, sound) == 0
    louder = metrics.log_spectral_distance(sound, sound * 10 ** (6 / 20))
    assert louder == pytest.approx(6.0, abs=0.02)
    # What is lost below the gate does not count.
    rng = np.random.default_rng(0)
    noisy = sound + 1e-6 * rng.normal(size=sound.shape)
    assert metrics.log_spectral_distance(sound, noisy) < 0.1
    far = metrics.log_spectral_distance(sound, np.zeros_like(sound))
    assert 20 < far <= 60
    with pytest.raises(InputError, match="silent"):
        metrics.log_spectral_distance(np.zeros((1, 4000)), sound[:1, :4000])
    with pytest.raises(InputError, match="one shape"):
        metrics.log_spectral_distance(sound, sound[:1])


def test_bits_per_sample():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 6, 256)).astype("float32")
    codes = rng.integers(0, 256, (2, 6))
    chances = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    bits = -np.log2(np.take_along_axis(chances, codes[..., None], -1)[..., 0])
    got = metrics.BitsPerSample()(codes, logits)
    assert float(got) == pytest.approx(bits.mean(), rel=1e-5)
    skipped = metrics.BitsPerSample(skipped=4)(codes, logits)
    assert float(skipped) == pytest.approx(bits[:, 4:].mean(), rel=1e-5)
    flat = metrics.BitsPerSample()(codes, np.zeros_like(logits))
    assert float(flat) == pytest.approx(baselines.uniform_bits(), rel=1e-6)
    with pytest.raises(InputError, match="nothing to count"):
        metrics.BitsPerSample(skipped=6)(codes, logits)
    with pytest.raises(InputError, match="compared with logits"):
        metrics.BitsPerSample()(codes, logits[..., 0])


def test_f0_error_counts_sure_frames():
    true = np.full((1, 10), 440.0)
    pred = true * 2 ** (10 / 1200)
    pred[0, 5:] *= 2
    sure = np.r_[np.ones(5), np.zeros(5)][None]
    assert metrics.f0_error(true, pred, sure) == pytest.approx(10, abs=1e-6)
    assert metrics.f0_error(true, pred) == pytest.approx(610, abs=1e-6)
    with pytest.raises(InputError, match="0 frames to count"):
        metrics.f0_error(true, pred, 0 * sure)


def test_pitch_accuracy_hears_the_note():
    audio = np.stack([tone(440), tone(440 * 2 ** (1 / 12))])
    assert metrics.pitch_accuracy(audio, [69, 70]) > 0.9
    assert metrics.pitch_accuracy(audio, [70, 69]) < 0.1
    noise = np.random.default_rng(0).normal(size=(1, 8000)) * 0.1
    assert metrics.pitch_accuracy(noise, [69]) < 0.5
    with pytest.raises(InputError, match="a pitch each"):
        metrics.pitch_accuracy(audio, [69])
    # Where the recording is silent, nothing is asked of what was made.
    half = np.concatenate([tone(440)[:4000], np.zeros(4000)])[None]
    where = metrics.sounding(half, [69])
    assert 0.4 < where.mean() < 0.6
    assert metrics.pitch_accuracy(half, [69]) < 0.6
    assert metrics.pitch_accuracy(half, [69], counted=where) == 1.0
    # Zeros and ones say the same; they are no numbers of rows.
    ones = where.astype(int)
    assert metrics.pitch_accuracy(half, [69], counted=ones) == 1.0
    with pytest.raises(InputError, match="0 of them"):
        metrics.pitch_accuracy(half, [69], counted=where & False)


def test_a_missing_visqol_is_named():
    try:
        import visqol  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match=r"tf_diet\[visqol\]"):
            metrics.visqol(np.zeros((1, 10)), np.zeros((1, 10)))
    else:
        sound = tone(440, 1.0)[None] * np.hanning(16000)
        same = metrics.visqol(sound, sound)
        noisy = metrics.visqol(sound, sound + 0.05 * np.sin(sound * 900))
        assert same > 4.5
        assert noisy < same
        assert metrics.visqol(sound, 0 * sound) == 1.0


def test_silence_has_the_least_visqol_and_is_not_asked_for(monkeypatch):
    class Api:
        def create(self, mode):
            assert mode == "audio"

        def measure_from_arrays(self, one, other, rate):
            assert one.any()
            assert other.any()
            assert len(one) == len(other) == rate
            return types.SimpleNamespace(moslqo=4.0)

    fake = types.ModuleType("visqol")
    fake.VisqolApi = Api
    monkeypatch.setitem(sys.modules, "visqol", fake)
    true = np.stack([tone(440, 1.0), tone(330, 1.0)])
    pred = true * [[1.0], [0.0]]
    assert metrics.visqol(true, pred) == 2.5
    assert metrics.visqol(pred, pred) == 2.5


def test_code_models_know_what_they_have_counted():
    sound = np.stack([tone(330), tone(440)])
    codes = mu_law.encode(sound)
    train, test = codes[:, :4000], codes[:, 4000:]
    uniform = baselines.uniform_bits()
    unigram = baselines.unigram_bits(train, test)
    bigram = baselines.bigram_bits(train, test)
    assert bigram < unigram < uniform == 8.0
    # One added to each: never impossible, and nothing known is uniform.
    few = np.full((1, 1), 128)
    assert baselines.unigram_bits(few, few) == pytest.approx(np.log2(257 / 2))
    assert baselines.bigram_bits(few, few) == pytest.approx(np.log2(257 / 2))
    other = np.full((1, 1), 3)
    assert baselines.bigram_bits(other, few) == pytest.approx(np.log2(257))
    with pytest.raises(InputError, match="between 0 and 255"):
        baselines.unigram_bits(np.array([[256]]), few)
    with pytest.raises(InputError, match="integers"):
        baselines.bigram_bits(sound, few)


def test_the_nearest_note_is_of_the_instrument_first():
    labels = np.array([[0, 60, 100], [0, 70, 100], [5, 66, 100], [0, 60, 50]])
    audio = np.arange(4.0)[:, None] * np.ones(3)
    wanted = [[0, 66, 100], [1, 66, 100], [0, 61, 60]]
    found = baselines.nearest_notes(labels, wanted, audio)
    assert found[:, 0].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(InputError, match="instrument, pitch and velocity"):
        baselines.nearest_notes(labels[:, :2], wanted, audio)
