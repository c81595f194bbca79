"""Measure a trained model on held-out sounds, beside trivial baselines.

    tf-diet evaluate runs/strings --data notes
    tf-diet evaluate runs/strings --data notes --ticket small.keras

The first names the folder that 'tf-diet train' wrote; --ticket measures a
pruned copy of its model instead. Baselines are a static envelope (trained for
a minute) for DDSP, the nearest training note for SING, and unigrams and bigrams
of codes for WaveNet; a model that does not beat them has learned nothing.
"""

import json
from pathlib import Path
from typing import Any

from tf_diet.audio.clips import Settings
from tf_diet.audio.extraction import extract
from tf_diet.audio.sources import read_source
from tf_diet.cli.models import load_model
from tf_diet.errors import InputError
from tf_diet.models.families import families
from tf_diet.report.tables import plain_table


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet evaluate`."""
    parser.add_argument("folder", type=Path, help="what 'tf-diet train' wrote")
    parser.add_argument("--data", required=True, help="the folder of sounds")
    parser.add_argument("--ticket", type=Path, help="another .keras file")
    parser.add_argument(
        "--part",
        choices=("valid", "test"),
        default="test",
        help="default: %(default)s",
    )
    parser.add_argument("--cache", help="keeps features")
    parser.add_argument("--jobs", type=int, help="processes for features")


def run(args: Any) -> None:
    """Prints the table."""
    facts = _facts(args.folder)
    family = families.get(facts["model"])()
    config = family.config(**facts["config"])
    held = extract(
        read_source(args.data),
        family.needed(config),
        Settings(**facts["settings"]),
        cache=args.cache,
        jobs=args.jobs,
    )
    if list(held.instruments) != facts["instruments"]:
        raise InputError(
            "The sounds are of other instruments than the model was trained "
            f"on. Received: {', '.join(held.instruments)} for "
            f"{', '.join(facts['instruments'])}. Name the folder that it was "
            "trained on."
        )
    parts = held.split(facts["split"], seed=facts["seed"])
    model = load_model(args.ticket or args.folder / "model.keras")
    chosen = parts[args.part]
    rows = {
        f"{facts['model']}, {model.count_params():,} parameters": (
            family.figures(model, config, chosen)
        ),
        **family.baselines(config, parts["train"], chosen),
    }
    print(f"{len(chosen)} {args.part} clips that were not trained on")
    print(
        plain_table(
            [
                {"": name, **{k: f"{v:.3f}" for k, v in figures.items()}}
                for name, figures in rows.items()
            ]
        )
    )


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(
            f"There is no training here. Received: {folder}: {error}. Name "
            "the folder that 'tf-diet train' was given as --out."
        ) from error
