# SPDX-License-Identifier: MIT
"""Which notes to play, and when: written as text, or read from MIDI."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tf_diet import optional
from tf_diet.arrays import Floats32
from tf_diet.audio.note_names import note_number
from tf_diet.errors import InputError

_WRITTEN = re.compile(
    r"(?P<note>[A-Ga-g][#sb]?-?\d|\d{1,3}|r)"
    r"(:(?P<seconds>\d*\.?\d+)(:(?P<velocity>\d{1,3}))?)?"
)
# General MIDI numbers channels from 1; drums are on the tenth.
_DRUMS = 9
_PEDAL = 64


@dataclass(frozen=True)
class NoteEvent:
    """A note of a piece.

    Args:
        pitch: MIDI number.
        start: seconds from the beginning of the piece.
        seconds: how long it is held; what it sounds after that is its
            release.
        velocity: MIDI velocity, 1 to 127.
    """

    pitch: int
    start: float = 0.0
    seconds: float = 1.0
    velocity: int = 100


def written_notes(texts: Iterable[str]) -> list[NoteEvent]:
    """Reads notes that follow one another.

    Args:
        texts: each `NOTE`, `NOTE:SECONDS` or `NOTE:SECONDS:VELOCITY`, where
            the note is a name such as C4 (MIDI number 60), F#3 or Bb2, a MIDI
            number, or r for a rest. A length or a velocity that is left out is
            that of the note before, at first 1 second and 100.

    Raises:
        InputError: a text is no note, or there is none.
    """
    notes: list[NoteEvent] = []
    now, seconds, velocity = 0.0, 1.0, 100
    for text in texts:
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise InputError(
                f"Notes are written NOTE:SECONDS:VELOCITY. Received: {text!r}."
                " Write C4, F#3:0.5, 60:1:90, or r:0.5 for a rest."
            )
        seconds = float(match["seconds"] or seconds)
        velocity = int(match["velocity"] or velocity)
        if match["note"] != "r":
            number = note_number(match["note"])
            pitch = int(match["note"]) if number is None else number
            notes.append(_checked(NoteEvent(pitch, now, seconds, velocity)))
        now += seconds
    if not notes:
        raise InputError("There are no notes to play. Write some, such as C4.")
    return notes


def midi_notes(path: str | os.PathLike[str]) -> list[NoteEvent]:
    """Reads the notes of a standard MIDI file, all tracks together.

    Drums, on channel 10, are left out. A pedal (controller 64) holds notes
    until it is lifted.

    Args:
        path: of the file.

    Raises:
        InputError: it cannot be read, or holds no notes.
    """
    mido = optional.require("mido", extra="midi")
    try:
        file = mido.MidiFile(path)
        notes = list(_played(file))
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise InputError(
            f"The MIDI file cannot be read. Received: {path}: {error!r}. Name "
            "a standard MIDI file (.mid)."
        ) from error
    if not notes:
        raise InputError(
            f"There are no notes in the MIDI file. Received: {path}; drums, "
            "on channel 10, are not played."
        )
    return sorted(notes, key=lambda note: (note.start, note.pitch))


class _Keys:
    """What is held down on every channel, and what the pedals hold."""

    def __init__(self) -> None:
        self.down: dict[tuple[int, int], list[NoteEvent]] = {}
        self.pedals: set[int] = set()
        self.held: dict[int, list[NoteEvent]] = {}

    def press(self, now: float, message: Any) -> None:
        """Notes the start of a note."""
        note = NoteEvent(message.note, now, 0.0, message.velocity)
        self.down.setdefault((message.channel, message.note), []).append(note)

    def lift(self, now: float, message: Any) -> list[NoteEvent]:
        """Returns the note that ends, unless a pedal holds it."""
        notes = self.down.get((message.channel, message.note))
        if not notes:
            return []
        note = notes.pop(0)
        if message.channel in self.pedals:
            self.held.setdefault(message.channel, []).append(note)
            return []
        return _ended([note], now)

    def pedal(self, now: float, message: Any) -> list[NoteEvent]:
        """Returns the notes that end as a pedal is lifted."""
        if message.value >= 64:
            self.pedals.add(message.channel)
            return []
        self.pedals.discard(message.channel)
        return _ended(self.held.pop(message.channel, []), now)

    def rest(self, now: float) -> list[NoteEvent]:
        """Returns what nobody ended: it ends with the piece."""
        notes = [*self.held.values(), *self.down.values()]
        return _ended([note for some in notes for note in some], now)


def _ended(notes: Sequence[NoteEvent], now: float) -> list[NoteEvent]:
    """Returns notes that last until now; those of no length are none."""
    return [
        replace(note, seconds=now - note.start)
        for note in notes
        if now > note.start
    ]


def _played(messages: Iterable[Any]) -> Iterator[NoteEvent]:
    """Yields notes as they end; times of messages are in seconds."""
    now, keys = 0.0, _Keys()
    for message in messages:
        now += message.time
        if getattr(message, "channel", _DRUMS) == _DRUMS:
            continue
        if message.type == "control_change" and message.control == _PEDAL:
            yield from keys.pedal(now, message)
        elif message.type == "note_on" and message.velocity:
            keys.press(now, message)
        elif message.type in ("note_on", "note_off"):
            yield from keys.lift(now, message)
    yield from keys.rest(now)


def _checked(note: NoteEvent) -> NoteEvent:
    if not (0 <= note.pitch <= 127 and 1 <= note.velocity <= 127):
        raise InputError(
            "MIDI numbers go from 0 to 127, velocities from 1 to 127. "
            f"Received: pitch {note.pitch}, velocity {note.velocity}."
        )
    if not note.seconds > 0:
        raise InputError(
            "A note must be held for some time. Received: "
            f"{note.seconds:g} seconds."
        )
    return note


def transposed(notes: Sequence[NoteEvent], semitones: int) -> list[NoteEvent]:
    """Returns notes moved in pitch.

    Raises:
        InputError: one would not be a MIDI number any more.
    """
    return [
        _checked(replace(note, pitch=note.pitch + semitones)) for note in notes
    ]


def within(
    notes: Sequence[NoteEvent], low: int, high: int, outside: str = "refuse"
) -> list[NoteEvent]:
    """Returns notes as an instrument with a range can play them.

    Args:
        notes: to play.
        low: its lowest MIDI number.
        high: its highest.
        outside: what to do with other notes: "refuse" raises, "octave" moves
            them by octaves to where they fit, "keep" leaves them.

    Raises:
        InputError: some are outside, and are refused or fit in no octave; or
            `outside` is none of these.
    """
    if outside not in ("refuse", "octave", "keep"):
        raise InputError(
            "Notes outside the range are treated as 'refuse', 'octave' or "
            f"'keep' say. Received: {outside!r}."
        )
    strange = [n.pitch for n in notes if not low <= n.pitch <= high]
    if not strange or outside == "keep":
        return list(notes)
    moved = [replace(n, pitch=_moved(n.pitch, low, high)) for n in notes]
    lost = [n.pitch for n in moved if not low <= n.pitch <= high]
    if outside == "refuse" or lost:
        listed = ", ".join(map(str, sorted(set(strange))[:8]))
        raise InputError(
            f"{len(strange)} of {len(notes)} notes are outside what the model "
            f"was trained on, MIDI {low} to {high}. Received: {listed}. "
            "Transpose the piece, move such notes by octaves (--outside "
            "octave), or keep them, unsure how they will sound (--outside "
            "keep)."
        )
    return moved


def _moved(pitch: int, low: int, high: int) -> int:
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


def mixed(
    notes: Sequence[NoteEvent],
    sounds: Sequence[Floats32],
    sample_rate: int,
) -> Floats32:
    """Returns the piece that notes make together.

    Args:
        notes: when each begins.
        sounds: of each.
        sample_rate: of the sounds.

    Shapes:
        sounds: (samples,) each; returns (samples,), as long as the last sound
        needs, below full scale: a piece that would be louder is turned down.
    """
    starts = [round(note.start * sample_rate) for note in notes]
    length = max(at + len(s) for at, s in zip(starts, sounds, strict=True))
    piece = np.zeros(length, np.float32)
    for at, sound in zip(starts, sounds, strict=True):
        piece[at : at + len(sound)] += sound
    peak = float(np.abs(piece).max())
    return piece / peak * np.float32(0.99) if peak > 0.99 else piece


def read_notes(given: Sequence[str]) -> list[NoteEvent]:
    """Reads notes as written, or from the text file that is named.

    Args:
        given: texts such as "C4:0.5", as `written_notes` takes them; or one
            path of a file of them.

    Raises:
        InputError: a text is no note, or there is none.
    """
    if len(given) == 1 and Path(given[0]).is_file():
        return written_notes(Path(given[0]).read_text("utf-8").split())
    return written_notes(given)
