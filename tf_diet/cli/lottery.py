# SPDX-License-Identifier: MIT
r"""Train, rank, trim, reset and retrain, round after round.

    tf-diet lottery my_net.py:build --folder runs/violin --rounds 10
    tf-diet lottery my_net.py:build --folder runs/violin --rounds 10 --resume
    tf-diet lottery my_net.py:build --folder runs/small --until-error 1.1 \
        --reset lr_rewind --rewind 10% --criterion magnitude --scratch

my_net.py:build is a function of yours that returns what LotteryDiet.fit takes,
by name: a dict with a compiled model, x, y, validation_data and epochs, and
whatever else of it (test_data, batch_size, callbacks, class_weight, ...). If
it has an argument named seed, it is given --seed.

A run can be killed at any moment; --resume goes on with it. 'tf-diet runs'
lists and compares runs and takes the best ticket out.
"""

import re
from typing import Any

from absl import logging

from tf_diet.cli.budget import add_bounds, bounds_of
from tf_diet.cli.inspect import add_graph_arguments
from tf_diet.cli.ranking import add_ranking, ranking_of
from tf_diet.cli.runs import show
from tf_diet.errors import InputError
from tf_diet.extensions import repairs, resets
from tf_diet.lottery.build_functions import built
from tf_diet.lottery.diet import LotteryDiet
from tf_diet.lottery.resets import Reset
from tf_diet.lottery.schedules import (
    ConstantRate,
    Listed,
    Schedule,
    UntilBudget,
    UntilError,
)

_MOMENT = re.compile(r"(\d+\.?\d*)\s*(%|steps?|epochs?|)")


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet lottery`."""
    parser.add_argument(
        "build",
        metavar="FILE.py:FUNCTION",
        help="returns the arguments of LotteryDiet.fit as a dict; "
        "package.module:function works too",
    )
    parser.add_argument(
        "--folder", required=True, help="where the run is kept; empty or new"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --folder"
    )
    schedule = parser.add_argument_group(
        "how much goes", "The same share of what is left in every round, until"
    )
    schedule.add_argument(
        "--rate",
        type=float,
        default=0.3,
        help="the share that goes in a round (default: %(default)s)",
    )
    schedule.add_argument(
        "--rounds",
        type=int,
        default=15,
        help="so many rounds are done (default: %(default)s)",
    )
    schedule.add_argument(
        "--until-error",
        type=float,
        metavar="MULTIPLIER",
        help="or the validation error passes this many times that of the "
        "full model",
    )
    add_bounds(schedule, "or, instead of --rounds, no more than this is left")
    schedule.add_argument(
        "--sparsities",
        type=float,
        nargs="+",
        metavar="SHARE",
        help="instead of all that: what is gone after each round, rising",
    )
    add_ranking(parser)
    add_graph_arguments(parser)
    parser.add_argument(
        "--repair",
        choices=repairs.names(),
        help="make up for removed units before retraining",
    )
    parser.add_argument(
        "--reset",
        choices=resets.names(),
        default="rewind",
        help="what survivors start from. rewind: their early weights; "
        "lr_rewind: their trained weights and the early optimizer; none: "
        "both as they are; reinit: fresh weights, as a control "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--rewind",
        default="2",
        metavar="MOMENT",
        help="the early moment: 2 epochs, '300 steps' or '5%%' of the "
        "training (default: %(default)s)",
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=0,
        help="of a round whose loss is not a number, at 0.3 times the "
        "learning rate (default: %(default)s)",
    )
    parser.add_argument(
        "--scratch",
        action="store_true",
        help="train the last widths from fresh weights too, for as many steps "
        "as the whole run: what a ticket has to beat",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def run(args: Any) -> None:
    """Builds, runs the diet and shows the rounds."""
    logging.set_verbosity(max(logging.get_verbosity(), logging.INFO))
    done = diet_of(args).fit(
        **built(args.build, args.seed), folder=args.folder, resume=args.resume
    )
    if args.scratch:
        done.scratch(done.tickets[-1].line.round)
    print(show([done]))
    if done.stopped:
        print(done.stopped)


def diet_of(args: Any) -> LotteryDiet:
    """Returns the diet that was asked for.

    Raises:
        InputError: what was given cannot be read or does not go together.
    """
    return LotteryDiet(
        _schedule(args),
        **ranking_of(args),
        repair=args.repair,
        reset=_reset(args.reset, args.rewind),
        retries=args.retries,
        seed=args.seed,
    )


def _schedule(args: Any) -> Schedule:
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


def _reset(name: str, moment: str) -> Reset:
    """Returns a reset with its early moment.

    Raises:
        InputError: the moment cannot be read.
    """
    kind = resets.get(name)
    if name == "reinit":
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
