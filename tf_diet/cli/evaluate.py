# SPDX-License-Identifier: MIT
"""Measure a trained model on held-out sounds, beside simple baselines.

    tf-diet evaluate runs/strings --data notes
    tf-diet evaluate runs/strings --data notes --ticket small.keras
    tf-diet evaluate runs/strings --data notes --json figures.json
    tf-diet evaluate runs/strings --data notes --part train

The first argument is the folder that 'tf-diet train' wrote; --ticket measures
a pruned copy of its model instead. The baselines are a static envelope
(trained for a minute) for DDSP, the nearest training note for SING, and
unigrams and bigrams of codes for WaveNet; a model that does not beat them has
learned nothing. --part train measures on the notes that the model was trained
on, without baselines, since some of them would be those very notes.
"""

from pathlib import Path
from typing import Any

from tf_diet.cli.data import add_data, read_sounds
from tf_diet.cli.parsing import add_json

# As `tf_diet.audio.sources` knows them.
_PARTS = ("train", "valid", "test")


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet evaluate`."""
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="what 'tf-diet train' wrote",
    )
    add_data(
        parser,
        "the folder of sounds that the model was trained on, or a function "
        "(FILE.py:FUNCTION) that returns its path",
        required=True,
    )
    parser.add_argument(
        "--ticket",
        type=Path,
        metavar="FILE",
        help="measure this .keras file, a pruned copy of the folder's model",
    )
    parser.add_argument(
        "--part",
        choices=_PARTS,
        default="test",
        help="which sounds to measure on (default: %(default)s)",
    )
    add_json(parser, "the figures")
    parser.add_argument(
        "--cache",
        metavar="FOLDER",
        help="keep features of the sounds here (default: in the user's cache "
        "folder)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="how many processes compute features (default: one a core)",
    )


def run(args: Any) -> dict[str, Any]:
    """Prints the table."""
    from tf_diet.models.trained import Trained
    from tf_diet.report.tables import plain_table

    trained = Trained.load(args.folder, args.ticket)
    facts, family, config = trained.facts, trained.family, trained.config
    sounds = read_sounds(args.data)
    parts = trained.parts(sounds, cache=args.cache, jobs=args.jobs)
    model = trained.model
    chosen = parts[args.part]
    rows = {
        f"{facts['model']}, {model.count_params():,} parameters": (
            family.figures(model, config, chosen)
        ),
    }
    trained_on = args.part == "train"
    if not trained_on:
        rows |= family.baselines(config, parts["train"], chosen)
    print(
        f"{len(chosen)} {args.part} clips that were "
        f"{'' if trained_on else 'not '}trained on"
    )
    print(
        plain_table(
            [
                {"": name, **{k: f"{v:.3f}" for k, v in figures.items()}}
                for name, figures in rows.items()
            ]
        )
    )
    return {"part": args.part, "clips": len(chosen), "rows": rows}
