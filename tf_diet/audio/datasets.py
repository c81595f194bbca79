# SPDX-License-Identifier: MIT
"""Recorded notes with their features, split by recording, cut into batches."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from absl import logging

from tf_diet.audio import features, recordings
from tf_diet.audio.recordings import Clip
from tf_diet.errors import InputError
from tf_diet.progress import track

SHIPPED = Path(__file__).parent / "notes"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NoteSet:
    """Clips of single notes, all of one length, with their features.

    Args:
        audio: the samples, float32.
        f0: fundamental frequency in Hz, float32.
        loudness: A-weighted level in dB, float32.
        instrument: index into `instruments` of each clip.
        instruments: the names of the instruments.
        pitch: the named pitch of each clip, a MIDI number.
        names: the file, and the slice where it was cut, of each clip.
        recordings: the recording that each clip was cut from.
        sample_rate: samples a second.
        hop: samples a frame.

    Shapes:
        audio (n, samples); f0 and loudness (n, samples // hop); the others
        (n,).
    """

    audio: np.ndarray
    f0: np.ndarray
    loudness: np.ndarray
    instrument: np.ndarray
    instruments: tuple[str, ...]
    pitch: np.ndarray
    names: tuple[str, ...]
    recordings: tuple[str, ...]
    sample_rate: int
    hop: int

    def __post_init__(self) -> None:
        for name in ("audio", "f0", "loudness", "instrument", "pitch"):
            getattr(self, name).setflags(write=False)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        lines = [
            f"NoteSet: {len(self)} clips of "
            f"{self.audio.shape[1] / self.sample_rate:g} s at "
            f"{self.sample_rate} Hz, {self.f0.shape[1]} frames each"
        ]
        for index, name in enumerate(self.instruments):
            at = np.flatnonzero(self.instrument == index)
            if not len(at):
                lines.append(f"  {name}: none")
                continue
            pitches = self.pitch[at]
            quiet, loud = np.percentile(self.loudness[at], [5, 95])
            lines.append(
                f"  {name}: {len(at)} clips of "
                f"{len({self.recordings[i] for i in at})} recordings, "
                f"pitch {pitches.min()} to {pitches.max()}, "
                f"loudness {quiet:.0f} to {loud:.0f} dB"
            )
        return "\n".join(lines)

    def select(self, indices) -> "NoteSet":
        """Returns the clips at `indices`; the instruments stay as they are.

        Args:
            indices: integers or a boolean mask.
        """
        at = np.arange(len(self))[list(indices)]
        return dataclasses.replace(
            self,
            audio=self.audio[at],
            f0=self.f0[at],
            loudness=self.loudness[at],
            instrument=self.instrument[at],
            pitch=self.pitch[at],
            names=tuple(self.names[i] for i in at),
            recordings=tuple(self.recordings[i] for i in at),
        )

    def inputs(self) -> dict[str, np.ndarray]:
        """Returns what the DDSP model takes, float32.

        Shapes:
            f0 (n, frames, 1), loudness (n, frames, 1), instrument
            (n, frames, instruments).
        """
        one_hot = np.eye(len(self.instruments), dtype=np.float32)
        return {
            "f0": self.f0[..., None],
            "loudness": self.loudness[..., None],
            "instrument": np.repeat(
                one_hot[self.instrument][:, None], self.f0.shape[1], axis=1
            ),
        }


def load_notes(
    folder: str | os.PathLike[str] | None = None,
    *,
    sample_rate: int = 16000,
    hop: int = 160,
    seconds: float = 2.0,
    cache: str | os.PathLike[str] | None = None,
) -> NoteSet:
    """Reads a folder of recorded notes and finds their pitch and loudness.

    Args:
        folder: where the notes are; the set of violin and flute that ships
            with tf_diet when left out. Either a folder with a `notes.json`
            like that one's, or any folder of WAV or FLAC files, each a note
            with its name in the file's, such as `violin_A4.wav`. What stands
            before the note names the instrument; failing that, the folder.
        sample_rate: samples a second to convert to.
        hop: samples a frame.
        seconds: length of a clip. Recordings are cut into as many as they
            hold, leaving out silent ones; a clip of `notes.json` is one.
        cache: folder that keeps the features between calls; `tf_diet` in
            the user's cache folder when left out.

    Returns:
        The notes. Clips end with their last whole frame.

    Raises:
        InputError: there are no notes in the folder, or some are unreadable,
            silent, too short or without a note's name; each is listed with
            the reason.
    """
    folder = SHIPPED if folder is None else Path(folder)
    samples = int(seconds * sample_rate) // max(hop, 1) * hop
    if hop < 1 or samples < hop:
        raise InputError(
            "A clip must hold at least one frame. Received: "
            f"seconds={seconds:g}, sample_rate={sample_rate}, hop={hop}. "
            "Ask for longer clips or a smaller hop, 1 or more."
        )
    clips = recordings.read(folder, sample_rate, samples)
    store = recordings.FeatureStore(cache, sample_rate, hop)
    found = [
        store.get(clip, lambda clip=clip: _features(clip, sample_rate, hop))
        for clip in track(clips, "Finding pitch and loudness")
    ]
    instruments = tuple(sorted({clip.instrument for clip in clips}))
    return NoteSet(
        audio=np.stack([clip.audio for clip in clips]),
        f0=np.stack([f0 for f0, _ in found]),
        loudness=np.stack([level for _, level in found]),
        instrument=np.array([instruments.index(c.instrument) for c in clips]),
        instruments=instruments,
        pitch=np.array([clip.pitch for clip in clips]),
        names=tuple(clip.name for clip in clips),
        recordings=tuple(clip.recording for clip in clips),
        sample_rate=sample_rate,
        hop=hop,
    )


def _features(
    clip: Clip, sample_rate: int, hop: int
) -> tuple[np.ndarray, np.ndarray]:
    low, high = features.around(clip.pitch, sample_rate)
    f0, voiced = features.fundamental(
        clip.audio, sample_rate, hop, low=low, high=high
    )
    if voiced.mean() < 0.5:
        logging.warning(
            "%s: no pitch near MIDI %d in %.0f %% of the frames; is it the "
            "note that it is named after?",
            clip.name,
            clip.pitch,
            100 * (1 - voiced.mean()),
        )
    return f0, features.loudness(clip.audio, sample_rate, hop)


def split(
    notes: NoteSet,
    *,
    seed: int = 0,
    validation: float = 0.15,
    test: float = 0.15,
) -> dict[str, NoteSet]:
    """Splits notes into train, validation and test by recording.

    All clips of a recording stay together, since neighbours of one take are
    nearly alike. Each instrument is split alike; its lowest and highest
    notes are trained on, and what is held out is spread over those between.

    Args:
        notes: what to split.
        seed: chooses which recordings are held out.
        validation: share of each instrument's recordings, rounded to one or
            more; 0 for none.
        test: likewise.

    Returns:
        The sets under "train", "validation" and "test".

    Raises:
        InputError: the shares are impossible, or an instrument has too few
            recordings for them.
    """
    if validation < 0 or test < 0 or validation + test >= 1:
        raise InputError(
            "Shares for validation and test must be 0 or more and leave "
            f"something to train on. Received: validation={validation:g}, "
            f"test={test:g}. Use for example 0.15 each."
        )
    random = np.random.default_rng(seed)
    held: dict[str, set[str]] = {"validation": set(), "test": set()}
    for index, name in enumerate(notes.instruments):
        at = np.flatnonzero(notes.instrument == index)
        pitches = {notes.recordings[i]: int(notes.pitch[i]) for i in at}
        if not pitches:
            continue
        ends = min(pitches.values()), max(pitches.values())
        inner = sorted(
            (r for r, pitch in pitches.items() if pitch not in ends),
            key=lambda r: (pitches[r], r),
        )
        counts = [_share(len(pitches), share) for share in (validation, test)]
        if sum(counts) > len(inner):
            raise InputError(
                f"Too few recordings of {name} to hold some out. Received: "
                f"{len(pitches)} recordings, {len(inner)} of them between "
                f"the lowest and the highest pitch, for {counts[0]} of "
                f"validation and {counts[1]} of test. Add recordings, or "
                "pass smaller shares (0 for none)."
            )
        for part, recording in _spread(inner, counts, random):
            held[part].add(recording)
    masks = {
        part: np.array([name in names for name in notes.recordings], bool)
        for part, names in held.items()
    }
    train = ~(masks["validation"] | masks["test"])
    return {
        "train": notes.select(train),
        "validation": notes.select(masks["validation"]),
        "test": notes.select(masks["test"]),
    }


def _share(count: int, share: float) -> int:
    return max(1, round(count * share)) if share else 0


def _spread(
    inner: list[str], counts: list[int], random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Yields held out recordings, both parts taken from low to high."""
    places = [
        ((i + 0.5) / count, tie, part)
        for part, count, tie in zip(
            ("validation", "test"), counts, random.permutation(2), strict=True
        )
        for i in range(count)
    ]
    ranges = np.array_split(inner, max(1, len(places)))
    for (_, _, part), candidates in zip(sorted(places), ranges, strict=False):
        yield part, str(random.choice(candidates))


class _Crops(keras.utils.PyDataset):
    """Random crops; a batch depends on seed, epoch and index alone."""

    def __init__(
        self, notes: NoteSet, batch: int, frames: int, seed: int, steps: int
    ) -> None:
        super().__init__()
        self.notes = notes
        self.batch = batch
        self.frames = frames
        self.seed = seed
        self.steps = steps
        self.epoch = 0
        self._inputs = notes.inputs()

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._asked: set[int] | None = None

    @property
    def num_batches(self) -> int:
        return self.steps

    def __getitem__(self, index: int):
        if self._asked is not None:
            self._asked.add(index)
        random = np.random.default_rng([self.seed, self.epoch, index])
        clips = random.integers(len(self.notes), size=self.batch)
        last = self.notes.f0.shape[1] - self.frames
        first = random.integers(last + 1, size=self.batch)
        frames = first[:, None] + np.arange(self.frames)
        hop = self.notes.hop
        samples = first[:, None] * hop + np.arange(self.frames * hop)
        x = {
            name: values[clips[:, None], frames]
            for name, values in self._inputs.items()
        }
        return x, self.notes.audio[clips[:, None], samples]

    def on_epoch_begin(self) -> None:
        self._asked = set()

    def on_epoch_end(self) -> None:
        # Keras calls this also before the first epoch, and on JAX after a
        # look at the first batch to build the model: neither is an epoch.
        if self._asked is not None and len(self._asked) == self.steps:
            self.epoch += 1


def batches(
    notes: NoteSet,
    *,
    batch: int = 8,
    crop_frames: int = 100,
    steps_per_epoch: int = 100,
    seed: int = 0,
) -> keras.utils.PyDataset:
    """Returns endless random crops of notes for `model.fit`.

    Batch i of epoch e is the same whenever it is asked for. `epoch` counts
    up at the end of each epoch and can be set, so that a resumed training
    sees what an unbroken one would have seen. Call `fit` with
    `shuffle=False`: otherwise Keras asks for the batches of an epoch in an
    order of its own.

    Args:
        notes: what to crop.
        batch: crops a batch.
        crop_frames: frames a crop.
        steps_per_epoch: batches an epoch.
        seed: chooses the crops.

    Shapes:
        x: f0 and loudness (batch, crop_frames, 1), instrument (batch,
        crop_frames, instruments); y: (batch, crop_frames * hop).

    Raises:
        InputError: there are no notes, they are shorter than a crop, or a
            size is below 1.
    """
    if not len(notes) or min(batch, crop_frames, steps_per_epoch) < 1:
        raise InputError(
            "Batches need notes and sizes of 1 or more. Received: "
            f"{len(notes)} notes, batch={batch}, crop_frames={crop_frames}, "
            f"steps_per_epoch={steps_per_epoch}. Check the split and sizes."
        )
    if crop_frames > notes.f0.shape[1]:
        raise InputError(
            "A crop cannot be longer than the notes. Received: crop_frames="
            f"{crop_frames}, notes of {notes.f0.shape[1]} frames. Ask for "
            "shorter crops, or load longer notes."
        )
    return _Crops(notes, batch, crop_frames, seed, steps_per_epoch)
