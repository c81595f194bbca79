# SPDX-License-Identifier: MIT
"""Batches follow from the seed, the epoch and their place alone."""

import keras
import numpy as np
import pytest

from tf_diet.audio.clips import Clip, Extracted, Settings
from tf_diet.audio.sources import Note
from tf_diet.errors import InputError
from tf_diet.models.examples import ddsp_examples

HOP, FRAMES = 160, 20


@pytest.fixture
def dataset(tmp_path):
    """Noise: two instruments, eight clips each."""
    random = np.random.default_rng(0)
    values = {
        "audio": random.normal(size=(16, FRAMES * HOP)),
        "f0": random.uniform(200, 800, (16, FRAMES, 2)),
        "loudness": random.uniform(-60, 0, (16, FRAMES)),
    }
    paths = {name: tmp_path / f"{name}.npy" for name in values}
    for name, value in values.items():
        np.save(paths[name], value.astype("float32"))
    notes = [
        Note(tmp_path, f"{i}", "ab"[i // 8], 60 + i, recording=f"{i}")
        for i in range(16)
    ]
    clips = tuple(Clip(note, paths, i) for i, note in enumerate(notes))
    settings = Settings(hop=HOP, mel_hop=HOP, seconds=FRAMES * HOP / 16000)
    return Extracted(clips, ("a", "b"), settings)


def batches(dataset, epoch=0, seed=1):
    made = dataset.batches(ddsp_examples(frames=8), batch=2, steps=3, seed=seed)
    made.epoch = epoch
    return made


def model():
    inputs = {
        name: keras.Input((None, size), name=name)
        for name, size in (("f0", 1), ("loudness", 1), ("instrument", 2))
    }
    x = keras.layers.Concatenate()(list(inputs.values()))
    out = keras.layers.Dense(HOP, kernel_initializer="zeros")(x)
    made = keras.Model(inputs, keras.ops.reshape(out, (-1, 8 * HOP)))
    made.compile(keras.optimizers.SGD(1e-5), "mse", jit_compile=False)
    return made


def weights(made):
    return np.concatenate([w.ravel() for w in made.get_weights()])


def test_training_sees_each_epochs_batches_and_resumes(dataset):
    by_hand, unbroken, resumed = model(), model(), model()
    for epoch in range(3):
        for index in range(3):
            by_hand.train_on_batch(*batches(dataset, epoch)[index])
    looked_at = batches(dataset)
    for index in range(3):
        looked_at[index]
    unbroken.fit(looked_at, epochs=3, shuffle=False, verbose=0)
    assert looked_at.epoch == 3
    np.testing.assert_allclose(
        weights(unbroken), weights(by_hand), rtol=1e-5, atol=1e-7
    )
    resumed.fit(batches(dataset), epochs=1, shuffle=False, verbose=0)
    rest = batches(dataset, epoch=1)
    resumed.fit(rest, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(weights(resumed), weights(unbroken))
    assert rest.epoch == 3


def test_seed_epoch_and_index_decide_alone(dataset):
    def audio(seed, epoch, index):
        data = batches(dataset, seed=seed)
        data[2]
        data.epoch = epoch
        return data[index][1]

    np.testing.assert_array_equal(audio(1, 2, 0), audio(1, 2, 0))
    for other in ((0, 2, 0), (1, 3, 0), (1, 2, 1), (2, 1, 0)):
        assert not np.array_equal(audio(1, 2, 0), audio(*other))


def test_sizes_that_cannot_be_used(dataset):
    make = ddsp_examples(frames=8)
    for settings in ({"batch": 0}, {"steps": 0}):
        with pytest.raises(InputError, match="sizes of 1 or more"):
            dataset.batches(make, **settings)
    with pytest.raises(InputError, match="21 frames of 20"):
        dataset.batches(ddsp_examples(frames=21))[0]
    empty = Extracted((), dataset.instruments, dataset.settings)
    with pytest.raises(InputError, match="0 clips"):
        empty.batches(make)


def test_repr_says_how_much_there_is(dataset):
    text = "<Extracted: 16 clips, 0.1 minutes, of 16 files and 2 instruments>"
    assert repr(dataset) == text
