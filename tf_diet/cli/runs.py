# SPDX-License-Identifier: MIT
"""List and compare lottery runs, and take the best ticket out.

    tf-diet runs runs/
    tf-diet runs runs/ --json runs.json
    tf-diet runs runs/violin runs/flute --plot compared.png
    tf-diet runs runs/violin --best -o ticket.keras
    tf-diet runs runs/violin --best --error-multiplier 1.05 -o ticket.keras
    tf-diet runs runs/violin --best --disk-bytes 64KB -o ticket.keras

A ticket is the trained model of one round. Round 0 is the full model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tf_diet.cli.budget import add_bounds, bounds_of
from tf_diet.cli.parsing import add_json, add_output, check_suffix
from tf_diet.cli.results import check_new
from tf_diet.errors import InputError
from tf_diet.files import write_bytes
from tf_diet.lottery.run import Run
from tf_diet.lottery.run_folder import Ticket
from tf_diet.report.plots import error_against_weights
from tf_diet.report.tables import run_table


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet runs`."""
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="FOLDER",
        help="a run, or a folder that holds runs",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw errors against the weights that are left into this PNG",
    )
    best = parser.add_argument_group(
        "the best ticket", "Of one run. Judged by the validation error."
    )
    best.add_argument(
        "--best",
        action="store_true",
        help="show the smallest ticket whose error is no more than that of "
        "the full model",
    )
    best.add_argument(
        "--error-multiplier",
        type=float,
        metavar="X",
        help="with --best: allow X times the error of the full model",
    )
    add_bounds(
        best,
        "with --best: show the ticket with the least error that has no more "
        "than",
    )
    add_output(best, "with --best: the .keras file to write the ticket to")
    best.add_argument(
        "--overwrite", action="store_true", help="replace an existing file"
    )
    add_json(parser, "the rounds, or the best ticket,")


def run(args: Any) -> Any:
    """Shows the runs, or the best ticket of one."""
    check_suffix(args.output, (".keras",), "the ticket")
    runs = [run for folder in args.folders for run in _found(Path(folder))]
    if args.best:
        return _best(runs, args)
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
    return facts(runs)


def facts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Returns the rounds of runs, and which ticket is best."""
    return [
        {
            "folder": run.folder.folder,
            "stopped": run.stopped,
            "rounds": [ticket.line for ticket in run.tickets],
            "scratch": [ticket.line for ticket in run.scratches],
            "best": _facts(run.best()) if run.tickets else None,
        }
        for run in runs
    ]


def _facts(ticket: Ticket) -> dict[str, Any]:
    return {"path": ticket.path, **asdict(ticket.line)}


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


def _best(runs: Sequence[Run], args: Any) -> dict[str, Any]:
    if len(runs) != 1:
        raise InputError(
            f"--best takes one run. Received: {len(runs)}. Name the one."
        )
    output = args.output
    if output is not None:
        check_new([output], overwrite=args.overwrite)
    ticket = runs[0].best(
        error_multiplier=args.error_multiplier, to=bounds_of(args)
    )
    print(ticket)
    if output is None:
        print(ticket.path)
    else:
        write_bytes(output, ticket.path.read_bytes())
        print(f"wrote {output}")
    return {**_facts(ticket), "output": output}
