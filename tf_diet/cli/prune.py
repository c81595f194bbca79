# SPDX-License-Identifier: MIT
r"""Remove the least informative units of a saved model, for real.

    tf-diet prune model.keras --rate 0.5 --data calibration.npz -o small.keras
    tf-diet prune model.keras --rate 0.5 --criterion magnitude --dry-run
    tf-diet prune model.keras --disk-bytes 64KB --flops 20M --data calib.npz
    tf-diet prune model.keras --rate 0.5 --criterion magnitude \
        --keep 'head*' --max-rate 0.8 --max-rate stem=0.3 --round-to 8

Names are those that 'tf-diet inspect' shows: of groups, layers or nested
models; '*' and '?' stand for any characters.

The calibration file holds y and either x or one array for each named input,
as written by numpy.savez.
"""

from pathlib import Path
from typing import Any

from tf_diet.cli.budget import add_goal, goal_of
from tf_diet.cli.inspect import add_graph_arguments
from tf_diet.cli.models import load_data, load_model
from tf_diet.cli.ranking import add_ranking, ranking_of
from tf_diet.errors import RunFolderError
from tf_diet.extensions import repairs
from tf_diet.files import write_text
from tf_diet.pruning.prune import plan
from tf_diet.pruning.repair.repair import check_repair, repair
from tf_diet.training.saving import save_model


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet prune`."""
    parser.add_argument("model", help="a .keras file")
    add_goal(parser)
    parser.add_argument("--data", help="calibration data, an .npz file")
    add_ranking(parser)
    add_graph_arguments(parser)
    parser.add_argument(
        "--repair",
        choices=repairs.names(),
        help="make up for removed units before any retraining; needs --data. "
        "least_squares: refit what reads them; bias: fold their means into "
        "its biases",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the .keras file to write (default: NAME_pruned.keras)",
    )
    parser.add_argument(
        "--plan", type=Path, help="write the plan as JSON here as well"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the plan, write nothing"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace existing files"
    )


def run(args: Any) -> None:
    """Plans, shows the plan, trims and saves."""
    source = Path(args.model)
    output = args.output or source.with_name(f"{source.stem}_pruned.keras")
    for path in (output, args.plan):
        if path and path.exists() and not (args.overwrite or args.dry_run):
            raise RunFolderError(
                f"The file to write exists. Received: {path}. Name another "
                "with --output, or pass --overwrite."
            )
    model = load_model(source)
    data = load_data(args.data) if args.data else None
    if args.repair:
        check_repair(args.repair, data)
    made = plan(
        model,
        data,
        **goal_of(args),
        **ranking_of(args),
        seed=args.seed,
    )
    print(made.summary())
    if args.dry_run:
        return
    small = made.apply(model)
    if args.repair:
        repair(model, small, made, data, args.repair, args.seed)
    save_model(small, output)
    if args.plan:
        write_text(args.plan, made.to_json())
    print(f"wrote {output}")
