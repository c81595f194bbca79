# SPDX-License-Identifier: MIT
"""Crops are what each model trains on."""

import dataclasses

import keras
import numpy as np
import pytest
import soundfile

from tf_diet.audio import baselines, mu_law
from tf_diet.audio.clips import Settings
from tf_diet.audio.extraction import extract
from tf_diet.audio.features import log_mel
from tf_diet.audio.metrics import BitsPerSample
from tf_diet.audio.sources import read_source
from tf_diet.audio.tuning import hertz
from tf_diet.errors import InputError
from tf_diet.models import (
    DDSPConfig,
    SINGConfig,
    WaveNetConfig,
    ddsp,
    sing_autoencoder,
    wavenet,
)
from tf_diet.models.examples import (
    ddsp_clips,
    ddsp_examples,
    sing_examples,
    sing_latents,
    sing_notes,
    wavenet_examples,
)

pytestmark = pytest.mark.slow

HOW = Settings(sample_rate=8000, hop=80, mel_hop=80, seconds=0.4)
NET = WaveNetConfig(
    cycles=2,
    layers=5,
    channels=12,
    skip_channels=24,
    conditioning=80,
    hop=80,
    instruments=2,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    for number in range(8):
        time = np.arange(3200) / 8000
        pitch = 60 + number
        partials = range(1, 2 + 3 * (number % 2))
        sound = sum(
            np.sin(2 * np.pi * hertz(pitch) * k * time) / k for k in partials
        )
        sound = 0.3 * sound * np.exp(-3 * time) + 0.002 * rng.normal(size=3200)
        name = "ab"[number % 2]
        note = ("C4", "Cs4", "D4", "Ds4", "E4", "F4", "Fs4", "G4")[number]
        soundfile.write(folder / f"{name}_{note}.wav", sound, 8000)
    names = ("audio", "codes", "log_mel", "f0", "loudness", "mfcc")
    return extract(
        read_source(folder), names, HOW, cache=folder / "cache", jobs=1
    )


def test_ddsp_crops_line_up(dataset):
    make = ddsp_examples(frames=10, latent=True)
    rng = np.random.default_rng(0)
    starts = set()
    for _ in range(30):
        x, y = make(dataset, dataset.clips[1], rng)
        shapes = {name: value.shape for name, value in x.items()}
        assert shapes == {
            "f0": (10, 1),
            "loudness": (10, 1),
            "instrument": (10, 2),
            "mfcc": (10, 30),
        }
        whole = dataset.clips[1].get("audio")
        (start,) = [i for i in range(31) if (whole[80 * i :][:800] == y).all()]
        starts.add(start)
        loudness = dataset.clips[1].get("loudness")[start : start + 10]
        np.testing.assert_array_equal(x["loudness"][:, 0], loudness)
    assert len(starts) > 10
    assert 0 in starts
    assert dataset.instruments[x["instrument"][0].argmax()] == "a"
    config = DDSPConfig.preset("tiny", hop=80, sample_rate=8000, instruments=2)
    model = ddsp(config)
    model.compile("adam", "mse")
    batches = dataset.batches(ddsp_examples(frames=10), batch=3, steps=2)
    model.fit(batches, verbose=0)


@pytest.mark.parametrize("latent", [0, 4])
@pytest.mark.parametrize("instruments", [0, 2])
def test_whole_clips_and_crops_of_them(dataset, latent, instruments):
    config = DDSPConfig.preset("tiny", latent=latent, instruments=instruments)
    x, y = ddsp_clips(config, dataset)
    shapes = {"f0": (8, 40, 1), "loudness": (8, 40, 1)}
    if instruments:
        shapes["instrument"] = (8, 40, 2)
        np.testing.assert_array_equal(
            x["instrument"].argmax(-1)[:, 0], dataset.labels()[:, 0]
        )
    if latent:
        shapes["mfcc"] = (8, 40, 30)
    assert {name: value.shape for name, value in x.items()} == shapes
    assert all(value.dtype == np.float32 for value in x.values())
    np.testing.assert_array_equal(y[3], dataset.clips[3].get("audio"))
    crops, sounds = ddsp_clips(config, dataset, 16, 10)
    assert len(sounds) == 3 * 8
    for number, start in enumerate((0, 10, 20)):
        rows = slice(8 * number, 8 * number + 8)
        for name, value in crops.items():
            np.testing.assert_array_equal(
                value[rows], x[name][:, start : start + 16]
            )
        np.testing.assert_array_equal(
            sounds[rows], y[:, 80 * start : 80 * (start + 16)]
        )
    assert len(ddsp_clips(config, dataset, 16)[1]) == 2 * 8
    with pytest.raises(InputError, match="41 frames of 40"):
        ddsp_clips(config, dataset, 41)


def test_wavenet_crops_weigh_what_has_its_past(dataset):
    make = wavenet_examples(NET, frames=2, gain=0)
    assert NET.receptive_field == 63
    rng = np.random.default_rng(1)
    kinds = set()
    for _ in range(40):
        x, y, weights = make(dataset, dataset.clips[2], rng)
        codes = dataset.clips[2].get("codes")
        (start,) = [i for i in range(39) if (codes[80 * i :][:160] == y).all()]
        assert x["codes"][0] == mu_law.SILENCE
        np.testing.assert_array_equal(x["codes"][1:], y[:-1])
        mel = dataset.clips[2].get("log_mel")[start : start + 2]
        np.testing.assert_array_equal(x["conditioning"], mel)
        assert weights.mean() == pytest.approx(1)
        lost = 62 if start else 0
        assert (weights[:lost] == 0).all()
        assert (weights[lost:] > 0).all()
        kinds.add(bool(start))
    assert kinds == {True, False}


def test_a_crops_weighed_logits_are_those_of_the_whole_note(dataset):
    model = wavenet(NET)
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.normal(0, 0.3, w.shape) for w in model.get_weights()]
    )
    clip = dataset.clips[0]
    codes = clip.get("codes")[None].astype("int32")
    whole = model.predict(
        {
            "codes": mu_law.teacher(codes)[0],
            "conditioning": clip.get("log_mel")[None],
            "instrument": np.zeros((1, 1), "int32"),
        },
        verbose=0,
    )[0]
    make = wavenet_examples(NET, frames=3, gain=0)
    for _ in range(6):
        x, y, weights = make(dataset, clip, rng)
        got = model.predict({k: v[None] for k, v in x.items()}, verbose=0)[0]
        start = next(
            80 * i for i in range(38) if (codes[0, 80 * i :][:240] == y).all()
        )
        wanted = whole[start : start + 240]
        counted = weights > 0
        # The first input of a crop is silence, not the code before it.
        counted[: NET.receptive_field if start else 0] = False
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(
            got[counted], wanted[counted], atol=1e-4 * scale
        )


