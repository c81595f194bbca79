# SPDX-License-Identifier: MIT
"""Thousands of notes out of a SoundFont, laid out as NSynth is."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tf_diet import files, optional
from tf_diet.audio import soundfont
from tf_diet.audio.parallel import in_parallel
from tf_diet.audio.soundfont import Font, Program
from tf_diet.audio.sources import PARTS
from tf_diet.audio.splits import dealt
from tf_diet.errors import InputError

# Rendered higher and brought down, so that nothing folds back.
_RENDERED_HZ = 48000
_TICKS = 960
_GAIN = "0.6"
_SILENCE = 10 ** (-50 / 20)
_FAMILIES = (
    *("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ"),
    *("reed", "string", "synth_lead", "vocal"),
)
# What a set made from this font must carry along.
_LICENCES = {
    "FluidR3_GM.sf2": """\
These notes are rendered from the SoundFont FluidR3 GM.

Copyright (c) 2000-2002, 2008 Frank Wen <getfrank@gmail.com>
Copyright (c) 2008 Toby Smithe

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in
all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
}


@dataclass(frozen=True)
class RenderedNote:
    """One note, under the names that NSynth's `examples.json` uses.

    Args:
        note_str: its name, and that of its file.
        instrument: the program.
        instrument_str: family, source and program.
        instrument_family: NSynth's number of the family.
        instrument_family_str: its name.
        pitch: MIDI number.
        velocity: MIDI velocity.
        sample_rate: in Hz.
        recording: what is behind it in the SoundFont.
        part: "train", "valid" or "test".
    """

    note_str: str
    instrument: int
    instrument_str: str
    instrument_family: int
    instrument_family_str: str
    pitch: int
    velocity: int
    sample_rate: int
    recording: str
    part: str


def render(
    folder: str | os.PathLike[str],
    *,
    font: str | os.PathLike[str] = soundfont.DEFAULT,
    programs: Sequence[int] | None = None,
    pitches: Sequence[int] = range(128),
    velocities: Sequence[int] = (100,),
    seconds: float = 4.0,
    sample_rate: int = 16000,
    split: str = "recording",
    seed: int = 0,
    jobs: int | None = None,
) -> list[RenderedNote]:
    """Renders notes, dry, with a release in their last quarter.

    The same arguments and the same fluidsynth give the same bytes. The folder
    appears when all is done.

    Args:
        folder: where to; must not exist.
        font: the SoundFont.
        programs: of General MIDI; all that `soundfont.programs` knows when
            left out.
        pitches: MIDI numbers; those that an instrument does not play are left
            out.
        velocities: MIDI velocities. In most fonts they change the level and
            little else.
        seconds: length of a note; it is held for three quarters of it.
        sample_rate: in Hz.
        split: what stays together: "recording", or "instrument" (then whole
            programs are held out).
        seed: of the split.
        jobs: processes; as many as there are cores when left out.

    Returns:
        The notes that are there; silent ones are left out.

    Raises:
        InputError: fluidsynth or the SoundFont is missing, a program is
            unknown, or nothing is left to render.
        MissingDependencyError: the extra `render` is not installed.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(
            f"The folder exists. Received: {folder}. Name another, or remove "
            "it."
        )
    if shutil.which("fluidsynth") is None:
        raise InputError(
            "The program fluidsynth is not on the PATH. Received: nothing to "
            f"render with. Install it: {soundfont.INSTALL}."
        )
    optional.require("mido", extra="render")
    notes = _planned(font, programs, pitches, velocities, sample_rate)
    notes = _split(notes, split, seed)
    with files.replacing(folder) as work:
        for part in PARTS:
            (work / part / "audio").mkdir(parents=True)
        made = list(_rendered(notes, font, seconds, work, jobs))
        _write_tables(work, made)
        licence = _LICENCES.get(Path(font).resolve().name)
        if licence is not None:
            (work / "LICENSE").write_text(licence, encoding="utf-8")
    return made


def _planned(
    font: str | os.PathLike[str],
    numbers: Sequence[int] | None,
    pitches: Sequence[int],
    velocities: Sequence[int],
    sample_rate: int,
) -> list[RenderedNote]:
    """Returns the notes to render, program by program, low to high."""
    known = soundfont.programs()
    asked = sorted(known) if numbers is None else sorted(set(numbers))
    unknown = [number for number in asked if number not in known]
    if unknown:
        raise InputError(
            f"No instrument is known for some programs. Received: {unknown}. "
            f"Known: {', '.join(map(str, known))}; add others to "
            "general_midi.toml with their range."
        )
    wrong = [v for v in (*pitches, *velocities) if not 0 <= v <= 127]
    if wrong or 0 in velocities:
        raise InputError(
            "Pitches are from 0 to 127 and velocities from 1 to 127. "
            f"Received: {wrong or 'velocity 0'}."
        )
    sounds = Font.read(font)
    notes = []
    for program in (known[number] for number in asked):
        keys = [
            (pitch, velocity)
            for pitch in sorted(set(pitches))
            for velocity in sorted(set(velocities))
            if program.lowest <= pitch <= program.highest
        ]
        found = sounds.recordings(program.number, keys)
        notes += [
            _note(program, *key, sample_rate, found[key])
            for key in keys
            if key in found
        ]
    if not notes:
        raise InputError(
            "There is nothing to render. Received: programs "
            f"{list(asked)}, pitches {list(pitches)}, velocities "
            f"{list(velocities)}. Give pitches that the instruments play."
        )
    return notes


def _note(
    program: Program, pitch: int, velocity: int, rate: int, recording: str
) -> RenderedNote:
    instrument = f"{program.family}_acoustic_{program.number:03d}"
    return RenderedNote(
        f"{instrument}-{pitch:03d}-{velocity:03d}",
        program.number,
        instrument,
        _FAMILIES.index(program.family),
        program.family,
        pitch,
        velocity,
        rate,
        f"{program.number:03d} {recording}",
        "train",
    )


def _split(
    notes: Sequence[RenderedNote], by: str, seed: int
) -> list[RenderedNote]:
    """Deals what hangs together out to the parts, 80, 10 and 10 %."""
    if by not in ("recording", "instrument"):
        raise InputError(
            "A set is split by recording or by instrument. Received: "
            f"{by!r}. By note, near-copies would be on both sides."
        )
    random = np.random.default_rng(seed)
    whole = {n.instrument_str for n in notes} if by == "recording" else {""}
    part_of: dict[str, str] = {}
    for name in sorted(whole):
        mine = [n for n in notes if not name or n.instrument_str == name]
        groups = sorted({getattr(n, _KEYS[by]) for n in mine})
        # Of fewer than three, nothing is held out.
        share = 0.1 if len(groups) >= 3 else 0.0
        part_of |= dealt(groups, share, share, random)
    return [replace(n, part=part_of[getattr(n, _KEYS[by])]) for n in notes]


_KEYS = {"recording": "recording", "instrument": "instrument_str"}


def _rendered(
    notes: Sequence[RenderedNote],
    font: str | os.PathLike[str],
    seconds: float,
    work: Path,
    jobs: int | None,
) -> Iterator[RenderedNote]:
    numbers = sorted({note.instrument for note in notes})
    tasks = [
        ([n for n in notes if n.instrument == number], font, seconds, work)
        for number in numbers
    ]
    for made in in_parallel(_program, tasks, "rendering", jobs=jobs):
        yield from made


def _program(
    notes: Sequence[RenderedNote],
    font: str | os.PathLike[str],
    seconds: float,
    work: Path,
) -> list[RenderedNote]:
    """Renders one program's notes, one after the other."""
    soundfile = optional.require("soundfile", extra="audio")
    soxr = optional.require("soxr", extra="audio")
    # A second of silence between notes: no release reaches the next.
    slot = seconds + 1.0
    with tempfile.TemporaryDirectory(dir=work) as folder:
        score, wave = Path(folder) / "score.mid", Path(folder) / "out.wav"
        _score(notes, seconds, slot).save(score)
        _fluidsynth(font, score, wave)
        audio, rate = soundfile.read(wave, dtype="float32", always_2d=True)
    made = []
    for number, note in enumerate(notes):
        start = round(number * slot * rate)
        stereo = audio[start : start + round(seconds * rate)]
        mono = soxr.resample(stereo.mean(axis=1), rate, note.sample_rate)
        size = round(seconds * note.sample_rate)
        mono = np.pad(mono, (0, max(0, size - len(mono))))[:size]
        if np.abs(mono).max() < _SILENCE:
            continue
        path = work / note.part / "audio" / f"{note.note_str}.wav"
        soundfile.write(path, mono, note.sample_rate, subtype="PCM_16")
        made.append(note)
    return made


