# SPDX-License-Identifier: MIT
"""Features of many files: found once, kept whole, streamed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from tf_diet.audio import extraction, features, mu_law
from tf_diet.audio.clips import Settings
from tf_diet.audio.extraction import extract, extractors
from tf_diet.audio.sources import read_source
from tf_diet.errors import InputError

HOW = Settings(seconds=0.32, hop=160, mel_hop=512)


def tone(hertz, seconds=0.4, rate=16000, level=0.3):
    at = np.arange(int(seconds * rate)) / rate
    return level * np.sin(2 * np.pi * hertz * at)


@pytest.fixture
def sounds(tmp_path):
    """A folder of good files and of every kind of bad one."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    soundfile.write(folder / "flute_A4.wav", tone(440), 16000)
    soundfile.write(folder / "flute_A5.wav", tone(880, 0.7), 16000)
    stereo = np.stack([tone(440, rate=96000), tone(440, rate=96000)], axis=1)
    soundfile.write(folder / "oboe_A4.wav", stereo, 96000)
    soundfile.write(folder / "low_A4.wav", tone(440, rate=8000), 8000)
    soundfile.write(folder / "short_A4.wav", tone(440, 0.1), 16000)
    soundfile.write(folder / "silent_A4.wav", tone(440, level=1e-5), 16000)
    (folder / "broken_A4.wav").write_bytes(b"RIFF, or not")
    (folder / "notes.txt").write_text("none")
    soundfile.write(folder / "high_C9.wav", tone(440), 16000)
    nan = tone(440)
    nan[5] = np.nan
    soundfile.write(folder / "nan_A4.wav", nan, 16000, subtype="FLOAT")
    return folder


def test_good_files_are_used_and_bad_ones_named(sounds, tmp_path):
    dataset = extract(
        read_source(sounds), ("audio",), HOW, cache=tmp_path / "c"
    )
    used = [clip.note.name for clip in dataset.clips]
    assert used == [
        *("flute_A4.wav", "flute_A5.wav", "flute_A5.wav"),
        *("low_A4.wav", "oboe_A4.wav"),
    ]
    why = dict(dataset.problems)
    assert "too short (0.10 s; 0.32 s are needed)" in why["short_A4.wav"]
    assert "silent" in why["silent_A4.wav"]
    assert "unreadable" in why["broken_A4.wav"]
    assert "NaN" in why["nan_A4.wav"]
    assert "above half the sample rate" in why["high_C9.wav"]
    assert len(why) == 5
    told = dataset.summary()
    assert "5 clips" in told
    assert all(name in told for name in why)
    # From 96 kHz and two channels to one at 16 kHz.
    audio = dataset.arrays(["audio"])["audio"]
    np.testing.assert_allclose(audio[4], audio[0], atol=1e-2)


def test_upsampling_is_refused_on_request(sounds, tmp_path):
    refused = extract(
        read_source(sounds),
        ("audio",),
        Settings(seconds=0.32, upsample=False),
        cache=tmp_path / "c",
        jobs=1,
    )
    why = dict(refused.problems)["low_A4.wav"]
    assert "recorded at 8000 Hz, and upsampling to 16000 Hz was refused" in why


def test_features_are_those_of_the_clip(sounds, tmp_path):
    names = ("audio", "f0", "loudness", "log_mel", "codes", "mfcc")
    dataset = extract(read_source(sounds), names, HOW, cache=tmp_path, jobs=1)
    wanted = [*names, "confidence", "pitch", "instrument", "velocity"]
    found = dataset.arrays(wanted)
    size = HOW.samples
    assert size == 5120
    assert {name: value.shape[1:] for name, value in found.items()} == {
        **{"audio": (size,), "codes": (size,)},
        **{"f0": (32,), "confidence": (32,), "loudness": (32,)},
        **{"log_mel": (10, 80), "mfcc": (32, 30)},
        **{"pitch": (), "instrument": (), "velocity": ()},
    }
    cents = 1200 * np.log2(found["f0"][:, 2:-2] / 440)
    np.testing.assert_allclose(cents[[0, 3, 4]], 0, atol=6)
    np.testing.assert_allclose(cents[[1, 2]], 1200, atol=6)
    assert found["confidence"].mean() > 0.6
    np.testing.assert_array_equal(found["codes"], mu_law.encode(found["audio"]))
    # The second half of the longer file is a clip of its own.
    np.testing.assert_allclose(
        found["audio"][2], tone(880, 0.7)[size : 2 * size], atol=1e-4
    )
    names = [dataset.instruments[i] for i in found["instrument"]]
    assert names == ["flute", "flute", "flute", "low", "oboe"]
    assert found["pitch"].tolist() == [69, 81, 81, 69, 69]
    np.testing.assert_allclose(
        found["loudness"][0],
        features.loudness(found["audio"][0], 16000, 160),
    )


