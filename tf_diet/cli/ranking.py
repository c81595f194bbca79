# SPDX-License-Identifier: MIT
"""How units are ranked and what is respected, on the command line."""

from collections.abc import Callable, Sequence
from typing import Any

from tf_diet.errors import InputError
from tf_diet.extensions import criteria, scalings, scopes
from tf_diet.pruning.limits import MAX_RATE, Limits


def add_ranking(parser: Any) -> None:
    """Adds criterion, scope, scaling and limits."""
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


def _limits_of(args: Any) -> Limits:
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
