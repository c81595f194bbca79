"""Remove the least informative units of a saved model, for real.

    tf-diet prune model.keras --rate 0.5 --data calibration.npz -o small.keras
    tf-diet prune model.keras --rate 0.5 --criterion magnitude --dry-run

The calibration file holds y and either x or one array for each named input,
as written by numpy.savez.
"""

from pathlib import Path
from typing import Any

from tf_diet.cli.models import load_data, load_model
from tf_diet.criteria.criterion import criteria
from tf_diet.errors import RunFolderError
from tf_diet.files import write_text
from tf_diet.lottery.run_folder import save_model
from tf_diet.pruning.prune import plan
from tf_diet.pruning.scaling import scalings
from tf_diet.pruning.selection import Limits, scopes


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet prune`."""
    parser.add_argument("model", help="a .keras file")
    parser.add_argument(
        "--rate",
        type=float,
        required=True,
        help="share of the parameters to remove, between 0 and 1",
    )
    parser.add_argument("--data", help="calibration data, an .npz file")
    parser.add_argument(
        "--criterion",
        default="mutual_information",
        help=f"one of {', '.join(criteria.names())} (default: %(default)s)",
    )
    parser.add_argument(
        "--scope",
        default="global",
        help=f"one of {', '.join(scopes.names())} (default: %(default)s)",
    )
    parser.add_argument(
        "--scaling",
        default="none",
        help=f"one of {', '.join(scalings.names())} (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        nargs="*",
        default=(),
        metavar="PATTERN",
        help="groups that stay whole, such as 'head*'",
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
    made = plan(
        model,
        load_data(args.data) if args.data else None,
        rate=args.rate,
        criterion=args.criterion,
        scope=args.scope,
        scaling=args.scaling,
        limits=Limits(keep=tuple(args.keep)),
        seed=args.seed,
    )
    print(made.summary())
    if args.dry_run:
        return
    save_model(made.apply(model), output)
    if args.plan:
        write_text(args.plan, made.to_json())
    print(f"wrote {output}")
