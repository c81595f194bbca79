import keras
import numpy as np
import pytest
import soundfile

from tf_diet.audio import datasets, features, recordings
from tf_diet.audio.datasets import NoteSet, batches, load_notes, split
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


def made_up(recordings_each=(6, 10), clips=2, frames=20):
    """A NoteSet of noise; every recording has its own pitch."""
    random = np.random.default_rng(0)
    pairs = [
        (index, take)
        for index, count in enumerate(recordings_each)
        for take in range(count)
        for _ in range(clips)
    ]
    n = len(pairs)
    return NoteSet(
        audio=random.normal(size=(n, frames * HOP)).astype("float32"),
        f0=random.uniform(200, 800, (n, frames)).astype("float32"),
        loudness=random.uniform(-60, 0, (n, frames)).astype("float32"),
        instrument=np.array([index for index, _ in pairs]),
        instruments=tuple("abc"[: len(recordings_each)]),
        pitch=np.array([60 + 2 * take for _, take in pairs]),
        names=tuple(f"{i}_{take}_{k}" for k, (i, take) in enumerate(pairs)),
        recordings=tuple(f"{i}_{take}" for i, take in pairs),
        sample_rate=RATE,
        hop=HOP,
    )


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


class TestNoteSet:
    def test_inputs(self):
        notes = made_up()
        x = notes.inputs()
        assert {name: values.shape for name, values in x.items()} == {
            "f0": (32, 20, 1),
            "loudness": (32, 20, 1),
            "instrument": (32, 20, 2),
        }
        assert all(values.dtype == np.float32 for values in x.values())
        np.testing.assert_array_equal(x["f0"][..., 0], notes.f0)
        np.testing.assert_array_equal(x["loudness"][..., 0], notes.loudness)
        np.testing.assert_array_equal(
            x["instrument"].argmax(-1), notes.instrument[:, None].repeat(20, 1)
        )
        np.testing.assert_array_equal(x["instrument"].sum(-1), 1)

    @pytest.mark.parametrize(
        "indices", [[3, 1], range(2, 4), np.arange(32) % 5 == 0, []]
    )
    def test_select(self, indices):
        notes = made_up()
        some = notes.select(indices)
        at = np.arange(32)[list(indices)]
        assert some.names == tuple(notes.names[i] for i in at)
        assert some.recordings == tuple(notes.recordings[i] for i in at)
        assert some.instruments == notes.instruments
        for name in ("audio", "f0", "loudness", "instrument", "pitch"):
            np.testing.assert_array_equal(
                getattr(some, name), getattr(notes, name)[at]
            )

    def test_repr_tells_what_is_there(self):
        text = repr(made_up().select(range(12)))
        assert "12 clips of 0.2 s at 16000 Hz, 20 frames" in text
        assert "a: 12 clips of 6 recordings, pitch 60 to 70" in text
        assert "b: none" in text

    def test_arrays_cannot_be_changed(self):
        with pytest.raises(ValueError, match="read-only"):
            made_up().audio[0] = 0


class TestSplit:
    def test_by_recording_inside_the_trained_range(self):
        notes = made_up()
        for seed in range(20):
            parts = split(notes, seed=seed)
            assert list(parts) == ["train", "validation", "test"]
            assert sum(len(kept) for kept in parts.values()) == len(notes)
            taken = [set(kept.recordings) for kept in parts.values()]
            assert sum(map(len, taken)) == len(set.union(*taken)) == 16
            for index, held in ((0, 1), (1, 2)):
                train, *others = (
                    kept.pitch[kept.instrument == index]
                    for kept in parts.values()
                )
                for pitches in others:
                    assert len(set(pitches)) == held
                    assert pitches.min() > train.min()
                    assert pitches.max() < train.max()

    def test_held_out_notes_are_spread(self):
        notes = made_up((14,), clips=1)
        for seed in range(20):
            parts = split(notes, seed=seed, validation=3 / 14, test=3 / 14)
            for part in ("validation", "test"):
                low, middle, high = sorted(parts[part].pitch)
                # The twelve inner notes fall into six pairs.
                assert low < 60 + 2 * 5
                assert 60 + 2 * 5 <= middle < 60 + 2 * 9
                assert high >= 60 + 2 * 9

    def test_the_seed_decides(self):
        notes = made_up()
        choices = [
            split(notes, seed=seed)["test"].recordings
            for seed in (0, 0, *range(1, 9))
        ]
        assert choices[0] == choices[1]
        assert len(set(choices)) >= 5

    def test_shares(self):
        parts = split(made_up((10,)), validation=0.3, test=0)
        assert [len(kept) for kept in parts.values()] == [14, 6, 0]
        everything = split(made_up(), validation=0, test=0)
        assert len(everything["train"]) == 32

    def test_what_cannot_be_split(self):
        with pytest.raises(InputError, match="Too few recordings of a"):
            split(made_up((3, 10)))
        for validation, test in ((-0.1, 0.2), (0.5, 0.5)):
            with pytest.raises(InputError, match="something to train on"):
                split(made_up(), validation=validation, test=test)


