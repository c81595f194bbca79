# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import soundfile

from tf_diet.audio import datasets, features, recordings
from tf_diet.audio.datasets import load_notes
from tf_diet.errors import InputError

RATE = 16000
HOP = 160


def tone(frequency, seconds=0.3, amplitude=0.1, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    return amplitude * np.sin(2 * np.pi * frequency * time)


@pytest.fixture
def folder(tmp_path):
    """Two notes of two instruments, one of them stereo at another rate."""
    place = tmp_path / "sounds"
    place.mkdir()
    soundfile.write(place / "violin_A4.wav", tone(441, 0.65), RATE)
    other = tone(523.25, 0.35, 0.2, rate=22050)
    soundfile.write(place / "flute-C5.flac", np.c_[other, other], 22050)
    return place


@pytest.fixture
def load(folder, tmp_path):
    def call(**settings):
        cache = tmp_path / "cache"
        return load_notes(folder, seconds=0.3, **{"cache": cache} | settings)

    return call


class TestLoad:
    def test_a_folder_of_named_files(self, load):
        notes = load()
        assert notes.instruments == ("flute", "violin")
        assert notes.names == (
            "flute-C5.flac#0",
            "violin_A4.wav#0",
            "violin_A4.wav#1",
        )
        assert notes.recordings == ("flute-C5", "violin_A4", "violin_A4")
        np.testing.assert_array_equal(notes.pitch, [72, 69, 69])
        np.testing.assert_array_equal(notes.instrument, [0, 1, 1])
        assert notes.audio.shape == (3, 4800)
        assert notes.f0.shape == notes.loudness.shape == (3, 30)
        named = 440 * 2 ** ((notes.pitch[:, None] - 69) / 12)
        assert np.abs(1200 * np.log2(notes.f0 / named)).max() < 10
        for level, audio in zip(notes.loudness, notes.audio, strict=True):
            np.testing.assert_array_equal(
                level, features.loudness(audio, RATE, HOP)
            )

    def test_resampled_stereo_keeps_its_level(self, load):
        np.testing.assert_allclose(
            np.abs(load().audio[0, 400:-400]).max(), 0.2, rtol=0.02
        )

    def test_the_folder_names_instruments_that_files_do_not(self, tmp_path):
        place = tmp_path / "Cello"
        place.mkdir()
        soundfile.write(place / "Fs3.wav", tone(185), RATE)
        notes = load_notes(place, seconds=0.3, cache=tmp_path / "cache")
        assert notes.instruments == ("cello",)
        np.testing.assert_array_equal(notes.pitch, [54])

    def test_clips_end_with_their_last_whole_frame(self, load):
        notes = load(hop=128)
        assert notes.audio.shape == (3, 37 * 128)
        assert notes.f0.shape == (3, 37)

    def test_a_wrong_name_is_logged(self, load, folder, caplog):
        with caplog.at_level("WARNING", "absl"):
            load()
            assert not caplog.messages
            random = np.random.default_rng(0)
            noise = random.uniform(-0.1, 0.1, 4800)
            soundfile.write(folder / "violin_A2.wav", noise, RATE)
            load()
        (message,) = caplog.messages
        assert "violin_A2.wav#0: no pitch near MIDI 45" in message

    def test_silent_stretches_are_left_out(self, load, folder):
        sound = np.r_[np.zeros(4800), tone(440), np.zeros(4800)]
        soundfile.write(folder / "violin_A4.wav", sound, RATE)
        assert load().names == ("flute-C5.flac#0", "violin_A4.wav#1")

    def test_hidden_files_are_not_notes(self, load, folder):
        (folder / "._violin_B4.wav").write_bytes(b"resource fork")
        assert len(load()) == 3

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("violin_A4", 69),
            ("C4", 60),
            ("bass-Bb1_soft", 34),
            ("Fs3", 54),
            ("g#5", 80),
            ("C-1", 0),
            ("violin A4 c1", 69),
            ("drum", None),
            ("alpha4", None),
            ("E100", None),
        ],
    )
    def test_note_names(self, name, number):
        assert recordings.note_number(name) == number


