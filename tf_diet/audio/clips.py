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

from tf_diet.audio.sources import PARTS, Note
from tf_diet.audio.splits import dealt, held_out
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
        """Of a clip; it ends with a whole frame of either kind."""
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

    def get(self, name: str) -> np.ndarray:
        """Returns a feature of the clip, read from the disk."""
        return np.load(self.paths[name], mmap_mode="r")[self.index]


@dataclass(frozen=True)
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

    def summary(self) -> str:
        """Says how much there is, and names what was left out."""
        seconds = len(self) * self.settings.samples / self.settings.sample_rate
        lines = [
            f"{len(self)} clips, {seconds / 60:.1f} minutes, of "
            f"{len({c.note.name for c in self.clips})} files and "
            f"{len({c.note.instrument for c in self.clips})} instruments"
        ]
        if self.problems:
            lines.append(f"{len(self.problems)} files left out:")
            lines += [f"  {name}: {why}" for name, why in self.problems]
        return "\n".join(lines)

    def arrays(self, names: Sequence[str]) -> dict[str, np.ndarray]:
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

    def labels(self) -> np.ndarray:
        """Returns instrument, pitch and velocity of all clips.

        Shapes:
            (clips, 3) of integers; -1 where nothing tells.
        """
        found = self.arrays(("instrument", "pitch", "velocity"))
        return np.stack(list(found.values()), axis=-1)

    def value(self, clip: Clip, name: str) -> np.ndarray:
        """Returns a feature or a label of one clip."""
        if name in ("f0", "confidence"):
            return clip.get("f0")[..., 0 if name == "f0" else 1]
        if name == "instrument":
            return np.int32(self.instruments.index(clip.note.instrument))
        if name in ("pitch", "velocity"):
            label = getattr(clip.note, name)
            return np.int32(-1 if label is None else label)
        return clip.get(name)

    def split(
        self,
        by: str = "recording",
        *,
        valid: float = 0.1,
        test: float = 0.1,
        seed: int = 0,
    ) -> dict[str, "Extracted"]:
        """Splits clips into "train", "valid" and "test".

        Where the folder says to which part a note belongs, that is followed.

        Args:
            by: what stays together: "recording" or "instrument".
            valid: share of what stays together that is held out.
            test: likewise.
            seed: of the choice.

        Raises:
            InputError: shares or `by` are impossible, or too little is there.
        """
        parts = {clip.note.part for clip in self.clips}
        if None not in parts:
            chosen = {id(clip): clip.note.part for clip in self.clips}
        else:
            chosen = self._dealt(by, valid, test, seed)
        return {
            part: replace(
                self,
                clips=tuple(c for c in self.clips if chosen[id(c)] == part),
                problems=(),
            )
            for part in PARTS
        }

    def _dealt(
        self, by: str, valid: float, test: float, seed: int
    ) -> dict[int, str]:
        if by not in ("recording", "instrument") or not (
            valid >= 0 and test >= 0 and valid + test < 1
        ):
            raise InputError(
                "Clips are split by 'recording' or 'instrument', in shares "
                f"below 1 together. Received: by={by!r}, valid={valid}, "
                f"test={test}."
            )
        groups = sorted({getattr(clip.note, by) for clip in self.clips})
        held = held_out(len(groups), valid) + held_out(len(groups), test)
        if held >= len(groups):
            raise InputError(
                f"Too few of what stays together to hold some out. Received: "
                f"{len(groups)} by {by}. Add sounds, or pass smaller shares "
                "(0 for none)."
            )
        of = dealt(groups, valid, test, np.random.default_rng(seed))
        return {id(clip): of[getattr(clip.note, by)] for clip in self.clips}

    def batches(
        self,
        make: Callable[["Extracted", Clip, np.random.Generator], Any],
        *,
        batch: int = 8,
        steps: int = 100,
        seed: int = 0,
    ) -> keras.utils.PyDataset:
        """Returns endless batches, read from the disk clip by clip.

        Batch i of epoch e depends on nothing but the seed, e and i.

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


class _Batches(keras.utils.PyDataset):
    """See `Extracted.batches`."""

    def __init__(
        self, held: Extracted, make: Any, batch: int, steps: int, seed: int
    ) -> None:
        super().__init__()
        self.held = held
        self.make = make
        self.batch = batch
        self.steps = steps
        self.seed = seed
        self.epoch = 0

    @property
    def num_batches(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> Any:
        random = np.random.default_rng([self.seed, self.epoch, index])
        clips = random.integers(len(self.held), size=self.batch)
        examples = [
            self.make(self.held, self.held.clips[number], random)
            for number in clips
        ]
        return keras.tree.map_structure(lambda *v: np.stack(v), *examples)

    def on_epoch_end(self) -> None:
        self.epoch += 1
