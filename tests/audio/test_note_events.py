# SPDX-License-Identifier: MIT
"""Which notes are played, and when."""

import mido
import numpy as np
import pytest

from tf_diet.audio.note_events import (
    NoteEvent,
    midi_notes,
    mixed,
    read_notes,
    transposed,
    within,
    written_notes,
)
from tf_diet.errors import InputError


def test_what_is_left_out_is_as_before():
    assert written_notes(["C4:0.5:80", "F#3", "r:2", "61:1:90"]) == [
        NoteEvent(60, 0.0, 0.5, 80),
        NoteEvent(54, 0.5, 0.5, 80),
        NoteEvent(61, 3.0, 1.0, 90),
    ]


def test_a_file_of_notes(tmp_path):
    path = tmp_path / "song.txt"
    path.write_text("Bb2 r\nA4:2", "utf-8")
    assert read_notes([str(path)]) == [
        NoteEvent(46, 0.0, 1.0, 100),
        NoteEvent(69, 2.0, 2.0, 100),
    ]


@pytest.mark.parametrize("text", ["H4", "C4:", "C4:1:200", "200", "C4:0"])
def test_what_is_no_note(text):
    with pytest.raises(InputError, match="Received"):
        written_notes([text])


def test_a_rest_alone_is_no_piece():
    with pytest.raises(InputError, match="no notes to play"):
        written_notes(["r:1"])


def midi(path, *messages):
    file = mido.MidiFile(ticks_per_beat=100)
    track = mido.MidiTrack()
    # 120 beats a minute: 100 ticks are half a second.
    track += [mido.Message(kind, **rest) for kind, rest in messages]
    file.tracks.append(track)
    file.save(path)
    return path


def on(note, time=0, **rest):
    return "note_on", {"note": note, "time": time, "velocity": 70, **rest}


def off(note, time=0, **rest):
    return "note_off", {"note": note, "time": time, **rest}


def pedal(value, time=0):
    return "control_change", {"control": 64, "value": value, "time": time}


def test_midi_with_chords_drums_and_an_open_end(tmp_path):
    path = midi(
        tmp_path / "a.mid",
        *(on(60), on(64), on(40, channel=9), off(60, 100)),
        *(on(67), on(64, 100, velocity=0), off(40, channel=9)),
        ("control_change", {"control": 7, "value": 1, "time": 100}),
    )
    assert midi_notes(path) == [
        NoteEvent(60, 0.0, 0.5, 70),
        NoteEvent(64, 0.0, 1.0, 70),
        NoteEvent(67, 0.5, 1.0, 70),
    ]


def test_a_pedal_holds_notes(tmp_path):
    path = midi(
        tmp_path / "a.mid",
        *(pedal(127), on(60), off(60, 100), on(62), pedal(0, 100)),
        off(62, 100),
    )
    assert midi_notes(path) == [
        NoteEvent(60, 0.0, 1.0, 70),
        NoteEvent(62, 0.5, 1.0, 70),
    ]


def test_what_is_no_midi(tmp_path):
    path = tmp_path / "a.mid"
    with pytest.raises(InputError, match="cannot be read"):
        midi_notes(path)
    path.write_bytes(b"no MIDI")
    with pytest.raises(InputError, match="cannot be read"):
        midi_notes(path)
    with pytest.raises(InputError, match="no notes in the MIDI"):
        midi_notes(midi(path, on(40, channel=9), off(40, 100, channel=9)))


def test_notes_outside_the_range():
    notes = [NoteEvent(50), NoteEvent(62), NoteEvent(99)]
    with pytest.raises(InputError, match=r"2 of 3 notes.*60 to 72.*50, 99"):
        within(notes, 60, 72)
    moved = within(notes, 60, 72, "octave")
    assert [note.pitch for note in moved] == [62, 62, 63]
    assert within(notes, 60, 72, "keep") == notes
    with pytest.raises(InputError, match="2 of 3"):
        within(notes, 61, 62, "octave")
    with pytest.raises(InputError, match="'drop'"):
        within(notes, 60, 72, "drop")


def test_transposed():
    assert transposed([NoteEvent(60)], -12) == [NoteEvent(48)]
    with pytest.raises(InputError, match="pitch 130"):
        transposed([NoteEvent(60)], 70)


def test_sounds_begin_where_their_notes_do():
    notes = [NoteEvent(60, 0.5), NoteEvent(61, 0.0), NoteEvent(62, 1.0)]
    sounds = [np.full(4, 0.25), np.full(6, 0.5), np.full(2, 0.125)]
    piece = mixed(notes, sounds, 4)
    np.testing.assert_array_equal(piece, [0.5, 0.5, 0.75, 0.75, 0.875, 0.875])
    loud = mixed(notes[:1], [np.array([3.0, -6.0])], 4)
    np.testing.assert_allclose(loud, [0, 0, 0.495, -0.99], rtol=1e-6)