def test_log_mel_says_where_the_sound_is():
    sound = np.concatenate([np.zeros(5120), tone(1000, 0.32, level=1.0)])
    frames = features.log_mel(sound, 16000, 512)
    assert frames.shape == (20, 80)
    assert frames[:9].max() < 0.5
    # A sine of full scale is 0 dB, which is 1.
    assert frames[12:18].max() == pytest.approx(1.0, abs=0.03)
    mel = 2595 * np.log10(1 + 1000 / 700)
    librosa_band = frames[15].argmax()
    assert 20 < librosa_band < 40
    assert mel > 0


def test_what_is_kept_is_not_found_again(sounds, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    asked = []
    compute = extractors.get("loudness")

    def counted(clip, pitch, how):
        asked.append(1)
        return compute(clip, pitch, how)

    monkeypatch.setitem(extractors._entries, "loudness", counted)
    source = read_source(sounds)
    first = extract(source, ("loudness",), HOW, cache=cache, jobs=1)
    count = len(asked)
    assert count == 5
    again = extract(source, ("loudness", "audio"), HOW, cache=cache, jobs=1)
    assert len(asked) == count
    # Another name, the same bytes: the same features.
    (sounds / "flute_A4.wav").rename(sounds / "viola_A4.wav")
    extract(read_source(sounds), ("loudness",), HOW, cache=cache, jobs=1)
    assert len(asked) == count
    # Other bytes, or a damaged file: found anew.
    soundfile.write(sounds / "viola_A4.wav", tone(445), 16000)
    path = first.clips[1].paths["loudness"]
    path.write_bytes(path.read_bytes()[:40])
    final = extract(
        read_source(sounds), ("loudness",), HOW, cache=cache, jobs=1
    )
    assert len(asked) == count + 3
    assert len(final) == len(again) == 5


SCRIPT = """
import sys
from tf_diet.audio.clips import Settings
from tf_diet.audio.extraction import extract, register_feature
from tf_diet.audio.sources import read_source

# A plain script, which guards nothing, and a feature of its own.
@register_feature("peak")
def peak(clip, pitch, how):
    return abs(clip).max()

source, how = read_source(sys.argv[1]), Settings(seconds=0.32)
dataset = extract(source, ("f0", "peak"), how, cache=sys.argv[2], jobs=2)
assert (dataset.arrays(["peak"])["peak"] > 0.29).all()
print(len(dataset))
"""


@pytest.mark.slow
def test_a_kill_costs_no_more_than_what_was_worked_on(tmp_path):
    folder, cache = tmp_path / "many", tmp_path / "cache"
    folder.mkdir()
    for number in range(40):
        sound = tone(400 + number, 0.35)
        soundfile.write(folder / f"v{number}_A4.wav", sound, 16000)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(folder), str(cache)]
    process = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + 120
    while len(list(cache.glob("*.npy"))) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p: p.stat().st_mtime_ns for p in cache.glob("*.npy")}
    assert 3 <= len(kept) < 80
    for path in kept:
        shape = (1,) if path.stem.endswith("peak") else (1, 32, 2)
        assert np.load(path).shape == shape
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "40"
    assert all(p.stat().st_mtime_ns == at for p, at in kept.items())


@pytest.fixture
def loudness(tmp_path):
    """Extracts the loudness of files of a folder, in this process."""
    folder = tmp_path / "files"
    folder.mkdir()

    def call(cache=tmp_path / "cache", names=("loudness",), **files):
        for name, sound in files.items():
            soundfile.write(folder / f"{name}.wav", sound, 16000, "FLOAT")
        return extract(read_source(folder), names, HOW, cache=cache, jobs=1)

    return call


def test_silent_stretches_are_left_out(loudness):
    # Clips of 5,120 samples: silent, sounding, silent, and a rest.
    sound = np.r_[np.zeros(5120), tone(440, 0.32), np.zeros(5120), tone(440)]
    dataset = loudness(violin_A4=sound[: 3 * 5120 + 1000])
    assert [(c.note.name, c.index) for c in dataset.clips] == [
        ("violin_A4.wav", 0)
    ]
    assert dataset.clips[0].get("loudness")[5:-5].min() > -20
    with pytest.raises(InputError, match=r"violin_A4\.wav: silent"):
        loudness(violin_A4=np.r_[np.zeros(5120), tone(440, 0.1)])


