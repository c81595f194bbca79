# SPDX-License-Identifier: MIT
"""List and compare lottery runs, and take the best ticket out.

tf-diet runs runs/
tf-diet runs runs/violin runs/flute --plot compared.png
tf-diet runs runs/violin --best -o ticket.keras
tf-diet runs runs/violin --best --error-multiplier 1.05 -o ticket.keras
tf-diet runs runs/violin --best --disk-bytes 64KB -o ticket.keras
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tf_diet.cli.budget import add_bounds, bounds_of
from tf_diet.errors import InputError, RunFolderError
from tf_diet.files import write_bytes
from tf_diet.lottery.run import Run
from tf_diet.report.plots import error_against_weights
from tf_diet.report.tables import run_table


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet runs`."""
    parser.add_argument(
        "folders", nargs="+", help="runs, or folders that hold some"
    )
    parser.add_argument(
        "--plot", type=Path, help="draw errors against weights into this PNG"
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="of one run, the smallest ticket whose validation error is no "
        "more than that of the full model",
    )
    parser.add_argument(
        "--error-multiplier",
        type=float,
        metavar="X",
        help="with --best: no more than X times that of the full model",
    )
    add_bounds(
        parser, "with --best: the least error of the tickets within this"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="with --best: write its .keras file"
    )


def run(args: Any) -> None:
    """Shows the runs, or the best ticket of one."""
    runs = [run for folder in args.folders for run in _found(Path(folder))]
    if args.best:
        _best(runs, args)
        return
    print(show(runs))
    if args.plot:
        lines = {
            run.folder.folder.name: [asdict(t.line) for t in run.tickets]
            for run in runs
        }
        scratch = {
            f"{run.folder.folder.name}, widths of round {t.line.round} from "
            "scratch": (t.line.weights_left, t.line.error_multiplier)
            for run in runs
            for t in run.scratches
        }
        print(f"wrote {error_against_weights(args.plot, lines, {}, scratch)}")


def show(runs: Sequence[Run]) -> str:
    """Returns the rounds of runs as tables, and what they come to."""
    return "\n".join(_shown(run) for run in runs)


def _shown(run: Run) -> str:
    rounds = [asdict(ticket.line) for ticket in run.tickets]
    scratches = run.scratches
    others = [
        asdict(ticket.line) | {"name": f"{ticket.line.round} scratch"}
        for ticket in scratches
    ]
    table = run_table(rounds, others, title=str(run.folder.folder))
    if not rounds:
        return table + "\nno round is finished"
    lines = [table, f"best: {run.best()!r}"]
    errors = {row["round"]: row["validation_error"] for row in rounds}
    for ticket in scratches:
        number = ticket.line.round
        won = errors[number] < ticket.line.validation_error
        lines.append(
            f"round {number} {'beats' if won else 'does not beat'} the net of "
            "its widths from scratch (validation error "
            f"{errors[number]:.4f} against {ticket.line.validation_error:.4f})"
            + ("" if won else ": its weights are no winning ticket")
        )
    return "\n".join(lines)


def _found(folder: Path) -> Iterator[Run]:
    """Yields the run in a folder, or those in the folders in it.

    Raises:
        InputError: there is none.
    """
    paths = [folder, *(sorted(folder.iterdir()) if folder.is_dir() else [])]
    runs = [path for path in paths if (path / "run.json").is_file()]
    if not runs:
        raise InputError(
            f"There is no run here. Received: {folder}. Name the folder that "
            "LotteryDiet.fit or 'tf-diet lottery' was given, or one above."
        )
    yield from map(Run.open, runs)


def _best(runs: Sequence[Run], args: Any) -> None:
    if len(runs) != 1:
        raise InputError(
            f"--best takes one run. Received: {len(runs)}. Name the one."
        )
    ticket = runs[0].best(
        error_multiplier=args.error_multiplier, to=bounds_of(args)
    )
    print(ticket)
    if args.output is None:
        print(ticket.path)
        return
    if args.output.exists():
        raise RunFolderError(
            f"The file to write exists. Received: {args.output}. Name another "
            "with --output."
        )
    write_bytes(args.output, ticket.path.read_bytes())
    print(f"wrote {args.output}")
