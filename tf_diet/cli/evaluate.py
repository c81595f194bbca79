# SPDX-License-Identifier: MIT
"""Measure a trained model on held-out sounds, beside trivial baselines.

    tf-diet evaluate runs/strings --data notes
    tf-diet evaluate runs/strings --data notes --ticket small.keras
    tf-diet evaluate runs/strings --data notes --json figures.json
    tf-diet evaluate runs/strings --data notes --part train

The first names the folder that 'tf-diet train' wrote; --ticket measures a
pruned copy of its model instead. Baselines are a static envelope (trained for
a minute) for DDSP, the nearest training note for SING, and unigrams and bigrams
of codes for WaveNet; a model that does not beat them has learned nothing.
--part train shows what it makes of the notes that it was trained on, without
baselines: some of them would be those very notes.
"""

import json
from pathlib import Path
from typing import Any

from tf_diet.audio.extraction import extract
from tf_diet.audio.sources import PARTS, read_source
from tf_diet.errors import InputError
from tf_diet.files import write_text
from tf_diet.models.trained import Trained
from tf_diet.report.tables import plain_table


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet evaluate`."""
    parser.add_argument("folder", type=Path, help="what 'tf-diet train' wrote")
    parser.add_argument("--data", required=True, help="the folder of sounds")
    parser.add_argument("--ticket", type=Path, help="another .keras file")
    parser.add_argument(
        "--part",
        choices=PARTS,
        default="test",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--json", type=Path, help="write the figures into this file too"
    )
    parser.add_argument("--cache", help="keeps features")
    parser.add_argument("--jobs", type=int, help="processes for features")


def run(args: Any) -> None:
    """Prints the table."""
    trained = Trained.load(args.folder, args.ticket)
    facts, family, config = trained.facts, trained.family, trained.config
    dataset = extract(
        read_source(args.data),
        family.needed(config),
        trained.settings,
        cache=args.cache,
        jobs=args.jobs,
    )
    if list(dataset.instruments) != facts["instruments"]:
        raise InputError(
            "The sounds are of other instruments than the model was trained "
            f"on. Received: {', '.join(dataset.instruments)} for "
            f"{', '.join(facts['instruments'])}. Name the folder that it was "
            "trained on."
        )
    parts = dataset.split(facts["split"], seed=facts["seed"])
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
    if args.json:
        found = {"part": args.part, "clips": len(chosen), "rows": rows}
        write_text(args.json, json.dumps(found, indent=2))
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
