# SPDX-License-Identifier: MIT
"""The losses know what is near and what is far."""

import keras
import numpy as np
import pytest
from keras import ops

from tf_diet.audio.losses import MultiScaleSpectralLoss, loudness_error
from tf_diet.errors import InputError

RATE = 16000


def note(f0, seed, noise=0.003, samples=8000, shift=0):
    """A decaying harmonic tone over a floor of noise."""
    t = (np.arange(samples) + shift) / RATE
    tone = sum(np.sin(2 * np.pi * f0 * k * t) / k**1.5 for k in range(1, 12))
    random = np.random.default_rng(seed)
    sound = 0.2 * tone * np.exp(-2 * t) + noise * random.normal(size=samples)
    return sound.astype("float32")[None]


def plain(true, pred, windows, floor, overlaps):
    """The definition, one frame at a time, in float64."""
    total = 0.0
    for window in windows:
        hop = window // overlaps
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        magnitudes = []
        for sound in (true, pred):
            end = window // 2 + (-len(sound)) % hop
            sound = np.pad(sound.astype("float64"), (window // 2, end))
            magnitudes.append(
                [
                    np.abs(np.fft.rfft(sound[i : i + window] * hann))
                    for i in range(0, len(sound) - window + 1, hop)
                ]
            )
        a, b = np.array(magnitudes)
        total += np.abs(a - b).mean()
        total += np.abs(np.log(a + floor) - np.log(b + floor)).mean()
    return total


@pytest.mark.parametrize("samples", [8000, 7777, 40])
@pytest.mark.parametrize(
    ("loss", "overlaps"),
    [
        (MultiScaleSpectralLoss(), 4),
        (MultiScaleSpectralLoss.paper(overlap=0.5), 2),
    ],
)
def test_equals_its_definition(loss, overlaps, samples):
    true, pred = note(220, 1, samples=samples), note(230, 2, samples=samples)
    expected = plain(true[0], pred[0], loss.windows, loss.floor, overlaps)
    assert float(loss(true, pred)) == pytest.approx(expected, rel=1e-3)


def test_equal_sounds_are_at_distance_zero():
    sound = np.concatenate([note(220, 1), np.zeros((1, 8000), "float32")])
    assert float(MultiScaleSpectralLoss()(sound, sound)) == 0.0


def test_a_batch_is_the_mean_of_its_sounds():
    true = np.concatenate([note(220, 1), note(300, 2)])
    pred = np.concatenate([note(225, 3), note(500, 4)])
    loss = MultiScaleSpectralLoss((512, 64))
    each = [float(loss(true[i : i + 1], pred[i : i + 1])) for i in range(2)]
    assert each[1] > each[0]
    assert float(loss(true, pred)) == pytest.approx(np.mean(each), rel=1e-5)
    separate = MultiScaleSpectralLoss((512, 64), reduction=None)(true, pred)
    np.testing.assert_allclose(separate, each, rtol=1e-5)


def test_the_ladder_of_references_is_in_order():
    target = note(440, 1)
    rms = np.sqrt(np.mean(target**2))
    white = np.random.default_rng(9).normal(0, rms, target.shape)
    ladder = {
        "itself": target,
        "out of phase": note(440, 2, shift=37),
        "a semitone off": note(440 * 2 ** (1 / 12), 3),
        "without its noise": note(440, 4, noise=0.0),
        "white noise": white.astype("float32"),
        "silence": np.zeros_like(target),
    }
    loss = MultiScaleSpectralLoss()
    values = [float(loss(target, sound)) for sound in ladder.values()]
    assert values == sorted(values)
    assert np.diff(values).min() > 0.3


def test_the_slope_at_silence_is_finite():
    model = keras.Sequential([keras.Input((256,)), keras.layers.Dense(256)])
    model.compile("sgd", MultiScaleSpectralLoss((128, 32)), jit_compile=False)
    silence = np.zeros((2, 256), "float32")
    model.fit(silence, silence + 0.1, epochs=2, verbose=0)
    for weights in model.get_weights():
        assert np.isfinite(weights).all()


def test_save_and_load(tmp_path):
    loss = MultiScaleSpectralLoss((256, 64), floor=1e-3, overlap=0.5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.windows == (256, 64)
    assert (again.floor, again.overlap) == (1e-3, 0.5)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
    model.compile("sgd", loss)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.loss.windows == (256, 64)


def test_bad_shapes_and_windows_are_named():
    with pytest.raises(InputError, match=r"Received: \(1, 64, 1\)"):
        MultiScaleSpectralLoss()(np.zeros((1, 64, 1)), np.zeros((1, 64, 1)))
    with pytest.raises(InputError, match=r"Received: windows \(64, 30\)"):
        MultiScaleSpectralLoss((64, 30))(np.zeros((1, 64)), np.zeros((1, 64)))


def test_loudness_error_is_the_gain_in_db():
    target = np.concatenate([note(440, 1), note(880, 2)])
    assert loudness_error(target, target) == 0.0
    assert loudness_error(target, target / 2) == pytest.approx(6.02, abs=0.05)
    with pytest.raises(InputError, match=r"\(2, 8000\) and \(1, 8000\)"):
        loudness_error(target, target[:1])


def test_tensors_are_welcome():
    target = ops.convert_to_tensor(note(440, 1))
    assert loudness_error(target, target) == 0.0