class TestBatches:
    def test_crops_stay_aligned(self):
        notes = made_up()
        x, y = batches(notes, batch=4, crop_frames=8, seed=3)[5]
        assert x["f0"].shape == x["loudness"].shape == (4, 8, 1)
        assert x["instrument"].shape == (4, 8, 2)
        assert y.shape == (4, 8 * HOP)
        assert y.dtype == x["f0"].dtype == np.float32
        starts = set()
        for row in range(4):
            clip, start = np.argwhere(notes.f0 == x["f0"][row, 0, 0])[0]
            starts.add((clip, start))
            frames = slice(start, start + 8)
            np.testing.assert_array_equal(
                x["f0"][row, :, 0], notes.f0[clip, frames]
            )
            np.testing.assert_array_equal(
                x["loudness"][row, :, 0], notes.loudness[clip, frames]
            )
            np.testing.assert_array_equal(
                x["instrument"][row].argmax(-1), notes.instrument[clip]
            )
            np.testing.assert_array_equal(
                y[row], notes.audio[clip, start * HOP : (start + 8) * HOP]
            )
        assert len(starts) == 4

    def test_every_clip_and_start_is_drawn(self):
        notes = made_up((2,), clips=1, frames=4)
        data = batches(notes, batch=64, crop_frames=3)
        firsts = set(data[0][0]["f0"][:, 0, 0].tolist())
        assert firsts == set(notes.f0[:, :2].ravel().tolist())

    def test_seed_epoch_and_index_decide_alone(self):
        def batch(seed, epoch, index):
            data = batches(made_up(), batch=2, crop_frames=8, seed=seed)
            data[7]
            data.epoch = epoch
            return data[index][1]

        np.testing.assert_array_equal(batch(1, 2, 3), batch(1, 2, 3))
        for other in ((0, 2, 3), (1, 3, 3), (1, 2, 2), (2, 1, 3)):
            assert not np.array_equal(batch(1, 2, 3), batch(*other))

    def test_training_sees_each_epochs_batches_and_resumes(self):
        def data(epoch=0):
            made = batches(
                made_up(), batch=2, crop_frames=8, steps_per_epoch=3, seed=1
            )
            made.epoch = epoch
            return made

        def model():
            inputs = {
                name: keras.Input((None, size), name=name)
                for name, size in (
                    ("f0", 1),
                    ("loudness", 1),
                    ("instrument", 2),
                )
            }
            x = keras.layers.Concatenate()(list(inputs.values()))
            out = keras.layers.Dense(HOP, kernel_initializer="zeros")(x)
            made = keras.Model(inputs, keras.ops.reshape(out, (-1, 8 * HOP)))
            made.compile(keras.optimizers.SGD(1e-5), "mse", jit_compile=False)
            return made

        def weights(made):
            return np.concatenate([w.ravel() for w in made.get_weights()])

        by_hand, unbroken, resumed = model(), model(), model()
        for epoch in range(3):
            for index in range(3):
                by_hand.train_on_batch(*data(epoch)[index])
        looked_at = data()
        for index in range(3):
            looked_at[index]
        unbroken.fit(looked_at, epochs=3, shuffle=False, verbose=0)
        np.testing.assert_allclose(
            weights(unbroken), weights(by_hand), rtol=1e-5, atol=1e-7
        )
        resumed.fit(data(), epochs=1, shuffle=False, verbose=0)
        rest = data(epoch=1)
        resumed.fit(rest, epochs=2, shuffle=False, verbose=0)
        np.testing.assert_array_equal(weights(resumed), weights(unbroken))
        assert rest.epoch == 3

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"batch": 0}, "batch=0"),
            ({"crop_frames": 0}, "crop_frames=0"),
            ({"crop_frames": 21}, "notes of 20 frames"),
            ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
        ],
    )
    def test_sizes_that_cannot_be_used(self, settings, words):
        with pytest.raises(InputError, match=words):
            batches(made_up(), **{"crop_frames": 8} | settings)

    def test_no_notes(self):
        with pytest.raises(InputError, match="0 notes"):
            batches(made_up().select([]), crop_frames=8)
