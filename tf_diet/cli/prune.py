# SPDX-License-Identifier: MIT
r"""Remove the least informative units of a saved model: it gets smaller.

    tf-diet prune model.keras --rate 0.5 --data calibration.npz -o small.keras
    tf-diet prune model.keras --rate 0.5 --criterion magnitude --dry-run
    tf-diet prune model.keras --disk-bytes 64KB --flops 20M --data calib.npz
    tf-diet prune model.keras --rate 0.5 --criterion magnitude \
        --keep 'head*' --max-rate 0.8 --max-rate stem=0.3 --round-to 8
    tf-diet prune model.keras --remove conv1d=0,3,7-9 --remove dense=12
    tf-diet prune model.keras --rate 0.5 --data calib.npz --json plan.json
    tf-diet prune model.keras --plan-from plan.json

Names are those that 'tf-diet inspect' shows: of groups, layers or nested
models; '*' and '?' stand for any characters.

A goal that cannot be reached is an error that says what cannot be removed and
which goal can be reached; with --allow-less as much as possible is removed.
The JSON of --json is the plan, with the score of every unit; --plan-from
removes what such a file says.

--data is an .npz file with the array y and either x or one array for each named
input; an .npy file with the inputs alone; FILE.py:FUNCTION, a function that
returns data as Keras' fit takes it; or a folder of sounds, for a model in the
folder that 'tf-diet train' made.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_diet.cli.budget import add_goal, goal_of
from tf_diet.cli.data import add_data, read_data
from tf_diet.cli.inspect import add_graph_arguments
from tf_diet.cli.models import add_import, check_model_file, load_model
from tf_diet.cli.parsing import add_json, add_output, add_seed, check_suffix
from tf_diet.cli.ranking import add_ranking, ranking_of
from tf_diet.cli.results import check_new
from tf_diet.errors import InputError
from tf_diet.extensions import repairs

if TYPE_CHECKING:
    from tf_diet.pruning.plan import PruningPlan

_WORDS = ("--rate ", "--allow-less")


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet prune`."""
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    add_import(parser)
    add_goal(parser)
    parser.add_argument(
        "--allow-less",
        action="store_true",
        help="where the goal cannot be reached, remove as much as possible",
    )
    add_data(
        parser,
        "calibration data: inputs, and targets for criteria that look at them",
    )
    add_ranking(parser)
    add_graph_arguments(parser)
    parser.add_argument(
        "--repair",
        choices=repairs.names(),
        help="change the remaining weights so that they make up for the "
        "removed units, before any retraining; needs --data. least_squares: "
        "refit the layers that read removed units; bias: add the mean of what "
        "is removed to their biases",
    )
    add_seed(parser)
    add_output(parser, "the .keras file to write (default: NAME_pruned.keras)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace existing files"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the plan, write no model"
    )
    add_json(parser, "the plan")
    parser.former("--plan", "--json")


def run(args: Any) -> str:
    """Plans, shows the plan, trims and saves."""
    source = check_model_file(args.model)
    output = args.output or source.with_name(f"{source.stem}_pruned.keras")
    check_suffix(output, (".keras",), "the model")
    written = [] if args.dry_run else [output]
    if args.json not in (None, "-"):
        written.append(Path(args.json))
    check_new(written, overwrite=args.overwrite)
    goal = goal_of(args)
    from tf_diet.pruning.repair.repair import check_repair, repair
    from tf_diet.pruning.shortfall import refused
    from tf_diet.training.saving import save_model

    model = load_model(source, args, compiled=True)
    data = read_data(args.data, source) if args.data else None
    if args.repair:
        check_repair(args.repair, data)
    made = _planned(args, goal, model, data)
    print(made.summary())
    # A plan from a file may say so too, and was shown to its owner.
    if made.not_reached and not (args.allow_less or args.plan_from):
        raise refused(made, model.name, _WORDS)
    if not args.dry_run:
        small = made.apply(model)
        if args.repair:
            repair(model, small, made, data, args.repair, args.seed)
        save_model(small, output)
        print(f"wrote {output}")
    return made.to_json()


def _planned(
    args: Any, goal: dict[str, Any], model: Any, data: Any
) -> "PruningPlan":
    """Returns the plan that the options ask for.

    Raises:
        InputError: the goal cannot be reached.
        PlanError: a file is no plan, or one of another model.
    """
    from tf_diet.graph.build import build
    from tf_diet.pruning.planner import BUDGETS, RATES, Planner
    from tf_diet.pruning.prune import check_goal

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
    if isinstance(chosen, float) and not args.allow_less:
        # Ranking may take long: what is out of reach is said before.
        graph = build(model, ranking["limits"].options())
        how.check_rate(graph, model.name, _WORDS)
    short = (RATES, BUDGETS) if args.allow_less else (RATES,)
    return how.decide(model, data, short)[0]


def _read(path: str) -> "PruningPlan":
    """Returns the plan in a file.

    Raises:
        InputError: it cannot be read.
        PlanError: it is no plan.
    """
    from tf_diet.pruning.plan import PruningPlan

    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The plan cannot be read. Received: {path}: {error}. Pass a JSON "
            "file that 'tf-diet prune --json' wrote."
        ) from error
    return PruningPlan.from_json(text)
