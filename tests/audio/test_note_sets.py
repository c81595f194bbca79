# SPDX-License-Identifier: MIT
import keras
import numpy as np
import pytest

from tf_diet.audio.datasets import NoteSet, batches, split
from tf_diet.errors import InputError

RATE = 16000
HOP = 160


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
