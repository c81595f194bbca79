# SPDX-License-Identifier: MIT
"""Audio files as clips of one length, and the store of their features."""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from absl import logging

from tf_diet import files
from tf_diet.audio.reading import (
    SILENCE,
    UnusableError,
    audible,
    check_pitch,
    read_audio,
)
from tf_diet.errors import InputError

SUFFIXES = {".wav", ".flac"}
# Raised whenever the features of the same samples would come out different.
FEATURES_VERSION = 1
NOTE = re.compile(r"(?<![A-Za-z])([A-Ga-g])([#sb♯♭]?)(-?\d)(?!\d)")
SEMITONES = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
ALTERATIONS = {"": 0, "#": 1, "s": 1, "♯": 1, "b": -1, "♭": -1}


@dataclass(frozen=True, eq=False)
class Clip:
    """One note of the length that was asked for.

    Args:
        name: the file, and the slice where it was cut into several.
        instrument: the name of the instrument.
        pitch: the named pitch, a MIDI number.
        recording: the take that the clip was cut from.
        audio: the samples, float32.
    """

    name: str
    instrument: str
    pitch: int
    recording: str
    audio: np.ndarray


def read(folder: Path, sample_rate: int, samples: int) -> list[Clip]:
    """Reads every note of a folder.

    Args:
        folder: has a `notes.json`, or audio files named by their note.
        sample_rate: samples a second to convert to.
        samples: length of a clip.

    Returns:
        The clips, in the order of the table or of the file names.

    Raises:
        InputError: there are none, or some cannot be used; each is listed
            with the reason.
    """
    if not folder.is_dir():
        raise InputError(
            f"The folder of notes does not exist. Received: {folder}. Name "
            "a folder of WAV or FLAC files."
        )
    listed = (folder / "notes.json").exists()
    jobs = note_table(folder) if listed else _found(folder)
    clips: list[Clip] = []
    bad: list[str] = []
    for name, note in jobs:
        try:
            audio = read_audio(folder / name, sample_rate, least=samples)
            if listed:
                clips.append(Clip(name, audio=audible(audio[:samples]), **note))
            else:
                clips.extend(_cut(folder, name, audio, samples))
            check_pitch(clips[-1].pitch, sample_rate)
        except UnusableError as reason:
            bad.append(f"{folder / name}: {reason}")
    if bad:
        raise InputError(
            f"Audio files that cannot be used in {folder}. Received: "
            + "; ".join(bad)
            + ". Repair these files or take them out of the folder."
        )
    if not clips:
        raise InputError(
            f"There are no notes in {folder}. Received: a folder without "
            "notes.json and without WAV or FLAC files. Put recordings there, "
            "each named by its note, such as violin_A4.wav."
        )
    return clips


def note_number(name: str) -> int | None:
    """Returns the MIDI number of the first note named in a text.

    Args:
        name: such as "violin_A4", "Fs3" or "Bb2"; C4 is 60.

    Returns:
        The number, or None if no note is named.
    """
    return named_note(name)[1]


def named_note(name: str) -> tuple[str, int | None]:
    """Returns what stands before the first note named in a text, and that.

    Args:
        name: such as "violin_A4".

    Returns:
        "violin" and 69; "" and None if no note is named.
    """
    match = NOTE.search(name)
    if match is None:
        return "", None
    letter, alteration, octave = match.groups()
    semitone = SEMITONES[letter.upper()] + ALTERATIONS[alteration]
    before = name[: match.start()].strip(" _-.")
    return before, 12 * (int(octave) + 1) + semitone


def note_table(folder: Path) -> list[tuple[str, dict]]:
    """Returns the files that a `notes.json` lists, and their labels.

    Args:
        folder: that the table lies in.

    Raises:
        InputError: the table cannot be read.
    """
    path = folder / "notes.json"
    fields = {"instrument": str, "pitch": int, "recording": str}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["clips"]
        return [
            (str(row["file"]), {f: kind(row[f]) for f, kind in fields.items()})
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The table of notes {path} cannot be used. Received: {error!r}. "
            "It needs a list 'clips' of objects with 'file', 'instrument', "
            "'pitch' (a MIDI number) and 'recording'; or remove it, and the "
            "files are read by their names."
        ) from error


def _found(folder: Path) -> Iterator[tuple[str, dict]]:
    for path in sorted(folder.rglob("*")):
        hidden = path.name.startswith(".")
        if path.suffix.lower() in SUFFIXES and not hidden:
            yield path.relative_to(folder).as_posix(), {}


def _cut(
    folder: Path, name: str, audio: np.ndarray, samples: int
) -> Iterator[Clip]:
    path = folder.resolve() / name
    prefix, pitch = named_note(path.stem)
    if pitch is None:
        raise UnusableError("no note in its name, such as A4")
    audible(audio[: len(audio) // samples * samples])
    for i in range(len(audio) // samples):
        part = audio[i * samples : (i + 1) * samples]
        if np.abs(part).max() >= SILENCE:
            yield Clip(
                name=f"{name}#{i}",
                instrument=(prefix or path.parent.name).lower(),
                pitch=pitch,
                recording=Path(name).with_suffix("").as_posix(),
                audio=part,
            )


class FeatureStore:
    """Features on disk, one file a clip, named by what they were made from.

    Args:
        folder: where the files are; `tf_diet` in the user's cache folder
            when None.
        sample_rate: samples a second.
        hop: samples a frame.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        sample_rate: int,
        hop: int,
    ) -> None:
        self.folder = user_cache() if folder is None else Path(folder)
        self.sample_rate = sample_rate
        self.hop = hop

    def path(self, clip: Clip) -> Path:
        """Returns the file of a clip's features."""
        settings = [FEATURES_VERSION, self.sample_rate, self.hop, clip.pitch]
        key = hashlib.sha256(json.dumps(settings).encode())
        key.update(np.ascontiguousarray(clip.audio).tobytes())
        return self.folder / f"features-{key.hexdigest()[:32]}.npz"

    def get(
        self,
        clip: Clip,
        compute: Callable[[], tuple[np.ndarray, np.ndarray]],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns f0 and loudness, computing what the store lacks.

        Args:
            clip: what they describe.
            compute: makes them. Also asked where the file is damaged.
        """
        path = self.path(clip)
        stored = self._read(path, len(clip.audio) // self.hop)
        if stored is not None:
            return stored
        f0, loudness = compute()
        try:
            with files.replacing(path) as temporary:
                np.savez(temporary, f0=f0, loudness=loudness)
        except OSError as error:
            logging.log_first_n(
                logging.WARNING,
                "Features cannot be kept in %s (%s); they will be computed "
                "again next time. Pass a cache folder that can be written.",
                1,
                self.folder,
                error,
            )
        return f0, loudness

    def _read(
        self, path: Path, frames: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file) as stored:
                f0, loudness = stored["f0"], stored["loudness"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            f0 = loudness = np.empty(0)
        for values in (f0, loudness):
            if values.shape != (frames,) or not np.isfinite(values).all():
                logging.info("Damaged features are computed again: %s", path)
                return None
        return f0, loudness


def user_cache() -> Path:
    """Returns tf_diet's folder in the user's cache folder."""
    # The XDG standard asks that a relative value be ignored.
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = named if named.is_absolute() else Path.home() / ".cache"
    return base / "tf_diet"
