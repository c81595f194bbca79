# SPDX-License-Identifier: MIT
"""Clips and where their features lie: in memory, or streamed.

A set may be larger than memory: arrays stay on the disk until a clip is asked
for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Array, Ints32
from tf_diet.audio.sources import PARTS, Note
from tf_diet.audio.splits import dealt, dealt_within_range, held_out
from tf_diet.errors import InputError


@dataclass(frozen=True)
class Settings:
    """How sounds are looked at.

    Args:
        sample_rate: samples a second to convert to.
        hop: samples a frame of pitch, loudness and MFCC.
        mel_hop: samples a frame of the log-mel spectrogram.
        seconds: length of a clip.
        upsample: take files of a lower rate too.
    """

    sample_rate: int = 16000
    hop: int = 160
    mel_hop: int = 512
    seconds: float = 4.0
    upsample: bool = True

    @property
    def samples(self) -> int:
        """How many a clip has; it ends with a whole frame of either kind."""
        whole = int(np.lcm(self.hop, self.mel_hop))
        asked = int(self.seconds * self.sample_rate)
        return asked // whole * whole if asked >= whole else asked

    def frames(self, hop: int) -> int:
        """Frames of a clip."""
        return self.samples // hop


@dataclass(frozen=True)
class Clip:
    """One clip of a file.

    Args:
        note: the file and its labels.
        paths: of each feature's array, (clips of the file, ...).
        index: of the clip in the file.
    """

    note: Note
    paths: Mapping[str, Path]
    index: int

    def get(self, name: str) -> Array:
        """Returns a feature of the clip, read from the disk."""
        return np.load(self.paths[name], mmap_mode="r")[self.index]


@dataclass(frozen=True, repr=False)
class Extracted:
    """Clips and where their features are.

    Args:
        clips: in the order of the files.
        instruments: the names of all instruments of the source.
        settings: how sounds were looked at.
        problems: files that were left out, and why.
    """

    clips: Sequence[Clip]
    instruments: tuple[str, ...]
    settings: Settings
    problems: Sequence[tuple[str, str]] = ()

    def __len__(self) -> int:
        return len(self.clips)

    def __repr__(self) -> str:
        return f"<Extracted: {self._size()}>"

    def _size(self) -> str:
        seconds = len(self) * self.settings.samples / self.settings.sample_rate
        return (
            f"{len(self)} clips, {seconds / 60:.1f} minutes, of "
            f"{len({c.note.name for c in self.clips})} files and "
            f"{len({c.note.instrument for c in self.clips})} instruments"
        )

    def summary(self) -> str:
        """Says how much there is, and names what was left out."""
        lines = [self._size()]
        if self.problems:
            lines.append(f"{len(self.problems)} files left out:")
            lines += [f"  {name}: {why}" for name, why in self.problems]
        return "\n".join(lines)

    def arrays(self, names: Sequence[str]) -> dict[str, Array]:
        """Returns features of all clips, in memory.

        Args:
            names: of features; "confidence" stands for how sure the pitch
                is, "instrument", "pitch" and "velocity" for the labels.

        Shapes:
            (clips, ...).
        """
        return {
            name: np.stack([self.value(clip, name) for clip in self.clips])
            for name in names
        }

    def labels(self) -> Ints32:
        """Returns instrument, pitch and velocity of all clips.

        Shapes:
            (clips, 3) of integers; -1 where nothing tells.
        """
        found = self.arrays(("instrument", "pitch", "velocity"))
        return np.stack(list(found.values()), axis=-1)

    def value(self, clip: Clip, name: str) -> Array:
        """Returns a feature or a label of one clip."""
        if name in ("f0", "confidence"):
            return clip.get("f0")[..., 0 if name == "f0" else 1]
        if name == "instrument":
            number = self.instruments.index(clip.note.instrument)
            return np.array(number, np.int32)
        if name in ("pitch", "velocity"):
            label = getattr(clip.note, name)
            return np.array(-1 if label is None else label, np.int32)
        return clip.get(name)

    def split(
        self,
        by: str = "recording",
        *,
        valid: float = 0.1,
        test: float = 0.1,
        seed: int = 0,
        within_range: bool = False,
    ) -> dict[str, "Extracted"]:
        """Splits clips into "train", "valid" and "test".

        Where the folder says to which part a note belongs, that is followed.

        Args:
            by: what stays together: "recording" or "instrument".
            valid: share of what stays together that is held out.
            test: likewise.
            seed: of the choice.
            within_range: train on the lowest and the highest pitch of every
                instrument, and hold out recordings spread over those between:
                then a model is judged within the range that it was trained
                on. Shares count for each instrument.

        Raises:
            InputError: shares or `by` are impossible, too little is there, or
                `within_range` is asked for of notes without a pitch.
        """
        parts = {clip.note.part for clip in self.clips}
        if None not in parts:
            chosen = {id(clip): clip.note.part for clip in self.clips}
        else:
            _check_shares(by, valid, test)
            random = np.random.default_rng(seed)
            of = (
                self._dealt_within_range(by, valid, test, random)
                if within_range
                else self._dealt(by, valid, test, random)
            )
            chosen = {id(c): of[getattr(c.note, by)] for c in self.clips}
        return {
            part: replace(
                self,
                clips=tuple(c for c in self.clips if chosen[id(c)] == part),
                problems=(),
            )
            for part in PARTS
        }

    def _dealt(
        self, by: str, valid: float, test: float, random: np.random.Generator
    ) -> dict[str, str]:
        groups = sorted({getattr(clip.note, by) for clip in self.clips})
        held = held_out(len(groups), valid) + held_out(len(groups), test)
        if held >= len(groups):
            raise InputError(
                f"Too few of what stays together to hold some out. Received: "
                f"{len(groups)} by {by}. Add sounds, or pass smaller shares "
                "(0 for none)."
            )
        return dealt(groups, valid, test, random)

    def _dealt_within_range(
        self, by: str, valid: float, test: float, random: np.random.Generator
    ) -> dict[str, str]:
        unnamed = [c.note.name for c in self.clips if c.note.pitch is None]
        if by != "recording" or unnamed:
            raise InputError(
                "Clips are split within the range of their instrument by "
                "'recording', where every pitch is known. Received: "
                f"by={by!r}, {len(unnamed)} clips without a pitch"
                f"{f', such as {unnamed[0]}' if unnamed else ''}. Name files "
                "by their notes (violin_A4.wav), or leave within_range out."
            )
        parts: dict[str, str] = {}
        for instrument in self.instruments:
            pitches: dict[str, list[int]] = {}
            for note in (clip.note for clip in self.clips):
                if note.pitch is None or note.instrument != instrument:
                    continue
                if note.recording not in parts:
                    pitches.setdefault(note.recording, []).append(note.pitch)
            if pitches:
                parts |= dealt_within_range(
                    pitches, valid, test, random, instrument
                )
        return parts

    def batches(
        self,
        make: Callable[["Extracted", Clip, np.random.Generator], Any],
        *,
        batch: int = 8,
        steps: int = 100,
        seed: int = 0,
    ) -> keras.utils.PyDataset:
        """Returns endless batches, read from the disk clip by clip.

        Batch i of epoch e depends on nothing but the seed, e and i. `epoch`
        counts up at the end of each epoch and can be set, so that a resumed
        training sees what an unbroken one would have seen. Call `fit` with
        `shuffle=False`: otherwise Keras asks for the batches of an epoch in
        an order of its own.

        Args:
            make: returns one example, `(x, y)` or more, of a clip, say a
                crop of it; `x` and `y` may be dicts of arrays.
            batch: examples a batch.
            steps: batches an epoch.
            seed: of the choice of clips and of what `make` draws.

        Raises:
            InputError: there are no clips.
        """
        if not self.clips or min(batch, steps) < 1:
            raise InputError(
                "Batches need clips, and sizes of 1 or more. Received: "
                f"{len(self)} clips, batch={batch}, steps={steps}."
            )
        return _Batches(self, make, batch, steps, seed)


def _check_shares(by: str, valid: float, test: float) -> None:
    if by not in ("recording", "instrument") or not (
        valid >= 0 and test >= 0 and valid + test < 1
    ):
        raise InputError(
            "Clips are split by 'recording' or 'instrument', in shares below "
            f"1 together. Received: by={by!r}, valid={valid}, test={test}. "
            "Use for example by='recording', valid=0.1, test=0.1."
        )


class _Batches(keras.utils.PyDataset):
    """A batch depends on the seed, the epoch and its index alone."""

    def __init__(
        self, dataset: Extracted, make: Any, batch: int, steps: int, seed: int
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.make = make
        self.batch = batch
        self.steps = steps
        self.seed = seed
        self.epoch = 0

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

    def __getitem__(self, index: int) -> Any:
        if self._asked is not None:
            self._asked.add(index)
        random = np.random.default_rng([self.seed, self.epoch, index])
        clips = random.integers(len(self.dataset), size=self.batch)
        examples = [
            self.make(self.dataset, self.dataset.clips[number], random)
            for number in clips
        ]
        return keras.tree.map_structure(lambda *v: np.stack(v), *examples)

    def on_epoch_begin(self) -> None:
        self._asked = set()

    def on_epoch_end(self) -> None:
        # Keras calls this also before the first epoch, and on JAX after a
        # look at the first batch to build the model: neither is an epoch.
        if self._asked is not None and len(self._asked) == self.steps:
            self.epoch += 1
