# SPDX-License-Identifier: MIT
"""Run lotteries side by side: every combination of settings, on Ray Tune.

    tf-diet sweep sweep.yaml
    tf-diet sweep sweep.yaml --resume
    tf-diet sweep sweep.yaml --address ray://head:10001

sweep.yaml:

    folder: runs/criteria        # on a cluster: seen by all machines
    build: my_net.py:build       # or a list of them; see 'tf-diet lottery'
    grid:                        # every combination of these
      criterion: [mutual_information, magnitude, random]
      scope: [global, local]
      reset: [rewind, lr_rewind]
      seed: [0, 1, 2]
    lottery:                     # other options of 'tf-diet lottery', the
      rounds: 5                  # same in all trials
      max-rate: 0.35
      scratch: true
    cpus: 1                      # that a trial takes
    gpus: 0
    concurrent: 2                # trials at a time at most

Any option of 'tf-diet lottery' can be an axis of the grid. A trial is a run
like any other, in folder/runs; a killed sweep goes on with --resume, also with
more values in the grid. Into the folder go sweep.md (a table, seeds put
together), sweep.csv (a row a trial and round) and sweep.png.
"""

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_diet.cli import lottery
from tf_diet.cli.parsing import Parser, add_again, add_json, remove_work
from tf_diet.cli.results import IncompleteError
from tf_diet.errors import InputError
from tf_diet.files import write_text
from tf_diet.optional import require

if TYPE_CHECKING:
    from tf_diet.lottery.sweep import Sweep, Trial

TELLS = "info"

_KEYS: dict[str, tuple[type, ...]] = {
    "folder": (str,),
    "build": (str, list),
    "grid": (dict,),
    "lottery": (dict,),
    "cpus": (int, float),
    "gpus": (int, float),
    "concurrent": (int,),
    "address": (str,),
}
_NEEDED = ("folder", "build")


def add_arguments(parser: Any) -> None:
    """Adds the arguments of `tf-diet sweep`."""
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="the sweep, in YAML; see above",
    )
    add_again(parser, "sweep")
    parser.add_argument(
        "--address",
        help="of a Ray cluster that is running: 'auto' for one on this "
        "machine (default: start one here, which ends with the sweep)",
    )
    add_json(parser, "a row for each trial and round")


def run(args: Any) -> list[dict[str, Any]]:
    """Runs the sweep and shows what came out."""
    asked = _read(args.file)
    from tf_diet.lottery.sweep import folder_of, sweep
    from tf_diet.report.sweeps import sweep_plot, sweep_table

    trials = _trials(asked)
    if args.overwrite:
        remove_work(folder_of(asked["folder"]))
    done = sweep(
        trials,
        asked["folder"],
        resume=args.resume,
        address=args.address or asked.get("address"),
        **{
            key: asked[key]
            for key in ("cpus", "gpus", "concurrent")
            if key in asked
        },
    )
    rows = done.rows()
    if rows:
        _write_rows(done.folder / "sweep.csv", rows)
        print(sweep_table(done))
        table = sweep_table(done, markdown=True)
        text = f"{table}\n\n{_stamp(done, args.file)}\n"
        write_text(done.folder / "sweep.md", text)
        print(f"wrote {sweep_plot(done.folder / 'sweep.png', done)}")
    if done.problems:
        raise _incomplete(done, rows)
    return rows


def _stamp(done: "Sweep", file: Path) -> str:
    """Returns when, with what and on what the runs were made."""
    (folder, *_) = (run.folder.folder for run in done.runs.values())
    facts = json.loads((folder / "run.json").read_text("utf-8"))
    names = ("tf_diet", "keras", "numpy", "python")
    versions = ", ".join(f"{name} {facts[name]}" for name in names)
    return (
        f"Written by `tf-diet sweep {file.name}` on {date.today()}: "
        f"{versions}, backend {facts['backend']}, {facts['machine']}."
    )


def _incomplete(
    done: "Sweep", rows: Sequence[Mapping[str, Any]]
) -> IncompleteError:
    """Returns an error that names the trials that failed."""
    listed = "\n".join(f"  {n}: {why}" for n, why in done.problems.items())
    return IncompleteError(
        f"{len(done.problems)} of {len(done.settings)} trials did not end. "
        f"Received:\n{listed}\nMend what is named, then go on with --resume; "
        "the other trials are done.",
        rows,
    )


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _read(path: Path) -> dict[str, Any]:
    """Reads a sweep.

    Raises:
        InputError: it cannot be read, or a key is unknown, missing or of a
            kind that does not fit.
    """
    yaml = require("yaml", extra="sweep")
    try:
        asked = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"The sweep cannot be read. Received: {path}: {error}. Write a "
            "YAML file as 'tf-diet sweep --help' shows it."
        ) from error
    if not isinstance(asked, dict):
        asked = {}
    wrong = [f"no {key!r}" for key in _NEEDED if key not in asked] + [
        f"{key}: {value!r}"
        for key, value in asked.items()
        if not isinstance(value, _KEYS.get(key, ()))
    ]
    axes = asked.get("grid", {})
    if isinstance(axes, dict):
        wrong += [
            f"grid: {axis}: {values!r} (a list is needed)"
            for axis, values in axes.items()
            if not isinstance(values, list) or not values
        ]
    if wrong:
        raise InputError(
            f"The sweep {path} is not complete. Received: {'; '.join(wrong)}. "
            f"Known keys: {', '.join(_KEYS)}; 'tf-diet sweep --help' shows "
            "an example."
        )
    return asked


def _trials(asked: Mapping[str, Any]) -> dict[str, "Trial"]:
    """Returns a trial for every combination.

    Raises:
        InputError: an option is none of `tf-diet lottery`.
    """
    from tf_diet.lottery.sweep import Trial, named, short

    builds = asked["build"]
    builds = [builds] if isinstance(builds, str) else builds
    axes = asked.get("grid", {})
    trials = {}
    for build, *values in itertools.product(builds, *axes.values()):
        point = dict(zip(axes, values, strict=True))
        settings = {"build": short(build), **point}
        args = _parsed(build, {**asked.get("lottery", {}), **point})
        trials[named(settings)] = Trial(
            build, lottery.diet_of(args), settings, args.scratch
        )
    return trials


class _Parser(Parser):
    def error(self, message: str) -> Any:
        raise InputError(
            "The sweep asks for what 'tf-diet lottery' does not take. "
            f"Received: {message}. Run 'tf-diet lottery --help' for its "
            "options."
        )


def _parsed(build: str, options: Mapping[str, Any]) -> Any:
    parser = _Parser(prog="tf-diet lottery", allow_abbrev=False)
    lottery.add_arguments(parser)
    words = [word for pair in options.items() for word in _words(*pair)]
    return parser.parse_args([build, "--output", "", *words])


def _words(option: str, value: Any) -> Iterator[str]:
    """Yields an option of a sweep as it stands on a command line.

    A list of lists, or names with values, is an option that is given more
    than once.
    """
    flag = f"--{option.replace('_', '-')}"
    if isinstance(value, bool):
        yield from [flag] if value else []
    elif isinstance(value, dict):
        for name, number in value.items():
            yield from (flag, f"{name}={number}")
    elif isinstance(value, list) and value and isinstance(value[0], list):
        for words in value:
            yield from (flag, *map(str, words))
    elif isinstance(value, list):
        yield from (flag, *map(str, value))
    else:
        yield from (flag, str(value))
