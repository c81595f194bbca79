# SPDX-License-Identifier: MIT
"""Render an NSynth-like set of notes from a SoundFont, for experiments.

    tf-diet render-notes -o notes
    tf-diet render-notes -o strings --programs 40-42 --velocities 60,100
    tf-diet render-notes -o held --split instrument --jobs 4

Needs fluidsynth and a SoundFont (apt-get install fluidsynth
fluid-soundfont-gm) and the extra 'render'. Notes are divided into train, valid
and test (80, 10 and 10 %). Notes that play the same recording of the SoundFont
(neighbouring keys, and most velocities) stay together: otherwise the test
notes would be near-copies of training notes. Mind that such notes are looped
recordings, and that in most SoundFonts a velocity changes little but the level.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tf_diet.audio import soundfont
from tf_diet.cli.parsing import add_json, add_list, add_output, add_seed
from tf_diet.errors import InputError


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet render-notes`."""
    add_output(
        parser, "the folder to make; must not be there yet", required=True
    )
    parser.former("--out", "--output")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove a set of notes that is there already",
    )
    parser.add_argument(
        "--soundfont",
        type=Path,
        default=soundfont.DEFAULT,
        metavar="FILE",
        help="an .sf2 file (default: %(default)s)",
    )
    add_list(
        parser,
        "--programs",
        metavar="N",
        default=None,
        help="General MIDI programs counted from 0, or ranges such as 40-42 "
        "(default: all pitched instruments)",
    )
    add_list(
        parser,
        "--pitches",
        metavar="N",
        default=("0-127",),
        help="MIDI note numbers or ranges; notes that an instrument does not "
        "have are left out (default: all)",
    )
    add_list(
        parser,
        "--velocities",
        metavar="N",
        default=("100",),
        help="MIDI velocities (default: 100)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=4.0,
        metavar="S",
        help="how long a note is (default: 4)",
    )
    parser.add_argument(
        "--sample-rate",
        type=int,
        default=16000,
        metavar="HZ",
        help="of the notes (default: 16000)",
    )
    parser.add_argument(
        "--split",
        choices=("recording", "instrument"),
        default="recording",
        help="what is never divided between train, valid and test (default: "
        "%(default)s)",
    )
    add_seed(parser, "the split")
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="how many processes render (default: one a core)",
    )
    add_json(parser, "how many notes there are")


def run(args: Any) -> dict[str, Any]:
    """Renders the notes and says how many there are."""
    if args.overwrite:
        _remove(args.output)
    from tf_diet.audio.rendering import render

    programs = args.programs
    notes = render(
        args.output,
        font=args.soundfont,
        programs=None if programs is None else _numbers(programs),
        pitches=_numbers(args.pitches),
        velocities=_numbers(args.velocities),
        seconds=args.seconds,
        sample_rate=args.sample_rate,
        split=args.split,
        seed=args.seed,
        jobs=args.jobs,
    )
    parts = Counter(note.part for note in notes)
    instruments = sorted({note.instrument_str for note in notes})
    recordings = len({note.recording for note in notes})
    print(
        f"{len(notes)} notes of {len(instruments)} instruments and "
        f"{recordings} recordings: "
        + ", ".join(f"{part} {count}" for part, count in parts.items())
    )
    print(f"wrote {args.output}")
    return {
        "output": args.output,
        "notes": len(notes),
        "instruments": instruments,
        "recordings": recordings,
        "parts": parts,
    }


def _remove(folder: Path) -> None:
    """Removes a set of notes that was rendered before.

    Raises:
        InputError: the folder holds something else.
    """
    if not folder.exists():
        return
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else None
    if held is None or not held <= {"train", "valid", "test", "LICENSE"}:
        raise InputError(
            "--overwrite removes rendered notes alone. Received: "
            f"{folder}, which holds something else. Name another folder, or "
            "remove it."
        )
    shutil.rmtree(folder)


def _numbers(texts: Sequence[str]) -> list[int]:
    """Reads numbers and ranges.

    Raises:
        InputError: one is neither.
    """
    numbers: list[int] = []
    for text in texts:
        first, dash, last = text.partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError as error:
            raise InputError(
                f"Numbers are written as 40 or as 40-42. Received: {text!r}."
            ) from error
        numbers += range(low, high + 1)
    return numbers
