# SPDX-License-Identifier: MIT
"""Train, prune and deploy a synthesiser on the real notes that ship.

Trains a DDSP synthesiser on violin and flute, runs a lottery on it, converts
the ticket to TFLite and to a TFLite Micro C array, runs the written bytes in
both interpreters and writes sounds, plot, C++ files, an Arduino sketch and
summary.json.

    tf-diet demo -o demo_output
    tf-diet demo --compare          also under other criteria
    tf-diet demo --resume           go on after an interruption
"""

from pathlib import Path
from typing import Any

from tf_diet.cli.parsing import add_json, add_output, add_seed, check_folder

TELLS = "info"


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet demo`."""
    add_output(
        parser,
        "the folder to write to; must be empty or new (default: %(default)s)",
        default=Path("demo_output"),
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--overwrite", action="store_true", help="empty the folder first"
    )
    again.add_argument(
        "--resume",
        action="store_true",
        help="go on after the last finished round of an interrupted demo",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="run the same rounds under other criteria as well (random, "
        "magnitude, information_gain); takes about twice the time",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a tiny model for a minute: shows that all works, no result",
    )
    add_seed(parser)
    add_json(parser, "the summary")


def run(args: Any) -> dict[str, Any]:
    """Runs the demo."""
    check_folder(args, "demo")
    from tf_diet.demo.job import run_demo
    from tf_diet.demo.recipe import Recipe

    recipe = Recipe()
    return run_demo(
        args.output,
        recipe.quick() if args.quick else recipe,
        resume=args.resume,
        overwrite=args.overwrite,
        compare=args.compare,
        seed=args.seed,
        say=print,
    )