def test_a_whisper_is_silence_and_a_little_more_is_not(loudness):
    assert len(loudness(violin_A4=tone(440, level=0.0011))) == 1
    with pytest.raises(InputError, match=r"violin_A4\.wav: silent"):
        loudness(violin_A4=tone(440, level=0.0009))


def test_a_wrong_name_is_logged(loudness, caplog):
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 5120)
    with caplog.at_level("WARNING", "absl"):
        loudness(names=("f0",), violin_A4=tone(441, 0.65))
        assert not caplog.messages
        loudness(names=("f0",), violin_A2=noise)
    (message,) = caplog.messages
    assert "violin_A2.wav: no pitch near MIDI 45" in message


def test_the_default_cache_is_the_users(loudness, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    loudness(None, violin_A4=tone(440))
    assert len(list((tmp_path / "xdg" / "tf_diet").glob("*.npy"))) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    loudness(None)
    kept = tmp_path / "home" / ".cache" / "tf_diet"
    assert len(list(kept.glob("*.npy"))) == 1


def test_a_cache_that_cannot_be_written(
    loudness, tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be kept in this folder"):
        loudness(tmp_path / "file", violin_A4=tone(440))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level("WARNING", "absl"):
        dataset = loudness(None)
    assert dataset.clips[0].get("loudness").shape == (32,)
    (message,) = caplog.messages
    assert "will be found again next time" in message


def test_only_whole_files_are_left(loudness, tmp_path, monkeypatch):
    def killed(path, values):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extraction.np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            loudness(violin_A4=tone(440))
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(b"\0" * 600),
    ],
)
def test_a_damaged_file_is_made_again(loudness, tmp_path, damage):
    loudness(violin_A4=tone(440))
    (victim,) = (tmp_path / "cache").iterdir()
    whole = victim.read_bytes()
    damage(victim)
    assert len(loudness()) == 1
    assert victim.read_bytes() == whole


def test_splits_keep_together_what_belongs_together(tmp_path):
    for take in range(10):
        path = tmp_path / f"violin_{take} A4.wav"
        soundfile.write(path, tone(440, 0.7), 16000)
    dataset = extract(
        read_source(tmp_path), ("audio",), HOW, cache=tmp_path / "c"
    )
    parts = dataset.split(seed=1)
    assert {n: len(p) for n, p in parts.items()} == {
        "train": 16,
        "valid": 2,
        "test": 2,
    }
    takes = {n: {c.note.name for c in p.clips} for n, p in parts.items()}
    assert len(set.union(*takes.values())) == sum(map(len, takes.values()))
    with pytest.raises(InputError, match="Too few of what stays together"):
        dataset.split("instrument", valid=0.6, test=0.39)
    with pytest.raises(InputError, match="by='note'"):
        dataset.split("note")


def test_batches_depend_on_their_place_alone(sounds, tmp_path):
    dataset = extract(
        read_source(sounds), ("audio",), HOW, cache=tmp_path, jobs=1
    )

    def crop(data, clip, random):
        audio = data.value(clip, "audio")
        start = random.integers(len(audio) - 100)
        return {"x": audio[start : start + 100]}, audio[start]

    one, two = (dataset.batches(crop, batch=6, steps=3, seed=2) for _ in "ab")
    x, y = one[1]
    assert x["x"].shape == (6, 100)
    assert y.shape == (6,)
    np.testing.assert_array_equal(two[1][0]["x"], x["x"])
    assert one.num_batches == 3
    two.epoch = 1
    assert (two[1][0]["x"] != x["x"]).any()
    two.epoch = 0
    np.testing.assert_array_equal(two[1][0]["x"], x["x"])
    other = dataset.batches(crop, batch=6, steps=3, seed=3)
    assert (other[1][0]["x"] != x["x"]).any()


def test_what_cannot_be_extracted(sounds, tmp_path):
    source = read_source(sounds)
    with pytest.raises(InputError, match="Did you mean 'loudness'"):
        extract(source, ("loudnes",), HOW, cache=tmp_path)
    for impossible in (
        Settings(seconds=0.01),
        Settings(hop=0),
        Settings(sample_rate=0),
    ):
        with pytest.raises(InputError, match="must hold a frame"):
            extract(source, ("audio",), impossible, cache=tmp_path)
    with pytest.raises(InputError, match=r"No file of .* can be used"):
        extract(source, ("audio",), Settings(seconds=9.0), cache=tmp_path)
