# SPDX-License-Identifier: MIT
"""How much to remove, on the command line: a share, or what may be left."""

import re
from typing import Any

from tf_diet.errors import InputError
from tf_diet.pruning.budget import BOUNDS, Budget

_NUMBER = re.compile(r"(\d[\d_]*\.?\d*(?:e\d+)?)\s*([kKMG]?)(i?B)?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3}


def add_goal(parser: Any) -> None:
    """Adds `--rate` and the bounds of a budget."""
    goal = parser.add_argument_group(
        "how much to remove",
        "Either a share, or one or more upper bounds, of which all are met. "
        "Numbers may end in k, M or G: thousands of parameters and FLOPs, "
        "1024s of bytes, as boards count them: 500k, 1.5M, 64KB.",
    )
    goal.add_argument(
        "--rate",
        type=float,
        help="share of the parameters to remove, between 0 and 1",
    )
    goal.add_argument(
        "--parameters", metavar="N", help="how many weights may be left"
    )
    goal.add_argument(
        "--flops",
        metavar="N",
        help="floating-point operations of one call at batch size 1, a "
        "multiply and an add counting two; of a second of audio where "
        "--calls-per-second is given",
    )
    goal.add_argument(
        "--disk-bytes",
        metavar="SIZE",
        help="size of the float32 .tflite file, estimated: 4 bytes a weight "
        "and some for each tensor and operation; int8 makes it about a "
        "quarter",
    )
    goal.add_argument(
        "--ram-bytes",
        metavar="SIZE",
        help="the largest input plus output of one operation, float32",
    )
    goal.add_argument(
        "--calls-per-second",
        type=float,
        default=1.0,
        metavar="N",
        help="how often the model is called for a second of audio: the "
        "sample rate over the hop",
    )


def goal_of(args: Any) -> dict[str, Any]:
    """Returns `rate` or `to`, as `tf_diet.plan` takes them.

    Raises:
        InputError: none or both are given, or a size cannot be read.
    """
    texts = {n: t for n in BOUNDS if (t := getattr(args, n)) is not None}
    if bool(texts) == (args.rate is not None):
        given = [f"--{name.replace('_', '-')} {t}" for name, t in texts.items()]
        rate = [] if args.rate is None else [f"--rate {args.rate}"]
        raise InputError(
            "Say how much to remove, in one way. Received: "
            f"{' '.join([*rate, *given]) or 'no goal'}. Pass --rate, the share "
            "of the parameters that goes, or upper bounds: --parameters, "
            "--flops, --disk-bytes, --ram-bytes."
        )
    if args.rate is not None:
        return {"rate": args.rate}
    return {"to": bounds_of(args)}


def add_bounds(parser: Any, meaning: str) -> None:
    """Adds the bounds of a budget, for `bounds_of`.

    Args:
        parser: or a group of one.
        meaning: of each, for its help.
    """
    for name in BOUNDS:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, metavar="N", help=meaning)
    parser.add_argument(
        "--calls-per-second", type=float, default=1.0, help="for --flops"
    )


def bounds_of(args: Any) -> Budget | None:
    """Returns the budget that was given, None if no bound was.

    Raises:
        InputError: a size cannot be read.
    """
    texts = {n: t for n in BOUNDS if (t := getattr(args, n)) is not None}
    numbers: dict[str, Any] = {n: size(n, t) for n, t in texts.items()}
    if not numbers:
        return None
    return Budget(**numbers, calls_per_second=args.calls_per_second)


def size(name: str, text: str) -> int:
    """Reads a number such as 500k, 2M or 64KB.

    Args:
        name: of the bound that it is for; of bytes there are 1024 in a K.
        text: what was given.

    Raises:
        InputError: it is no such number.
    """
    found = _NUMBER.fullmatch(text.strip())
    in_bytes = name.endswith("_bytes")
    if not found or (found[3] and not in_bytes):
        raise InputError(
            f"--{name.replace('_', '-')} takes a number. Received: {text!r}. "
            f"Write, say, {'64KB or 65536' if in_bytes else '500k or 500000'}."
        )
    power = _POWERS[found[2]]
    return round(float(found[1]) * (1024 if in_bytes else 1000) ** power)
