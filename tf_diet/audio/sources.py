# SPDX-License-Identifier: MIT
"""What a folder of sounds holds: notes, by their labels alone.

Nothing is decoded here. NSynth's folders and TFRecords are read, folders with
a `notes.json`, folders of files that are named by their notes, and folders of
classes.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_diet.audio.note_names import named_note
from tf_diet.audio.reading import SUFFIXES
from tf_diet.errors import InputError

PARTS = ("train", "valid", "test")
SHIPPED = Path(__file__).parent / "notes"
"""The violin and flute notes that come with tf_diet."""
_NAMED = {"shipped": SHIPPED}


@dataclass(frozen=True)
class Note:
    """One file and what its labels say.

    Args:
        path: of the file.
        name: of the file, within the folder.
        instrument: its name; that of the folder where nothing else tells.
        pitch: MIDI number, or None where nothing tells.
        velocity: MIDI velocity, or None.
        recording: what must stay on one side of a split.
        part: "train", "valid" or "test" where the folder says so.
    """

    path: Path
    name: str
    instrument: str
    pitch: int | None = None
    velocity: int | None = None
    recording: str = ""
    part: str | None = None


@dataclass(frozen=True)
class Source:
    """The notes of a folder.

    Args:
        folder: that was read.
        layout: which kind it is.
        notes: what can be used, by name.
        problems: what cannot, and why.
    """

    folder: Path
    layout: str
    notes: Sequence[Note]
    problems: Sequence[tuple[str, str]] = field(default=())

    @property
    def instruments(self) -> tuple[str, ...]:
        """The names of the instruments, sorted."""
        return tuple(sorted({note.instrument for note in self.notes}))

    def __repr__(self) -> str:
        bad = f", {len(self.problems)} not usable" if self.problems else ""
        return (
            f"<Source {self.folder} ({self.layout}): {len(self.notes)} notes "
            f"of {len(self.instruments)} instruments{bad}>"
        )


def read_source(folder: str | os.PathLike[str]) -> Source:
    """Finds out what a folder holds.

    Args:
        folder: NSynth's (`examples.json` and `audio/`, in the folder or in
            one for each part; or `*.tfrecord`), or with a `notes.json`, or of
            audio files, in folders of classes or not; or "shipped", for the
            violin and flute notes that come with tf_diet, where no folder of
            this name exists.

    Raises:
        InputError: there is no audio, or a table of labels cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        folder = _NAMED.get(str(folder), folder)
    if not folder.is_dir():
        raise InputError(
            f"There is no such folder. Received: {folder}. Name a folder of "
            "audio files, make one with 'tf-diet render-notes', or write "
            "'shipped' for the notes that come with tf_diet."
        )
    problems: list[tuple[str, str]] = []
    for layout, found in _LAYOUTS.items():
        notes = sorted(found(folder, problems), key=lambda note: note.name)
        if notes or problems:
            return Source(folder, layout, tuple(notes), tuple(problems))
    raise InputError(
        f"There is no audio in this folder. Received: {folder}. Put "
        f"{', '.join(sorted(SUFFIXES))} files there, or NSynth's folders or "
        "TFRecords."
    )


Problems = list[tuple[str, str]]


def _nsynth(folder: Path, problems: Problems) -> Iterator[Note]:
    """Folders with an `examples.json`, as NSynth is handed out."""
    for table in sorted(folder.rglob("examples.json")):
        place = table.parent
        part = _part(place.relative_to(folder.parent).as_posix())
        for name, row in _table(table).items():
            note = _labelled(table, name, row)
            path = place / "audio" / f"{name}.wav"
            within = path.relative_to(folder).as_posix()
            if not path.is_file():
                problems.append((within, f"missing, though {table} lists it"))
                continue
            yield Note(path, within, *note, part)


def _part(place: str) -> str | None:
    """Returns the part that a path is named after, such as nsynth-valid."""
    last = place.rpartition("/")[2].lower()
    for part in PARTS:
        if part in last:
            return part
    return None


def _table(path: Path) -> Mapping[str, Any]:
    try:
        table = json.loads(path.read_text("utf-8"))
        if not isinstance(table, dict):
            raise TypeError("no object of notes by name")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"A table of labels cannot be read. Received: {path}: {error}. "
            "NSynth's is a JSON object of notes by name, each with 'pitch', "
            "'velocity' and 'instrument_str'."
        ) from error
    return table


def _labelled(
    table: Path, name: str, row: Any
) -> tuple[str, int, int | None, str]:
    """Returns instrument, pitch, velocity and recording of one row."""
    try:
        instrument = str(row["instrument_str"])
        pitch = int(row["pitch"])
        velocity = row.get("velocity")
        recording = str(row.get("recording", f"{instrument} {pitch}"))
        return (
            instrument,
            pitch,
            None if velocity is None else int(velocity),
            recording,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"The labels of a note cannot be read. Received: {name!r} in "
            f"{table}: {error!r}. Each needs 'instrument_str', a text, and "
            "'pitch', a MIDI number."
        ) from error


def _listed(folder: Path, problems: Problems) -> Iterator[Note]:
    """A folder with a `notes.json`, as the one that ships."""
    table = folder / "notes.json"
    if not table.exists():
        return
    for note in _note_table(table):
        if note.path.is_file():
            yield note
        else:
            problems.append((note.name, f"missing, though {table} lists it"))


def _note_table(table: Path) -> list[Note]:
    try:
        rows = json.loads(table.read_text("utf-8"))["clips"]
        return [
            Note(
                table.parent / str(row["file"]),
                str(row["file"]),
                str(row["instrument"]),
                int(row["pitch"]),
                recording=str(row["recording"]),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The table of notes {table} cannot be used. Received: {error!r}. "
            "It needs a list 'clips' of objects with 'file', 'instrument', "
            "'pitch' (a MIDI number) and 'recording'; or remove it, and the "
            "files are read by their names."
        ) from error


def _files(folder: Path, problems: Problems) -> Iterator[Note]:
    """Audio files, named by their notes or not; others are reported."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name.startswith("."):
            continue
        if path.suffix.lower() not in SUFFIXES:
            continue
        prefix, pitch = named_note(path.stem)
        places = path.relative_to(folder).parts[:-1]
        part = next(filter(None, map(_part, reversed(places))), None)
        kinds = [p for p in places if _part(p) is None]
        kind = prefix or (kinds[-1] if kinds else folder.name)
        recording = path.relative_to(folder).with_suffix("").as_posix()
        yield Note(path, name, kind.lower(), pitch, None, recording, part)


def _tfrecords(folder: Path, problems: Problems) -> Iterator[Note]:
    """NSynth's TFRecords, unpacked once beside themselves."""
    from tf_diet.audio.tfrecords import unpacked

    for path in sorted(folder.rglob("*.tfrecord*")):
        if path.is_file():
            yield from _nsynth(unpacked(path), problems)


_LAYOUTS: dict[str, Callable[[Path, Problems], Iterator[Note]]] = {
    "NSynth": _nsynth,
    "notes.json": _listed,
    "NSynth TFRecord": _tfrecords,
    "audio files": _files,
}
