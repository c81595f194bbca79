# SPDX-License-Identifier: MIT
"""What is held out lies within the range that was trained on."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_diet.audio.clips import Clip, Extracted, Settings
from tf_diet.audio.sources import Note
from tf_diet.errors import InputError


def made_up(recordings_each=(6, 10), clips=2):
    """Clips without features; every recording has its own pitch."""
    notes = [
        Note(
            path=f"{index}_{take}",
            name=f"{index}_{take}",
            instrument="abc"[index],
            pitch=60 + 2 * take,
            recording=f"{index}_{take}",
        )
        for index, count in enumerate(recordings_each)
        for take in range(count)
    ]
    instruments = tuple("abc"[: len(recordings_each)])
    made = tuple(Clip(note, {}, i) for note in notes for i in range(clips))
    return Extracted(made, instruments, Settings())


def split(dataset, **how):
    shares = {"valid": 0.15, "test": 0.15}
    return dataset.split(within_range=True, **shares | how)


def recordings(part):
    return {clip.note.recording for clip in part.clips}


def pitches(part, instrument="a"):
    return [c.note.pitch for c in part.clips if c.note.instrument == instrument]


def test_by_recording_inside_the_trained_range():
    dataset = made_up()
    for seed in range(20):
        parts = split(dataset, seed=seed)
        assert list(parts) == ["train", "valid", "test"]
        assert sum(map(len, parts.values())) == len(dataset) == 32
        taken = [recordings(part) for part in parts.values()]
        assert sum(map(len, taken)) == len(set.union(*taken)) == 16
        for instrument, count in (("a", 1), ("b", 2)):
            train, *others = (pitches(p, instrument) for p in parts.values())
            for held_out in others:
                assert len(set(held_out)) == count
                assert min(held_out) > min(train)
                assert max(held_out) < max(train)


def test_held_out_notes_are_spread():
    dataset = made_up((14,), clips=1)
    for seed in range(20):
        parts = split(dataset, seed=seed, valid=3 / 14, test=3 / 14)
        for part in ("valid", "test"):
            low, middle, high = sorted(pitches(parts[part]))
            # The twelve inner notes fall into six pairs.
            assert low < 60 + 2 * 5
            assert 60 + 2 * 5 <= middle < 60 + 2 * 9
            assert high >= 60 + 2 * 9


def test_the_seed_decides():
    dataset = made_up()
    choices = [
        frozenset(recordings(split(dataset, seed=seed)["test"]))
        for seed in (0, 0, *range(1, 9))
    ]
    assert choices[0] == choices[1]
    assert len(set(choices)) >= 5


def test_shares():
    parts = split(made_up((10,)), valid=0.3, test=0)
    assert [len(part) for part in parts.values()] == [14, 6, 0]
    everything = split(made_up(), valid=0, test=0)
    assert len(everything["train"]) == 32


@settings(deadline=None)
@given(
    takes=st.lists(
        st.lists(st.integers(40, 80), min_size=1, max_size=3),
        min_size=1,
        max_size=12,
    ),
    valid=st.sampled_from([0, 0.1, 0.3]),
    test=st.sampled_from([0, 0.1, 0.3]),
    seed=st.integers(0, 9),
)
def test_recordings_of_several_pitches(takes, valid, test, seed):
    clips = [
        Clip(Note("", f"{i}", "a", pitch, recording=f"{i}"), {}, 0)
        for i, found in enumerate(takes)
        for pitch in found
    ]
    dataset = Extracted(tuple(clips), ("a",), Settings())
    every = pitches(dataset)
    ends = {min(every), max(every)}
    inner = sum(not ends & set(found) for found in takes)
    wanted = sum(max(1, round(len(takes) * s)) for s in (valid, test) if s)
    if wanted > inner:
        with pytest.raises(InputError, match="Too few recordings of a"):
            split(dataset, valid=valid, test=test, seed=seed)
        return
    parts = split(dataset, valid=valid, test=test, seed=seed)
    assert len(recordings(parts["train"])) == len(takes) - wanted
    sides = defaultdict(set)
    for name, part in parts.items():
        for clip in part.clips:
            sides[clip.note.recording].add(name)
    assert all(len(found) == 1 for found in sides.values())
    train = pitches(parts["train"])
    assert (min(train), max(train)) == (min(every), max(every))
    for name in ("valid", "test"):
        inside = np.array(pitches(parts[name]))
        assert ((inside > min(every)) & (inside < max(every))).all()


def test_what_cannot_be_split():
    with pytest.raises(InputError, match="Too few recordings of a"):
        split(made_up((3, 10)))
    for valid, test in ((-0.1, 0.2), (0.5, 0.5)):
        with pytest.raises(InputError, match="shares below 1 together"):
            split(made_up(), valid=valid, test=test)
    with pytest.raises(InputError, match="by 'recording'"):
        split(made_up(), by="instrument")
    unnamed = Clip(Note("", "drum.wav", "a", recording="drum"), {}, 0)
    dataset = Extracted((*made_up().clips, unnamed), ("a", "b"), Settings())
    with pytest.raises(InputError, match=r"1 clips .* such as drum\.wav"):
        split(dataset)


def test_parts_that_the_folder_names_are_followed():
    clips = [
        Clip(Note("", f"{p}", "a", 60 + i, recording=f"{i}", part=p), {}, 0)
        for i, p in enumerate(("test", "train", "valid"))
    ]
    parts = split(Extracted(tuple(clips), ("a",), Settings()))
    assert {n: pitches(p) for n, p in parts.items()} == {
        "train": [61],
        "valid": [62],
        "test": [60],
    }
