# SPDX-License-Identifier: MIT
"""Render an NSynth-like set of notes from a SoundFont, for experiments.

    tf-diet render-notes --out notes
    tf-diet render-notes --out strings --programs 40-42 --velocities 60 100
    tf-diet render-notes --out held --split instrument --jobs 4

Needs fluidsynth and a SoundFont (apt-get install fluidsynth
fluid-soundfont-gm) and the extra 'render'. Notes go into train, valid and test
(80, 10, 10 %) by recording: neighbouring keys, and most velocities, play one
recording of the SoundFont, so that a split by note would test on near-copies
of what was trained on. Mind that such notes are looped recordings, and that a
velocity is mostly a level.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from tf_diet.audio import soundfont
from tf_diet.audio.rendering import render
from tf_diet.errors import InputError


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet render-notes`."""
    parser.add_argument(
        "--out", required=True, type=Path, help="the folder to make"
    )
    parser.add_argument(
        "--soundfont",
        type=Path,
        default=soundfont.DEFAULT,
        help="an .sf2 file (default: %(default)s)",
    )
    parser.add_argument(
        "--programs",
        nargs="+",
        metavar="N",
        help="General MIDI programs from 0, or ranges such as 40-42 "
        "(default: all pitched instruments)",
    )
    parser.add_argument(
        "--pitches",
        nargs="+",
        metavar="N",
        default=["0-127"],
        help="MIDI numbers or ranges; what an instrument does not play is left "
        "out (default: all)",
    )
    parser.add_argument(
        "--velocities",
        nargs="+",
        metavar="N",
        default=["100"],
        help="MIDI velocities (default: 100)",
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of a note (default: 4)"
    )
    parser.add_argument(
        "--sample-rate", type=int, default=16000, help="default: 16000"
    )
    parser.add_argument(
        "--split",
        choices=("recording", "instrument"),
        default="recording",
        help="what stays together (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--jobs", type=int, help="processes (default: one a core)"
    )


def run(args: Any) -> None:
    """Renders the notes and says how many there are."""
    programs = args.programs
    notes = render(
        args.out,
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
    recordings = len({note.recording for note in notes})
    print(
        f"{len(notes)} notes of {len({n.instrument for n in notes})} "
        f"instruments and {recordings} recordings: "
        + ", ".join(f"{part} {count}" for part, count in parts.items())
    )
    print(f"wrote {args.out}")


def _numbers(texts: list[str]) -> list[int]:
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