def test_wavenet_crops_come_at_other_pitches(dataset):
    make = wavenet_examples(NET, frames=16, gain=0, shift=5.0)
    rng = np.random.default_rng(0)
    clip, moved, begun = dataset.clips[0], [], 0
    for _ in range(40):
        x, y, weights = make(dataset, clip, rng)
        sound = mu_law.decode(y)
        peak = np.abs(np.fft.rfft(sound * np.hanning(1280), 2**17)).argmax()
        moved.append(12 * np.log2(peak * 8000 / 2**17 / hertz(60)))
        # The frames are of what is heard, where a crop tells all of it: their
        # windows reach 27 ms to both sides.
        first = 0 if weights[0] else 4
        begun += first == 0
        heard = log_mel(sound, 8000, 80)[first:-4]
        loud = heard > heard.max() - 0.2
        np.testing.assert_allclose(
            x["conditioning"][first:-4][loud], heard[loud], atol=0.02
        )
    assert 0 < begun < 40
    assert -5.1 < min(moved) < -3.5
    assert 3.5 < max(moved) < 5.1


def test_what_is_told_no_frames_needs_none(dataset):
    config = dataclasses.replace(NET, conditioning=0)
    clip = dataset.clips[0]
    paths = {k: v for k, v in clip.paths.items() if k != "log_mel"}
    clip = dataclasses.replace(clip, paths=paths)
    for shift in (0.0, 5.0):
        make = wavenet_examples(config, frames=4, shift=shift)
        x, _, _ = make(dataset, clip, np.random.default_rng(0))
        assert set(x) == {"codes", "instrument"}


def test_a_crop_at_its_own_pitch_is_itself(dataset):
    for clip in dataset.clips[:3]:
        (x, y, weights), (x2, y2, weights2) = (
            wavenet_examples(NET, frames=4, gain=0, shift=shift)(
                dataset, clip, np.random.default_rng(3)
            )
            for shift in (0.0, 1e-9)
        )
        np.testing.assert_array_equal(weights, weights2)
        np.testing.assert_allclose(y, y2, atol=1)
        np.testing.assert_allclose(
            x["conditioning"], x2["conditioning"], atol=0.01
        )


def test_wavenet_crops_come_at_other_levels(dataset):
    make = wavenet_examples(NET, frames=4, gain=6.0)
    rng = np.random.default_rng(0)
    clip, levels = dataset.clips[0], set()
    whole = clip.get("log_mel")
    for _ in range(20):
        x, y, _ = make(dataset, clip, rng)
        found = x["conditioning"]
        # Which crop it is, the levels of its bands tell.
        apart = [found - whole[at : at + 4] for at in range(len(whole) - 3)]
        level = 100 * apart[int(np.argmin([a.std() for a in apart]))]
        assert level.std() < 1e-3
        assert abs(level.mean()) <= 6.01
        levels.add(round(float(level.mean()), 2))
        # Frames as they are found in the very sound that is learned.
        sound = mu_law.decode(y)
        again = log_mel(sound, HOW.sample_rate, NET.hop)
        loud = found[1:3] > found[1:3].max() - 0.3
        np.testing.assert_allclose(
            again[1:3][loud], found[1:3][loud], atol=0.02
        )
    assert len(levels) > 15


