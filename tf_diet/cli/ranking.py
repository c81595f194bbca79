# SPDX-License-Identifier: MIT
"""How units are ranked and what is respected, on the command line."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tf_diet.cli.parsing import Together, add_list
from tf_diet.errors import InputError
from tf_diet.extensions import criteria, scalings, scopes

if TYPE_CHECKING:
    from tf_diet.pruning.limits import Limits


def add_ranking(parser: Any) -> None:
    """Adds criterion, scope, scaling and limits."""
    ranking = parser.add_argument_group("which units go first")
    ranking.add_argument(
        "--criterion",
        default="mutual_information",
        metavar="NAME",
        help="what a unit is scored by; the units with the lowest scores are "
        f"removed. One of {', '.join(criteria.names())} "
        "(default: %(default)s)",
    )
    ranking.add_argument(
        "--scope",
        default="global",
        metavar="NAME",
        help="which units are compared with each other. global: all units of "
        "the model; local: the units of one group, so that every group loses "
        "the same share; isomorphic: the units of groups of like structure, "
        "such as the blocks of a network; global_then_local: all units, but "
        "once a group has lost 90 %%, every group loses the same share, which "
        f"avoids bottlenecks at high rates. One of {', '.join(scopes.names())} "
        "(default: %(default)s)",
    )
    ranking.add_argument(
        "--scaling",
        default="rank",
        metavar="NAME",
        help="how scores of different groups are made comparable, where the "
        "scope compares them. rank, max, dimension, z_score: a score is taken "
        "relative to the other scores of its group; fan_in, fan_out: it is "
        "divided by the square root of the number of weights into or out of a "
        "unit; per_parameter, per_flop, per_byte: it is divided by what "
        "the unit saves when it is removed, so that a unit which costs more "
        "must score higher to stay; none: it is left as it is. "
        f"One of {', '.join(scalings.names())} (default: %(default)s)",
    )
    _add_limits(parser)


def ranking_of(args: Any) -> dict[str, Any]:
    """Returns what was given as `tf_diet.plan` and `LotteryDiet` take it.

    Raises:
        InputError: a number cannot be read.
    """
    return {
        "criterion": args.criterion,
        "scope": args.scope,
        "scaling": args.scaling,
        "limits": _limits_of(args),
    }


def _add_limits(parser: Any) -> None:
    limits = parser.add_argument_group(
        "what must stay",
        "NAME is the name of a layer, a group or a nested model, as 'tf-diet "
        "inspect' shows them; '*' and '?' stand for any characters.",
    )
    add_list(
        limits,
        "--keep",
        metavar="NAME",
        help="remove no units of these, such as 'head*'",
    )
    limits.add_argument(
        "--max-rate",
        action="append",
        default=[],
        metavar="[NAME=]SHARE",
        help="the largest share of its units that a group may lose: every "
        "group, or those named. Can be given more than once; the strictest "
        "counts (default: 0.98, so that no group is emptied; 1.0 allows it)",
    )
    limits.add_argument(
        "--min-width",
        action="append",
        default=[],
        metavar="[NAME=]UNITS",
        help="how many units a group must keep; given like --max-rate "
        "(default: 2)",
    )
    limits.add_argument(
        "--round-to",
        type=int,
        default=1,
        metavar="UNITS",
        help="make the width of every group a multiple of this: 4, 8 or 16 "
        "suits SIMD kernels (default: %(default)s)",
    )
    add_list(
        limits,
        "--tie",
        action=Together,
        metavar="NAME,NAME",
        help="layers of equal width that must lose the same units; can be "
        "given more than once",
    )


def _limits_of(args: Any) -> "Limits":
    """Returns the limits that a command line asks for.

    Raises:
        InputError: a number cannot be read.
    """
    from tf_diet.pruning.limits import Limits

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
