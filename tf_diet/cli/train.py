# SPDX-License-Identifier: MIT
r"""Train a DDSP, WaveNet or SING on a folder of sounds.

    tf-diet train --model ddsp --preset small --data notes -o runs/strings
    tf-diet train --model ddsp --preset small --data notes -o runs/strings \
        --resume
    tf-diet train --model wavenet --preset tiny --data notes -o runs/wave \
        --steps 3000 --set channels=24,layers=8
    tf-diet train --model sing --data notes -o runs/sing

--data is NSynth's folder, one of 'tf-diet render-notes', or any folder of
audio files. Clips are split by recording, or as the folder says. Into the
folder -o go model.keras (the epoch that was best on clips held out as 'valid'),
training.jsonl (a line for each epoch), seconds.json (what each stage took),
config.json, and templates.npz (how the notes that were trained on go over
time, for 'tf-diet generate').

SING is trained in three stages, which share --steps: its auto-encoder
(autoencoder.keras), its generator (generator.keras), and both ends together;
sing-autoencoder is the first alone.

A killed training goes on with --resume and ends as if it had not been. On a
GPU, run it under KERAS_BACKEND=jax or a GPU build of TensorFlow; the command is
the same.
"""

import ast
from collections.abc import Sequence
from typing import Any

from tf_diet.cli.data import add_data, read_sounds
from tf_diet.cli.parsing import (
    add_again,
    add_json,
    add_list,
    add_output,
    add_seed,
    check_folder,
    remove_work,
)
from tf_diet.extensions import families
from tf_diet.training.folder import ResumableFolder

TELLS = "info"


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet train`."""
    parser.add_argument(
        "--model",
        required=True,
        choices=families.names(),
        help="which kind of model",
    )
    parser.add_argument(
        "--preset",
        default="small",
        metavar="NAME",
        help="its size: tiny, small or paper (default: small)",
    )
    add_list(
        parser,
        "--set",
        metavar="FIELD=VALUE",
        help="sizes that differ from the preset, such as hidden=96",
    )
    add_data(
        parser,
        "the folder of sounds, or a function (FILE.py:FUNCTION) that returns "
        "its path",
        required=True,
    )
    add_output(
        parser,
        "the folder that keeps the training; empty or new, unless --resume is "
        "given",
        required=True,
    )
    parser.former("--out", "--output")
    add_again(parser, "training")
    parser.add_argument(
        "--steps",
        type=int,
        default=6000,
        metavar="N",
        help="how many batches to train on (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=4.0,
        metavar="S",
        help="how long a clip is (default: 4)",
    )
    parser.add_argument(
        "--split",
        choices=("recording", "instrument"),
        default="recording",
        help="what is never divided between train, valid and test, where the "
        "folder does not say (default: %(default)s)",
    )
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        help="keep features of the sounds here (default: in the user's cache "
        "folder)",
    )
    add_seed(parser)
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="how many processes compute features (default: one a core)",
    )
    add_json(parser, "what was trained")


def run(args: Any) -> dict[str, Any]:
    """Trains, and says how good the model is on held-out clips."""
    check_folder(args, "training")
    sounds = read_sounds(args.data)
    if args.overwrite:
        remove_work(ResumableFolder(args.output, "config.json", "training"))
    from tf_diet.models.trainer import train

    trained = train(
        args.model,
        sounds.folder,
        args.output,
        preset=args.preset,
        sizes=_sizes(args.set),
        steps=args.steps,
        seconds=args.seconds,
        split=args.split,
        seed=args.seed,
        resume=args.resume,
        cache=args.cache,
        jobs=args.jobs,
        say=print,
    )
    model = trained.folder / "model.keras"
    print(
        f"loss on {trained.facts['data']['valid']} held-out clips: "
        f"{trained.validation_loss:.4f}\nwrote {model}"
    )
    return {
        **trained.facts,
        "output": model,
        "validation_loss": trained.validation_loss,
        "parameters": trained.model.count_params(),
    }


def _sizes(given: Sequence[str]) -> dict[str, Any]:
    """Returns FIELD=VALUE texts as values; what is no literal stays a text."""
    sizes: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            sizes[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            sizes[name] = value
    return sizes
