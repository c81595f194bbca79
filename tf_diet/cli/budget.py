# SPDX-License-Identifier: MIT
"""What to remove, on the command line: a share, a budget, or units."""

import re
from collections.abc import Sequence
from typing import Any

from tf_diet.errors import InputError
from tf_diet.pruning.budget import BOUNDS, Budget

_NUMBER = re.compile(r"(\d[\d_]*\.?\d*(?:e\d+)?)\s*([kKMG]?)(i?B)?")
_UNITS = re.compile(r"(\d+)(?:-(\d+))?")
_NOUNS = {
    "parameters": "weights",
    "flops": "floating-point operations a call",
    "disk_bytes": "bytes in its float32 .tflite file",
    "ram_bytes": "bytes for input and output of any one operation",
}
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3}


def add_goal(parser: Any) -> None:
    """Adds `--rate`, the bounds of a budget, and units to remove."""
    goal = parser.add_argument_group(
        "how much to remove",
        "Either a share, or one or more upper bounds, of which all are met. "
        "Numbers may end in k, M or G, such as 500k, 1.5M or 64KB: a k is 1000 "
        "parameters or FLOPs, and 1024 bytes.",
    )
    goal.add_argument(
        "--rate",
        type=float,
        help="share of the parameters to remove, between 0 and 1; constants "
        "such as the kernels of a Fourier transform do not count",
    )
    goal.add_argument(
        "--parameters", metavar="N", help="how many weights may be left"
    )
    goal.add_argument(
        "--flops",
        metavar="N",
        help="how many floating-point operations one call may take at batch "
        "size 1, a multiply and an add counting two; with --calls-per-second, "
        "how many a second of audio may take",
    )
    goal.add_argument(
        "--disk-bytes",
        metavar="SIZE",
        help="how large the float32 .tflite file may be, by an estimate: 4 "
        "bytes for each weight and 200 for each tensor and operation; an int8 "
        "file is about a quarter of that",
    )
    goal.add_argument(
        "--ram-bytes",
        metavar="SIZE",
        help="how large the input plus the output of any one operation may "
        "be, in float32",
    )
    goal.add_argument(
        "--calls-per-second",
        type=float,
        default=1.0,
        metavar="N",
        help="how often the model is called for a second of audio, which is "
        "the sample rate divided by the hop (default: 1)",
    )
    goal.add_argument(
        "--remove",
        action="append",
        metavar="NAME=UNITS",
        help="remove these units, whatever their scores: numbers and ranges, "
        "such as conv1d=0,3,7-9, of the units of a group or of the output "
        "channels of a layer; can be given more than once",
    )
    goal.add_argument(
        "--plan-from",
        metavar="FILE",
        help="remove the units that a plan says, as --json wrote it",
    )


def goal_of(args: Any) -> dict[str, Any]:
    """Returns `rate`, `to` or `remove`, as `tf_diet.plan` takes them.

    Or `plan_from`, a file.

    Raises:
        InputError: none or several are given, or one cannot be read.
    """
    texts = {n: t for n in BOUNDS if (t := getattr(args, n)) is not None}
    options = {"rate": args.rate, **texts, "plan_from": args.plan_from}
    given = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in options.items()
        if value is not None
    ]
    given += [f"--remove {text}" for text in args.remove or ()]
    ways = (args.rate, texts or None, args.remove, args.plan_from)
    if sum(way is not None for way in ways) != 1:
        raise InputError(
            "Say how much to remove, in one way. Received: "
            f"{' '.join(given) or 'no goal'}. Pass --rate, the share of the "
            "parameters that goes; or upper bounds: --parameters, --flops, "
            "--disk-bytes, --ram-bytes; or units, by --remove or --plan-from."
        )
    if texts:
        return {"to": bounds_of(args)}
    if args.remove is not None:
        return {"remove": units_of(args.remove)}
    if args.plan_from is not None:
        return {"plan_from": args.plan_from}
    return {"rate": args.rate}


def units_of(texts: Sequence[str]) -> dict[str, list[int]]:
    """Reads units such as conv1d=0,3,7-9, by name.

    Raises:
        InputError: a text is not of that form.
    """
    found: dict[str, list[int]] = {}
    for text in texts:
        name, _, numbers = text.rpartition("=")
        parts = [_UNITS.fullmatch(part.strip()) for part in numbers.split(",")]
        if not name or None in parts:
            raise InputError(
                "--remove takes a name and numbers of units. Received: "
                f"{text!r}. Write, say, --remove conv1d=0,3,7-9."
            )
        mine = found.setdefault(name, [])
        for part in filter(None, parts):
            first, last = int(part[1]), int(part[2] or part[1])
            mine += range(first, last + 1)
    return found


def add_bounds(parser: Any, meaning: str) -> None:
    """Adds the bounds of a budget, for `bounds_of`.

    Args:
        parser: or a group of one.
        meaning: of a bound, for its help, in front of "N weights".
    """
    for name, noun in _NOUNS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, metavar="N", help=f"{meaning} N {noun}")
    parser.add_argument(
        "--calls-per-second",
        type=float,
        default=1.0,
        metavar="N",
        help="make --flops a bound of this many calls (default: 1)",
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
