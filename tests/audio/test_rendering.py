# SPDX-License-Identifier: MIT
"""Notes rendered from a SoundFont, as a user makes them."""

import filecmp
import json
import shutil
from collections import defaultdict

import numpy as np
import pytest
import soundfile
from command_line import run

from tf_diet.audio import rendering, soundfont
from tf_diet.audio.sources import read_source
from tf_diet.errors import InputError

HAS_FONT = shutil.which("fluidsynth") and soundfont.DEFAULT.exists()
needs_font = pytest.mark.skipif(
    not HAS_FONT, reason="fluidsynth and FluidR3 GM are not installed"
)


def test_instruments_are_those_of_nsynths_families():
    known = soundfont.programs()
    assert len(known) > 60
    assert known[40].name == "violin"
    assert (known[40].lowest, known[40].highest) == (55, 96)
    assert {p.family for p in known.values()} <= set(rendering._FAMILIES)
    assert all(p.lowest < p.highest for p in known.values())


def test_keys_that_share_a_recording_have_one_name():
    heard = {
        (60, 1): ["a"],
        (61, 1): ["a", "b"],
        (62, 1): ["b"],
        (63, 1): ["c"],
        (64, 1): ["d", "e"],
        (65, 1): ["e", "c"],
    }
    names = soundfont._joined(heard)
    assert names[60, 1] == names[61, 1] == names[62, 1]
    assert names[63, 1] == names[64, 1] == names[65, 1]
    assert names[60, 1] != names[63, 1]


def test_a_split_never_parts_a_recording():
    program = soundfont.programs()[40]
    notes = [
        rendering._note(program, pitch, velocity, 16000, f"take {pitch // 3}")
        for pitch in range(55, 97)
        for velocity in (50, 100)
    ]
    split = rendering._split(notes, "recording", seed=0)
    parts = defaultdict(set)
    for note in split:
        parts[note.recording].add(note.part)
    assert all(len(found) == 1 for found in parts.values())
    counts = [sum(n.part == p for n in split) for p in rendering.PARTS]
    assert all(0.08 < count / len(notes) < 0.15 for count in counts[1:])
    assert rendering._split(notes, "recording", seed=0) == split
    assert rendering._split(notes, "recording", seed=1) != split
    with pytest.raises(InputError, match="near-copies"):
        rendering._split(notes, "note", seed=0)


@needs_font
def test_notes_are_rendered_in_tune_and_the_same_again(tmp_path, capsys):
    line = ["render-notes", "--programs", "73", "40", "--pitches", "60-70"]
    line += ["--velocities", "60", "100", "--seconds", "1", "--jobs", "1"]
    code, out = run(capsys, *line, "--out", tmp_path / "one")
    assert code == 0, out
    assert "44 notes of 2 instruments" in out
    assert run(capsys, *line, "--out", tmp_path / "two")[0] == 0
    same = filecmp.dircmp(tmp_path / "one", tmp_path / "two")
    assert not same.left_only
    assert not same.right_only
    for path in (tmp_path / "one").rglob("*.*"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert other.read_bytes() == path.read_bytes()
    assert "Frank Wen" in (tmp_path / "one" / "LICENSE").read_text()

    source = read_source(tmp_path / "one")
    assert source.layout == "NSynth"
    assert len(source.notes) == 44
    recordings = defaultdict(set)
    for note in source.notes:
        recordings[note.recording].add(note.part)
        audio, rate = soundfile.read(note.path)
        assert (rate, audio.shape) == (16000, (16000,))
        held = audio[4000:12000] * np.hanning(8000)
        spectrum = np.abs(np.fft.rfft(held, 2**16))
        hertz = 440 * 2 ** ((note.pitch - 69) / 12)
        # The strongest of a fifth around the fundamental is near it.
        low, high = (int(hertz * f * 2**16 / rate) for f in (0.75, 1.5))
        peak = (low + spectrum[low:high].argmax()) * rate / 2**16
        assert abs(1200 * np.log2(peak / hertz)) < 40, note.name
        # Released at three quarters, and nothing of the note before.
        assert np.abs(audio[-800:]).max() < 0.5 * np.abs(audio).max()
        assert np.abs(audio[:16]).max() < 0.05
    assert all(len(parts) == 1 for parts in recordings.values())
    table = json.loads((tmp_path / "one/train/examples.json").read_text())
    row = next(iter(table.values()))
    assert {"pitch", "velocity", "instrument_str", "qualities"} <= set(row)

    code, out = run(capsys, *line, "--out", tmp_path / "one")
    assert code == 2
    assert "The folder exists" in out


@needs_font
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--programs", "127"], "No instrument is known for some programs"),
        (["--programs", "40", "--pitches", "10"], "nothing to render"),
        (["--velocities", "0"], "velocities from 1 to 127"),
        (["--programs", "violin"], "as 40 or as 40-42"),
        (["--soundfont", "none.sf2"], "There is no SoundFont here"),
        (["--soundfont", __file__], "no SoundFont that can be read"),
    ],
)
def test_what_cannot_be_rendered(tmp_path, capsys, more, message):
    code, out = run(capsys, "render-notes", "--out", tmp_path / "n", *more)
    assert code == 2
    assert message in " ".join(out.split())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_fluidsynth_is_named_with_the_way_to_get_it(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out = run(capsys, "render-notes", "--out", tmp_path / "n")
    assert code == 2
    assert "apt-get install fluidsynth fluid-soundfont-gm" in out
