# SPDX-License-Identifier: MIT
r"""Prune in rounds: train, rank units, remove the worst, retrain.

    tf-diet lottery my_net.py:build -o runs/violin --rounds 10
    tf-diet lottery my_net.py:build -o runs/violin --rounds 10 --resume
    tf-diet lottery my_net.py:build -o runs/small --until-error 1.1 \
        --reset lr_rewind --rewind 10% --criterion magnitude --scratch

my_net.py:build is a function of yours that returns what LotteryDiet.fit takes,
by name: a dict with a compiled model, x, y, validation_data and epochs, and
whatever else of it (test_data, batch_size, callbacks, class_weight, ...). If
it has an argument named seed, it is given --seed.

A run can be killed at any moment; --resume goes on with it. 'tf-diet runs'
lists and compares runs and takes the best ticket (the model of a round) out.
"""

import re
from typing import TYPE_CHECKING, Any

from tf_diet.cli.budget import add_bounds, bounds_of
from tf_diet.cli.inspect import add_graph_arguments
from tf_diet.cli.parsing import (
    add_again,
    add_json,
    add_list,
    add_output,
    add_seed,
    check_folder,
    remove_work,
)
from tf_diet.cli.ranking import add_ranking, ranking_of
from tf_diet.cli.runs import facts, show
from tf_diet.errors import InputError
from tf_diet.extensions import repairs, resets
from tf_diet.lottery.build_functions import built, named_function
from tf_diet.lottery.run_folder import RunFolder

if TYPE_CHECKING:
    from tf_diet.lottery.diet import LotteryDiet
    from tf_diet.lottery.resets import Reset
    from tf_diet.lottery.schedules import Schedule

TELLS = "info"
_MOMENT = re.compile(r"(\d+\.?\d*)\s*(%|steps?|epochs?|)")


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet lottery`."""
    parser.add_argument(
        "build",
        metavar="FILE.py:FUNCTION",
        help="returns the arguments of LotteryDiet.fit as a dict; "
        "package.module:function works too",
    )
    add_output(
        parser,
        "the folder that keeps the run; empty or new, unless --resume is given",
        required=True,
    )
    parser.former("--folder", "--output")
    add_again(parser, "run")
    schedule = parser.add_argument_group(
        "how much to remove",
        "Every round removes the same share of the parameters that are left, "
        "for --rounds rounds, or until one of the other bounds is met.",
    )
    schedule.add_argument(
        "--rate",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="the share that a round removes (default: %(default)s)",
    )
    schedule.add_argument(
        "--rounds",
        type=int,
        default=15,
        metavar="N",
        help="how many rounds there are (default: %(default)s)",
    )
    schedule.add_argument(
        "--until-error",
        type=float,
        metavar="MULTIPLIER",
        help="end as soon as the validation error is more than this many "
        "times that of the full model",
    )
    add_bounds(
        schedule, "in place of --rounds: go on until the model has no more than"
    )
    add_list(
        schedule,
        "--sparsities",
        kind=float,
        metavar="SHARE",
        help="in place of all these: the share of the full model's parameters "
        "that is gone after each round, rising",
    )
    add_ranking(parser)
    add_graph_arguments(parser)
    retraining = parser.add_argument_group("how a round goes on")
    retraining.add_argument(
        "--repair",
        choices=repairs.names(),
        help="change the remaining weights so that they make up for the "
        "removed units, before retraining",
    )
    retraining.add_argument(
        "--reset",
        choices=resets.names(),
        default="rewind",
        help="which weights and optimizer state retraining starts from. "
        "rewind: both as they were early in the training of the full model; "
        "lr_rewind: the trained weights, and the optimizer as it was early; "
        "none: both as they are; reinit: fresh weights, as a control "
        "experiment (default: %(default)s)",
    )
    retraining.add_argument(
        "--rewind",
        metavar="MOMENT",
        help="what early means: a number of epochs, '300 steps', or '5%%' of "
        "the training (default: 2 epochs, or half of a training of one or "
        "two)",
    )
    retraining.add_argument(
        "--retries",
        type=int,
        default=0,
        metavar="N",
        help="how often a round whose loss is not a number is tried again, "
        "each time at 0.3 times the learning rate (default: %(default)s)",
    )
    retraining.add_argument(
        "--scratch",
        action="store_true",
        help="at the end, train a network with the widths of the last round "
        "from fresh weights, for as many steps as all rounds together took: "
        "a ticket that is no better has won nothing",
    )
    add_seed(parser)
    add_json(parser, "the rounds")


def run(args: Any) -> Any:
    """Builds, runs the diet and shows the rounds."""
    named_function(args.build)
    check_folder(args, "run")
    if args.overwrite:
        remove_work(RunFolder(args.output))
    done = diet_of(args).fit(
        **built(args.build, args.seed),
        folder=args.output,
        resume=args.resume,
    )
    if args.scratch:
        done.scratch(done.tickets[-1].line.round)
    print(show([done]))
    if done.stopped:
        print(done.stopped)
    return facts([done])


def diet_of(args: Any) -> "LotteryDiet":
    """Returns the diet that was asked for.

    Raises:
        InputError: what was given cannot be read or does not go together.
    """
    from tf_diet.lottery.diet import LotteryDiet

    return LotteryDiet(
        _schedule(args),
        **ranking_of(args),
        repair=args.repair,
        reset=_reset(args.reset, args.rewind),
        retries=args.retries,
        seed=args.seed,
    )


def _schedule(args: Any) -> "Schedule":
    from tf_diet.lottery.schedules import (
        ConstantRate,
        Listed,
        UntilBudget,
        UntilError,
    )

    if args.sparsities:
        return Listed(tuple(args.sparsities))
    budget = bounds_of(args)
    schedule: Schedule = ConstantRate(args.rate, args.rounds)
    if budget is not None:
        schedule = UntilBudget(budget, args.rate)
    if args.until_error is None:
        return schedule
    if budget is not None:
        raise InputError(
            "A run ends in one way. Received: --until-error and a bound of "
            "its cost. Pass one of them."
        )
    return UntilError(args.until_error, schedule)


def _reset(name: str, moment: str | None) -> "Reset":
    """Returns a reset with its early moment; None is the reset's own.

    Raises:
        InputError: the moment cannot be read.
    """
    kind = resets.get(name)
    if name == "reinit" or moment is None:
        return kind()
    found = _MOMENT.fullmatch(moment.strip())
    if not found:
        raise InputError(
            "--rewind takes a moment of the training. Received: "
            f"{moment!r}. Write 2 for epochs, '300 steps' or '5%'."
        )
    number, unit = float(found[1]), found[2]
    if unit == "%":
        where: dict[str, Any] = {"share": number / 100}
    elif unit.startswith("step"):
        where = {"step": int(number)}
    else:
        where = {"epoch": number}
    return kind(**where)
