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

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tf_diet.cli.budget import add_goal, goal_of
from tf_diet.cli.inspect import add_graph_arguments
from tf_diet.cli.models import load_data, load_model
from tf_diet.criteria.criterion import criteria
from tf_diet.errors import InputError, RunFolderError
from tf_diet.files import write_text
from tf_diet.lottery.run_folder import save_model
from tf_diet.pruning.limits import MAX_RATE, Limits
from tf_diet.pruning.prune import plan
from tf_diet.pruning.repair.methods import repairs
from tf_diet.pruning.repair.repair import check_repair, repair
from tf_diet.pruning.scaling import scalings
from tf_diet.pruning.selection import scopes


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet prune`."""
    parser.add_argument("model", help="a .keras file")
    add_goal(parser)
    parser.add_argument("--data", help="calibration data, an .npz file")
    parser.add_argument(
        "--criterion",
        default="mutual_information",
        help=f"one of {', '.join(criteria.names())} (default: %(default)s)",
    )
    parser.add_argument(
        "--scope",
        default="global",
        help="whom a unit is ranked against. global: every unit of the model; "
        "local: those of its group, of each group the same share; isomorphic: "
        "those of groups of like structure, of each kind the same share; "
        "global_then_local: global until a group has lost 90 %%, then the "
        "same share of each, against bottlenecks at high rates "
        f"(known: {', '.join(scopes.names())}; default: %(default)s)",
    )
    parser.add_argument(
        "--scaling",
        default="rank",
        help="how scores of different groups are made comparable, for scopes "
        "that compare them. max, dimension, rank, z_score: within the group; "
        "fan_in, fan_out: by the weights that make or read a unit; "
        "per_parameter, per_flop, per_byte: by what the unit saves, so that "
        "dear units must be better to stay "
        f"(known: {', '.join(scalings.names())}; default: %(default)s)",
    )
    add_limits(parser)
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


def add_limits(parser: Any) -> None:
    """Adds what pruning must respect."""
    parser.add_argument(
        "--keep",
        nargs="+",
        default=(),
        metavar="NAME",
        help="layers or groups that stay whole, such as 'head*'",
    )
    parser.add_argument(
        "--max-rate",
        action="append",
        default=[],
        metavar="[NAME=]SHARE",
        help="the largest share of units that may go, of every group or of "
        "those named; can be given more than once: the strictest counts "
        f"(default: {MAX_RATE}, so that no group is ruined; 1.0 lifts that)",
    )
    parser.add_argument(
        "--min-width",
        action="append",
        default=[],
        metavar="[NAME=]UNITS",
        help="how many units stay at least, likewise (default: 2)",
    )
    parser.add_argument(
        "--round-to",
        type=int,
        default=1,
        metavar="UNITS",
        help="keep a multiple of this in every group: 4, 8 or 16 suits SIMD "
        "kernels (default: %(default)s)",
    )
    parser.add_argument(
        "--tie",
        nargs="+",
        action="append",
        default=[],
        metavar="NAME",
        help="layers of equal width that lose the same units; can be given "
        "more than once",
    )


def limits_of(args: Any) -> Limits:
    """Returns the limits that a command line asks for.

    Raises:
        InputError: a number cannot be read.
    """
    numbers: dict[str, Any] = {}
    if args.max_rate:
        numbers["max_rate"] = _numbers("--max-rate", args.max_rate, float)
    if args.min_width:
        numbers["min_width"] = _numbers("--min-width", args.min_width, int)
    return Limits(
        keep=tuple(args.keep),
        round_to=args.round_to,
        tie=tuple(tuple(names) for names in args.tie),
        exact=args.exact,
        probe=args.probe,
        **numbers,
    )


def _numbers(
    option: str, texts: Sequence[str], kind: Callable[[str], float]
) -> dict[str, float]:
    """Reads numbers with and without a name in front.

    One without a name is meant for every group.
    """
    numbers = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            numbers[name] = kind(number)
        except ValueError as error:
            raise InputError(
                f"{option} takes a number, or a name and a number. "
                f"Received: {text!r}. Write, say, {option} 'block*="
                f"{'0.5' if kind is float else '8'}'."
            ) from error
    return numbers


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
        criterion=args.criterion,
        scope=args.scope,
        scaling=args.scaling,
        limits=limits_of(args),
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
