# SPDX-License-Identifier: MIT
r"""Play notes, a MIDI file or a recording with a trained model.

    tf-diet generate runs/strings --notes C4:0.5,E4,G4:1:90 -o chord.wav
    tf-diet generate runs/strings --notes tune.txt -o tune.wav
    tf-diet generate runs/strings --midi song.mid -o song.wav \
        --instrument flute_acoustic_073 --outside octave
    tf-diet generate runs/strings --audio voice.wav -o flute.wav \
        --transpose 12
    tf-diet generate runs/strings --ticket small.keras --notes A4 -o a.wav

The folder is what 'tf-diet train' wrote; --ticket plays a pruned copy of its
model. A note is NOTE:SECONDS:VELOCITY, of which the last two may be left out;
r is a rest. Notes follow each other, each shaped (in loudness and pitch over
time) like the training note of the instrument that is nearest to it. With
--audio, DDSP takes pitch and loudness from a recording and plays them; WaveNet
and SING encode the recording and decode it again.
"""

from pathlib import Path
from typing import Any

from tf_diet.cli.parsing import (
    add_json,
    add_list,
    add_output,
    add_seed,
    check_suffix,
)
from tf_diet.cli.results import check_new

_FORMATS = (".wav", ".flac", ".ogg")


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet generate`."""
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="what 'tf-diet train' wrote",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    add_list(
        what,
        "--notes",
        metavar="NOTES",
        help="such as C4,E4:0.5,r,G4:1:90, or a text file of such notes",
    )
    what.add_argument("--midi", type=Path, metavar="FILE", help="a MIDI file")
    what.add_argument(
        "--audio", type=Path, metavar="FILE", help="a recording to resynthesise"
    )
    add_output(parser, "the .wav, .flac or .ogg file to write", required=True)
    parser.former("--out", "--output")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing file"
    )
    parser.add_argument(
        "--instrument",
        metavar="NAME",
        help="one that the model was trained on (default: the first)",
    )
    parser.add_argument(
        "--outside",
        choices=("refuse", "octave", "keep"),
        default="refuse",
        help="what to do with notes outside the range that was trained on: "
        "end with an error, move them by octaves into it, or play them as "
        "they are (default: %(default)s)",
    )
    parser.add_argument(
        "--transpose",
        type=int,
        default=0,
        metavar="SEMITONES",
        help="play higher or lower (default: 0)",
    )
    parser.add_argument(
        "--ticket",
        type=Path,
        metavar="FILE",
        help="play with this .keras file, a pruned copy of the folder's model",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="how freely WaveNet draws its samples: below 1 the likely ones "
        "become likelier (default: 1)",
    )
    add_seed(parser)
    add_json(parser, "what was played")


def run(args: Any) -> dict[str, Any]:
    """Plays, and writes what was played."""
    check_suffix(args.output, _FORMATS, "the sound")
    check_new([args.output], overwrite=args.overwrite)
    from tf_diet import files, optional
    from tf_diet.audio.note_events import midi_notes, read_notes, transposed
    from tf_diet.models.trained import Trained

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
    with files.replacing(args.output) as temporary:
        soundfile.write(temporary, sound.clip(-1, 1), rate)
    seconds = len(sound) / rate
    print(f"wrote {args.output}: {seconds:.1f} s at {rate} Hz")
    return {"output": args.output, "seconds": seconds, "sample_rate": rate}