def test_noise_is_added_to_what_is_read_and_not_to_what_is_predicted(dataset):
    clean, noisy = (
        wavenet_examples(NET, frames=4, gain=0, noise=noise)
        for noise in (0.0, 3.0)
    )
    apart = []
    for seed in range(20):
        x, y, _ = clean(dataset, dataset.clips[0], np.random.default_rng(seed))
        off, same, _ = noisy(
            dataset, dataset.clips[0], np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(same, y)
        np.testing.assert_array_equal(off["conditioning"], x["conditioning"])
        assert off["codes"].dtype == x["codes"].dtype
        assert off["codes"].min() >= 0
        assert off["codes"].max() < NET.classes
        apart.append(off["codes"] - x["codes"])
    assert np.std(apart) == pytest.approx(3, rel=0.05)
    assert np.mean(apart) == pytest.approx(0, abs=0.1)


def test_what_has_no_past_weighs_as_much_as_is_asked_for(dataset):
    make = wavenet_examples(NET, frames=4, gain=0, unheard=0.25)
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(20):
        _, _, weights = make(dataset, dataset.clips[0], rng)
        assert weights.mean() == pytest.approx(1)
        lost = weights[: NET.receptive_field - 1] / weights[-1]
        assert np.ptp(lost) == 0
        kinds.add(round(float(lost[0]), 3))
    assert kinds == {0.25, 1.0}


def test_a_wavenet_learns_more_than_pairs_of_codes(dataset):
    keras.utils.set_random_seed(0)
    model = wavenet(NET)
    model.compile(
        keras.optimizers.Adam(5e-3), BitsPerSample(), jit_compile=True
    )
    batches = dataset.batches(
        wavenet_examples(NET, frames=6), batch=8, steps=40, seed=0
    )
    model.fit(batches, epochs=6, verbose=0)
    arrays = dataset.arrays(["codes", "log_mel", "instrument"])
    codes = arrays["codes"].astype("int32")
    inputs, targets = mu_law.teacher(codes)
    logits = model.predict(
        {
            "codes": inputs,
            "conditioning": arrays["log_mel"],
            "instrument": arrays["instrument"][:, None],
        },
        verbose=0,
    )
    bits = float(BitsPerSample()(targets, logits))
    assert bits < baselines.bigram_bits(codes, codes)


def test_sing_sounds_come_at_other_levels_and_moments(dataset):
    config = SINGConfig(
        channels=16, latent=4, context=3, window=64, stride=16, samples=3200
    )
    make = sing_examples(config, gain=6.0, shift=100)
    rng = np.random.default_rng(0)
    whole = dataset.clips[0].get("audio")
    seen = set()
    for _ in range(20):
        x, y = make(dataset, dataset.clips[0], rng)
        assert x is y
        assert x.shape == (3200,)
        late = int(np.argmax(np.abs(x) > 0))
        level = np.abs(x).max() / np.abs(whole[: 3200 - late]).max()
        assert 0.49 < level < 2.01
        seen.add(late)
    assert len(seen) > 5
    model = sing_autoencoder(config)
    model.compile("adam", "mse")
    model.fit(dataset.batches(make, batch=2, steps=2), verbose=0)


@pytest.mark.parametrize("shift", [0, 3])
def test_sing_notes_sound_the_pitch_that_they_are_told(dataset, shift):
    config = SINGConfig(
        channels=16,
        latent=4,
        context=3,
        window=64,
        stride=16,
        samples=3200,
        instruments=2,
    )
    rng, clip = np.random.default_rng(0), dataset.clips[2]
    frequency = np.fft.rfftfreq(8 * 3200, 1 / 8000)
    seen = set()
    for _ in range(30):
        x, y = sing_notes(config, shift)(dataset, clip, rng)
        assert y.shape == (3200,)
        told = set(x["pitch"].tolist())
        assert len(told) == 1
        (pitch,) = told
        spectrum = np.abs(np.fft.rfft(y, 8 * 3200))
        found = frequency[spectrum.argmax()]
        assert abs(12 * np.log2(found / hertz(pitch))) < 0.3
        seen.add(int(pitch) - clip.note.pitch)
    assert seen == set(range(-shift, shift + 1))
    # No pitch is told that there is no symbol for.
    low = dataclasses.replace(config, pitches=clip.note.pitch + 1)
    make = sing_latents(low, shift)
    told = [make(dataset, clip, rng)[0]["pitch"][0] for _ in range(20)]
    assert max(told) == clip.note.pitch


def test_crops_that_cannot_be(dataset):
    with pytest.raises(InputError, match="receptive field of 63"):
        wavenet_examples(NET.__class__(**{**vars(NET), "hop": 30}), frames=2)
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="longer than a clip"):
        ddsp_examples(frames=50)(dataset, dataset.clips[0], rng)
    other = WaveNetConfig(**{**vars(NET), "hop": 160})
    with pytest.raises(InputError, match=r"mel_hop=config\.hop"):
        wavenet_examples(other, frames=2)(dataset, dataset.clips[0], rng)