def _score(notes: Sequence[RenderedNote], seconds: float, slot: float) -> Any:
    mido = optional.require("mido", extra="render")
    events = [
        (0.0, mido.Message("program_change", program=notes[0].instrument))
    ]
    for number, note in enumerate(notes):
        start = number * slot
        on = {"note": note.pitch, "velocity": note.velocity}
        off = {"note": note.pitch, "velocity": 0}
        events += [
            (start, mido.Message("note_on", **on)),
            (start + 0.75 * seconds, mido.Message("note_off", **off)),
            # All sound off: the next note starts from nothing.
            (
                start + seconds + 0.5,
                mido.Message("control_change", control=120, value=0),
            ),
        ]
    # Files end with their last event.
    events.append((len(notes) * slot, mido.MetaMessage("marker", text="end")))
    score = mido.MidiFile(ticks_per_beat=_TICKS // 2)
    track_ = mido.MidiTrack()
    score.tracks.append(track_)
    track_.append(mido.MetaMessage("set_tempo", tempo=500_000))
    before = 0
    for at, message in events:
        tick = round(at * _TICKS)
        track_.append(message.copy(time=tick - before))
        before = tick
    return score


def _fluidsynth(font: str | os.PathLike[str], score: Path, wave: Path) -> None:
    """Renders a score, without reverb and chorus."""
    dry = ["-R", "0", "-C", "0", "-g", _GAIN, "-r", str(_RENDERED_HZ)]
    command = ["fluidsynth", "-q", "-n", "-i", *dry, "-T", "wav", "-O"]
    command += ["float", "-F", str(wave), str(font), str(score)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not wave.exists():
        raise InputError(
            "fluidsynth has failed. Received: "
            f"{(done.stderr or done.stdout).strip()[-500:]}. Try the command "
            f"by hand: {' '.join(command)}"
        )


def _write_tables(work: Path, notes: Sequence[RenderedNote]) -> None:
    for part in PARTS:
        table: Mapping[str, Any] = {
            note.note_str: {
                **{k: v for k, v in asdict(note).items() if k != "part"},
                "note": number,
                "instrument_source": 0,
                "instrument_source_str": "acoustic",
                "qualities": [0] * 10,
                "qualities_str": [],
            }
            for number, note in enumerate(notes)
            if note.part == part
        }
        text = json.dumps(table, indent=1, sort_keys=True)
        files.write_text(work / part / "examples.json", text + "\n")
