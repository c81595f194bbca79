# SPDX-License-Identifier: MIT
r"""Remove the least informative units of a saved model, for real.

    tf-diet prune model.keras --rate 0.5 --data calibration.npz -o small.keras
    tf-diet prune model.keras --rate 0.5 --criterion magnitude --dry-run
    tf-diet prune model.keras --disk-bytes 64KB --flops 20M --data calib.npz
    tf-diet prune model.keras --rate 0.5 --criterion magnitude \
        --keep 'head*' --max-rate 0.8 --max-rate stem=0.3 --round-to 8
    tf-diet prune model.keras --remove conv1d=0,3,7-9 --remove dense=12
    tf-diet prune model.keras --plan-from plan.json

Names are those that 'tf-diet inspect' shows: of groups, layers or nested
models; '*' and '?' stand for any characters.

A goal that cannot be reached is an error that says what holds the rest and
which goal can be; with --allow-less all goes that may. The JSON of --plan holds
the score of every unit; --plan-from removes what such a file says.

The calibration file holds y and either x or one array for each named input,
as written by numpy.savez.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tf_diet.cli.budget import add_goal, goal_of
from tf_diet.cli.inspect import add_graph_arguments
from tf_diet.cli.models import load_data, load_model
from tf_diet.cli.ranking import add_ranking, ranking_of
from tf_diet.errors import InputError, RunFolderError
from tf_diet.extensions import repairs
from tf_diet.files import write_text
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.planner import BUDGETS, RATES, Planner
from tf_diet.pruning.prune import check_goal
from tf_diet.pruning.repair.repair import check_repair, repair
from tf_diet.pruning.shortfall import refused
from tf_diet.training.saving import save_model


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet prune`."""
    parser.add_argument("model", help="a .keras file")
    add_goal(parser)
    parser.add_argument(
        "--allow-less",
        action="store_true",
        help="where the goal cannot be reached, remove what can go",
    )
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
    made = _planned(args, model, data)
    print(made.summary())
    # A plan from a file may say so too, and was shown to its owner.
    if made.not_reached and not (args.allow_less or args.plan_from):
        raise refused(made, model.name, ("--rate ", "--allow-less"))
    if args.dry_run:
        return
    small = made.apply(model)
    if args.repair:
        repair(model, small, made, data, args.repair, args.seed)
    save_model(small, output)
    if args.plan:
        write_text(args.plan, made.to_json())
    print(f"wrote {output}")


def _planned(args: Any, model: Any, data: Any) -> PruningPlan:
    """Returns the plan that the options ask for.

    Raises:
        InputError: the goal is not given in one way, or cannot be reached.
        PlanError: a file is no plan, or one of another model.
    """
    goal = goal_of(args)
    if "plan_from" in goal:
        made = _read(goal["plan_from"])
        made.graph(model)
        return made
    ranking = ranking_of(args)
    if "remove" in goal and not args.max_rate:
        # Whoever names units has looked at them: no floor but the last two.
        ranking["limits"] = replace(ranking["limits"], max_rate=1.0)
    chosen = check_goal(*map(goal.get, ("rate", "to", "remove")))
    how = Planner(chosen, **ranking, seed=args.seed)
    short = (RATES, BUDGETS) if args.allow_less else (RATES,)
    return how.decide(model, data, short)[0]


def _read(path: str) -> PruningPlan:
    """Returns the plan in a file.

    Raises:
        InputError: it cannot be read.
        PlanError: it is no plan.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The plan cannot be read. Received: {path}: {error}. Pass a JSON "
            "file that 'tf-diet prune --plan' wrote."
        ) from error
    return PruningPlan.from_json(text)
