# SPDX-License-Identifier: MIT
"""Play notes, a MIDI file or a recording with a trained model.

    tf-diet generate runs/strings --notes C4:0.5 E4 G4:1:90 --out chord.wav
    tf-diet generate runs/strings --midi song.mid --out song.wav \
        --instrument flute_acoustic_073 --outside octave
    tf-diet generate runs/strings --audio voice.wav --out flute.wav \
        --transpose 12
    tf-diet generate runs/strings --ticket small.keras --notes A4 --out a.wav

The folder is what 'tf-diet train' wrote; --ticket plays a pruned copy of its
model. Notes are NOTE:SECONDS:VELOCITY, one after the other, r for a rest; or
name a text file of them. A note takes its contour from the nearest training
note of the instrument. With --audio, DDSP plays what a recording plays (its
pitch and its loudness), WaveNet and SING resynthesise the recording.
"""

from pathlib import Path
from typing import Any

from tf_diet import files, optional
from tf_diet.audio.note_events import midi_notes, read_notes, transposed
from tf_diet.errors import InputError
from tf_diet.models.trained import Trained

_FORMATS = (".wav", ".flac", ".ogg")


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet generate`."""
    parser.add_argument("folder", type=Path, help="what 'tf-diet train' wrote")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--notes", nargs="+", metavar="NOTE", help="such as C4 E4:0.5 r G4:1:90"
    )
    what.add_argument("--midi", type=Path, help="a MIDI file")
    what.add_argument("--audio", type=Path, help="a recording to resynthesise")
    parser.add_argument(
        "--out", required=True, type=Path, help="a .wav, .flac or .ogg file"
    )
    parser.add_argument(
        "--instrument", help="one that was trained on (default: the first)"
    )
    parser.add_argument(
        "--outside",
        choices=("refuse", "octave", "keep"),
        default="refuse",
        help="what to do with notes outside the trained range "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--transpose", type=int, default=0, help="semitones (default: 0)"
    )
    parser.add_argument("--ticket", type=Path, help="another .keras file")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="of what WaveNet draws (default: 1)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def run(args: Any) -> None:
    """Plays, and writes what was played."""
    if args.out.suffix.lower() not in _FORMATS:
        raise InputError(
            "The sound is written as its name ends. Received: "
            f"{args.out}. Known: {', '.join(_FORMATS)}."
        )
    soundfile = optional.require("soundfile", extra="audio")
    trained = Trained.load(args.folder, args.ticket)
    instrument = trained.instrument(
        args.instrument, temperature=args.temperature, seed=args.seed
    )
    if args.audio:
        sound = trained.resynthesize(instrument, args.audio, args.transpose)
    else:
        given = midi_notes(args.midi) if args.midi else read_notes(args.notes)
        notes = transposed(given, args.transpose)
        sound = trained.play(instrument, notes, args.outside)
    rate = trained.settings.sample_rate
    with files.replacing(args.out) as temporary:
        soundfile.write(temporary, sound.clip(-1, 1), rate)
    print(f"wrote {args.out}: {len(sound) / rate:.1f} s at {rate} Hz")
