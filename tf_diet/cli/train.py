# SPDX-License-Identifier: MIT
"""Train a DDSP, WaveNet or SING on a folder of sounds.

    tf-diet train --model ddsp --preset small --data notes --out runs/strings
    tf-diet train --model ddsp --preset small --data notes --out runs/strings \
        --resume
    tf-diet train --model wavenet --preset tiny --data notes --out runs/wave \
        --steps 3000 --set channels=24
    tf-diet train --model sing --data notes --out runs/sing

--data is NSynth's folder, one of 'tf-diet render-notes', or any folder of
audio files. Clips are split by recording, or as the folder says. Into --out go
model.keras (the epoch that was best on clips held out as 'valid'),
training.jsonl (a line an epoch), seconds.json (what each stage took),
config.json and templates.npz (how notes go, for 'tf-diet generate').

SING is trained in three stages, which share --steps: its auto-encoder
(autoencoder.keras), its generator (generator.keras), and both ends together;
sing-autoencoder is the first alone.

A killed training goes on with --resume and ends as if it had not been. On a
GPU, run it under KERAS_BACKEND=jax or a GPU build of TensorFlow; the command is
the same.
"""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from tf_diet.extensions import families
from tf_diet.models.trainer import train


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet train`."""
    parser.add_argument("--model", required=True, choices=families.names())
    parser.add_argument(
        "--preset", default="small", help="of the model (default: small)"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="sizes that differ from the preset, such as hidden=96",
    )
    parser.add_argument("--data", required=True, help="a folder of sounds")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument(
        "--resume", action="store_true", help="go on with what is in --out"
    )
    parser.add_argument(
        "--steps", type=int, default=6000, help="default: %(default)s"
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of a clip (default: 4)"
    )
    parser.add_argument(
        "--split",
        choices=("recording", "instrument"),
        default="recording",
        help="what stays together, where the folder does not say "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--cache", help="keeps features (default: in the user's cache folder)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--jobs", type=int, help="processes for features")


def run(args: Any) -> None:
    """Trains, and says how good the model is on held-out clips."""
    logging.set_verbosity(max(logging.get_verbosity(), logging.INFO))
    trained = train(
        args.model,
        args.data,
        args.out,
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
    print(
        f"loss on {trained.facts['data']['valid']} held-out clips: "
        f"{trained.validation_loss:.4f}\n"
        f"wrote {trained.folder / 'model.keras'}"
    )


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
