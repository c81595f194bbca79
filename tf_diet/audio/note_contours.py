# SPDX-License-Identifier: MIT
"""Contours of notes: their features over time, kept for new notes.

A score says that a note is held for so long; a model that is told loudness or
spectra frame by frame needs their contour. That of the nearest training note
is taken: its attack, its middle made as long as the note is held, its release.
"""

import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tf_diet import files
from tf_diet.arrays import Array, Floats32, Ints32
from tf_diet.audio.clips import Extracted
from tf_diet.audio.features import FLOOR
from tf_diet.errors import InputError

# A set of thousands of notes has several near each other.
_MOST = 512
# The share of its held part that is a note's attack, never drawn out.
_ATTACK = 0.25
# A note is held for as long as it is not this far below its loudest, in dB.
_HELD = 20.0


@dataclass(frozen=True)
class NoteContours:
    """Features of some notes of a training set.

    Args:
        labels: instrument (a number), pitch and velocity.
        features: by name.

    Shapes:
        labels (notes, 3); features (notes, frames, ...).
    """

    labels: Ints32
    features: dict[str, Array]

    @classmethod
    def of(cls, dataset: Extracted, names: Sequence[str]) -> "NoteContours":
        """Takes the features of a set, of at most 512 of its notes.

        Args:
            dataset: the training clips.
            names: of features, such as "f0"; without any, the labels of all
                notes are taken.
        """
        labels = dataset.labels()
        if not names:
            return cls(labels, {})
        # The first of each instrument and pitch, then the second of each.
        seen: Counter[tuple[int, int]] = Counter()
        turns = []
        for instrument, pitch, _ in labels.tolist():
            seen[instrument, pitch] += 1
            turns.append(seen[instrument, pitch])
        chosen = np.sort(np.argsort(turns, kind="stable")[:_MOST])
        some = replace(dataset, clips=tuple(dataset.clips[i] for i in chosen))
        return cls(labels[chosen], some.arrays(names))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one `.npz` file in one move."""
        with files.replacing(path) as temporary:
            arrays: dict[str, Any] = {**self.features, "labels": self.labels}
            np.savez_compressed(temporary, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "NoteContours":
        """Reads what `save` wrote.

        Raises:
            InputError: it cannot be read.
        """
        try:
            with np.load(Path(path)) as archive:
                found = {name: archive[name] for name in archive.files}
            return cls(found.pop("labels"), found)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(
                "The notes that a training kept cannot be read. Received: "
                f"{path}: {error}. Train again; 'tf-diet train' writes them "
                "last."
            ) from error

    def nearest(self, instrument: int, pitch: int, velocity: int) -> int:
        """Returns the note nearest in pitch, and then in velocity.

        Args:
            instrument: its number.
            pitch: MIDI number.
            velocity: MIDI velocity.

        Raises:
            InputError: the instrument has no notes.
        """
        theirs = np.flatnonzero(self.labels[:, 0] == instrument)
        if not len(theirs):
            raise InputError(
                f"No training note of instrument {instrument} was kept. "
                f"Known: {sorted(set(self.labels[:, 0].tolist()))}."
            )
        apart = np.abs(self.labels[theirs, 1:] - [pitch, velocity])
        return int(theirs[np.lexsort((apart[:, 1], apart[:, 0]))[0]])

    def contour(
        self, note: int, name: str, held: int, release: int, level: ArrayLike
    ) -> Floats32:
        """Returns a feature of a note, held for another time.

        A shorter note is let go of earlier; a longer one has its middle
        drawn out.

        Args:
            note: from `nearest`.
            name: of the feature.
            held: frames until it is let go of.
            release: frames after that.
            level: of the note's frames, in dB: they tell when it was let go
                of.

        Shapes:
            level (frames,); returns (held + release, ...).
        """
        values = np.asarray(self.features[name][note], np.float32)
        end = _let_go(np.asarray(level))
        attack = min(int(_ATTACK * end), held)
        if held <= end:
            at = np.arange(held, dtype=float)
        else:
            middle = np.linspace(attack, end - 1, held - attack)
            at = np.concatenate([np.arange(attack), middle])
        first = _between(values, at)
        tail = values[end : end + release]
        if not len(tail):
            tail = values[-1:]
        short = release - len(tail)
        widths = ((0, short), *[(0, 0)] * (values.ndim - 1))
        tail = np.pad(tail, widths, mode="edge")
        # From where the first part ended.
        return np.concatenate([first, tail + (first[-1] - values[end - 1])])


def _let_go(level: Floats32) -> int:
    """Returns the frame at which a note is let go of."""
    heard = np.flatnonzero(level >= max(level.max() - _HELD, FLOOR + 1))
    return int(heard[-1]) + 1 if len(heard) else len(level)


def _between(values: Floats32, at: Array) -> Floats32:
    """Returns values between frames, on straight lines."""
    before = np.floor(at).astype(int)
    after = np.minimum(before + 1, len(values) - 1)
    part = (at - before).reshape(-1, *[1] * (values.ndim - 1))
    found = values[before] * (1 - part) + values[after] * part
    return found.astype(np.float32)


def gain(velocity: int, known: int) -> float:
    """Returns how much louder one velocity is than another, in dB.

    Args:
        velocity: MIDI velocity.
        known: what it is compared with; -1, as of a note without a label,
            compares with nothing and gives 0.

    Source:
        MIDI Manufacturers Association, "General MIDI 2", 1999: the level goes
        with the square of the velocity.
    """
    return 40.0 * float(np.log10(velocity / known)) if known > 0 else 0.0
