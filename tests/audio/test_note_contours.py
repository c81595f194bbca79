# SPDX-License-Identifier: MIT
"""Courses of notes, made shorter and longer."""

import numpy as np
import pytest

from tf_diet.audio.note_contours import NoteContours, gain
from tf_diet.errors import InputError

FRAMES = 100
LET_GO = 60


def contours():
    frame = np.arange(FRAMES, dtype=np.float32)
    steady = np.where(frame < LET_GO, -10.0, -40.0 - (frame - LET_GO))
    rising = np.stack([frame, 2 * frame], axis=-1)
    labels = np.array([[0, 60, 100], [0, 60, 50], [0, 64, 100], [1, 60, 100]])
    return NoteContours(
        labels,
        {
            "loudness": np.stack([steady] * 4).astype(np.float32),
            "mfcc": np.stack([rising] * 4),
        },
    )


def test_the_nearest_in_pitch_and_then_in_velocity():
    known = contours()
    assert known.nearest(0, 61, 60) == 1
    assert known.nearest(0, 63, 60) == 2
    assert known.nearest(1, 90, 1) == 3
    with pytest.raises(InputError, match="instrument 2"):
        known.nearest(2, 60, 100)


def test_as_long_as_it_was():
    known = contours()
    level = known.features["loudness"][0]
    found = known.contour(0, "loudness", LET_GO, 40, level)
    # The release goes on from where the held part ended.
    np.testing.assert_allclose(found[:LET_GO], level[:LET_GO])
    np.testing.assert_allclose(np.diff(found[LET_GO:]), -1)


@pytest.mark.parametrize("held", [1, 10, 59, 61, 200])
def test_other_lengths(held):
    known = contours()
    level = known.features["loudness"][0]
    found = known.contour(0, "mfcc", held, 50, level)
    assert found.shape == (held + 50, 2)
    np.testing.assert_allclose(found[:, 1], 2 * found[:, 0], rtol=1e-5)
    # It never goes back, and its attack is as fast as it was.
    assert (np.diff(found[:held, 0]) >= 0).all()
    attack = min(held, LET_GO // 4)
    np.testing.assert_allclose(found[:attack, 0], np.arange(attack))
    assert found[held - 1, 0] == min(held, LET_GO) - 1


def test_kept_in_a_file(tmp_path):
    known = contours()
    known.save(tmp_path / "a.npz")
    again = NoteContours.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.labels, known.labels)
    for name, values in known.features.items():
        np.testing.assert_array_equal(again.features[name], values)
    # Files of earlier trainings have the same keys.
    with np.load(tmp_path / "a.npz") as archive:
        assert set(archive.files) == {"labels", *known.features}
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        NoteContours.load(tmp_path / "a.npz")


def test_levels_of_velocities():
    assert gain(100, 100) == 0
    np.testing.assert_allclose(gain(50, 100), -40 * np.log10(2))