class TestBadFiles:
    def test_each_is_listed_with_its_reason(self, load, folder):
        (folder / "violin_B4.wav").write_bytes(b"RIFF, but not really")
        soundfile.write(folder / "violin_C4.wav", np.zeros(RATE), RATE)
        soundfile.write(folder / "violin_D4.flac", tone(294, 0.1), RATE)
        soundfile.write(folder / "violin.wav", tone(294), RATE)
        soundfile.write(folder / "violin_G10.wav", tone(440), RATE)
        broken = np.r_[tone(330), np.nan]
        soundfile.write(folder / "violin_E4.wav", broken, RATE, "FLOAT")
        with pytest.raises(InputError) as caught:
            load()
        message = str(caught.value)
        for words in (
            "violin_B4.wav: unreadable (",
            "violin_C4.wav: silent (its peak is below -60 dBFS)",
            "violin_D4.flac: too short (0.10 s; 0.3 s are needed)",
            "violin.wav: no note in its name",
            "violin_E4.wav: holds samples that are NaN",
        ):
            assert f"{folder}/{words}" in message
        assert "Received: " in message
        assert "A4" not in message.replace("such as A4", "")
        assert "flute-C5" not in message

    def test_a_whisper_is_silence_and_a_little_more_is_not(self, load, folder):
        path = folder / "violin_A4.wav"
        soundfile.write(path, tone(440, amplitude=0.0011), RATE, "FLOAT")
        assert len(load()) == 2
        soundfile.write(path, tone(440, amplitude=0.0009), RATE, "FLOAT")
        with pytest.raises(InputError, match=r"violin_A4\.wav: silent"):
            load()

    def test_sound_outside_the_clips_does_not_count(self, load, folder):
        sound = np.r_[np.zeros(4800), tone(440, 0.1)]
        soundfile.write(folder / "violin_A4.wav", sound, RATE)
        with pytest.raises(InputError, match=r"violin_A4\.wav: silent"):
            load()

    def test_a_note_above_half_the_sample_rate(self, load, folder):
        soundfile.write(folder / "flute_C9.wav", tone(440), RATE)
        with pytest.raises(InputError, match="above half the sample rate"):
            load()

    def test_empty_and_missing_folders(self, tmp_path):
        with pytest.raises(InputError, match="no notes in"):
            load_notes(tmp_path)
        with pytest.raises(InputError, match="does not exist"):
            load_notes(tmp_path / "nowhere")

    @pytest.mark.parametrize(
        "table", ["{", "[]", '{"clips": [{"file": "x"}]}', '{"clips": 3}']
    )
    def test_a_damaged_table(self, folder, table):
        (folder / "notes.json").write_text(table)
        with pytest.raises(InputError, match=r"notes\.json cannot be used"):
            load_notes(folder)

    def test_a_table_that_lists_a_missing_file(self, folder):
        (folder / "notes.json").write_text(
            '{"clips": [{"file": "gone.flac", "instrument": "violin", '
            '"pitch": 69, "recording": "gone"}]}'
        )
        with pytest.raises(InputError, match=r"gone\.flac: missing"):
            load_notes(folder)

    @pytest.mark.parametrize(
        "settings", [{"hop": 0}, {"hop": 9000}, {"sample_rate": 0}]
    )
    def test_settings_that_leave_no_frame(self, load, settings):
        with pytest.raises(InputError, match="at least one frame"):
            load(**settings)


class TestCache:
    @pytest.fixture
    def computed(self, monkeypatch):
        calls = []

        def compute(clip, sample_rate, hop):
            calls.append(clip.name)
            frames = len(clip.audio) // hop
            return np.full(frames, 440.0), np.full(frames, -20.0)

        monkeypatch.setattr(datasets, "_features", compute)
        return calls

    def test_features_are_kept(self, load, computed):
        first = load()
        assert len(computed) == 3
        second = load()
        assert len(computed) == 3
        np.testing.assert_array_equal(first.f0, second.f0)
        np.testing.assert_array_equal(first.loudness, second.loudness)

    def test_other_settings_and_other_sounds_are_computed(
        self, load, folder, computed
    ):
        load()
        load(hop=100)
        assert len(computed) == 6
        soundfile.write(folder / "violin_A4.wav", tone(445), RATE)
        load()
        assert computed[6:] == ["violin_A4.wav#0"]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.write_bytes(b""),
            lambda path: path.write_bytes(path.read_bytes()[:-40]),
            lambda path: path.write_bytes(b"\0" * 600),
            lambda path: np.savez(path, f0=np.zeros(30)),
            lambda path: np.savez(path, f0=np.zeros(3), loudness=np.zeros(3)),
            lambda path: np.savez(
                path, f0=np.full(30, np.nan), loudness=np.zeros(30)
            ),
        ],
    )
    def test_a_damaged_file_is_made_again(
        self, load, computed, tmp_path, damage
    ):
        load()
        victim = sorted((tmp_path / "cache").iterdir())[0]
        whole = victim.read_bytes()
        damage(victim)
        notes = load()
        assert len(computed) == 4
        np.testing.assert_array_equal(notes.f0, 440)
        assert victim.read_bytes() == whole

    def test_only_whole_files_are_left(
        self, load, computed, tmp_path, monkeypatch
    ):
        def killed(path, **arrays):
            path.write_bytes(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(recordings.np, "savez", killed)
        with pytest.raises(KeyboardInterrupt):
            load()
        assert not list((tmp_path / "cache").iterdir())

    def test_a_cache_that_cannot_be_written_is_no_obstacle(
        self, load, computed, tmp_path
    ):
        (tmp_path / "file").write_text("")
        assert len(load(cache=tmp_path / "file")) == 3

    def test_the_default_is_the_users_cache_folder(
        self, load, computed, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        load(cache=None)
        assert len(list((tmp_path / "xdg" / "tf_diet").glob("*.npz"))) == 3
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        load(cache=None)
        kept = tmp_path / "home" / ".cache" / "tf_diet"
        assert len(list(kept.glob("*.npz"))) == 3
