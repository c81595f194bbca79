# SPDX-License-Identifier: MIT
"""Many lotteries side by side, on Ray Tune."""

import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
from absl import logging

from tf_diet.errors import DietError, InputError
from tf_diet.files import write_text
from tf_diet.lottery.build_functions import built, located
from tf_diet.lottery.diet import LotteryDiet
from tf_diet.lottery.run import Run
from tf_diet.lottery.run_folder import RunFolder, Ticket
from tf_diet.optional import require
from tf_diet.training.folder import ResumableFolder

# A worker whose driver was killed takes a moment to notice.
_ORPHANS_LIVE = 120.0
_SETTINGS = "sweep.json"
_RUNS = "runs"


@dataclass(frozen=True)
class Trial:
    """One lottery of a sweep.

    Args:
        build: names the function that says what to train, as a text:
            `my_net.py:build` or `package.module:build`.
        diet: how.
        settings: what sets this trial apart, for tables and plots.
        scratch: train the last widths from fresh weights too.
    """

    build: str
    diet: LotteryDiet
    settings: Mapping[str, Any]
    scratch: bool = False


@dataclass(frozen=True)
class Sweep:
    """What a sweep has come to.

    Args:
        folder: where it lives.
        settings: of each trial, by its name.
        problems: what kept trials from finishing, by name.
    """

    folder: Path
    settings: Mapping[str, Mapping[str, Any]]
    problems: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Sweep":
        """Returns the sweep that lives in a folder, finished or not.

        Raises:
            InputError: there is none.
        """
        path = Path(folder) / _SETTINGS
        if not path.is_file():
            raise InputError(
                f"There is no sweep here. Received: {folder}. Name the folder "
                "that tf_diet.sweep or 'tf-diet sweep' was given."
            )
        return cls(Path(folder), json.loads(path.read_text("utf-8")))

    @property
    def runs(self) -> dict[str, Run]:
        """The runs that have begun, by the name of their trial."""
        paths = {name: self.folder / _RUNS / name for name in self.settings}
        return {
            name: Run.open(path)
            for name, path in paths.items()
            if (path / "run.json").is_file()
        }

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row a trial and round: settings and figures, flat."""
        rows = []
        for name, run in self.runs.items():
            tickets = [(ticket, False) for ticket in run.tickets]
            tickets += [(ticket, True) for ticket in run.scratches]
            for ticket, scratch in tickets:
                figures = asdict(ticket.line)
                del figures["widths"], figures["seconds"]
                known = {"trial": name, **self.settings[name]}
                rows.append({**known, "scratch": scratch, **figures})
        return rows

    def __repr__(self) -> str:
        return (
            f"<Sweep of {len(self.settings)} trials in {self.folder}, "
            f"{len(self.problems)} with problems>"
        )


def grid(
    build: str | Sequence[str],
    diet: LotteryDiet,
    *,
    scratch: bool = False,
    **axes: Sequence[Any],
) -> dict[str, Trial]:
    """Returns a trial for every combination of settings.

    Args:
        build: functions that say what to train; see `Trial`.
        diet: what all have in common.
        scratch: train the last widths from fresh weights too.
        **axes: fields of `LotteryDiet` with the values each shall take:
            `criterion=["magnitude", "taylor"], seed=[0, 1, 2]`.

    Returns:
        The trials by name.

    Raises:
        InputError: an axis is no field of `LotteryDiet`, or is empty.
    """
    builds = [build] if isinstance(build, str) else list(build)
    for axis, values in axes.items():
        if axis not in vars(diet) or isinstance(values, str) or not values:
            raise InputError(
                "An axis of a sweep is a field of LotteryDiet with a list of "
                f"values. Received: {axis}={values!r}. Fields are "
                f"{', '.join(vars(diet))}."
            )
    trials = {}
    for name, *values in itertools.product(builds, *axes.values()):
        point = dict(zip(axes, values, strict=True))
        settings = {"build": short(name)} | {
            axis: _text(value) for axis, value in point.items()
        }
        trials[named(settings)] = Trial(
            name, replace(diet, **point), settings, scratch
        )
    return trials


def folder_of(folder: str | os.PathLike[str]) -> ResumableFolder:
    """Returns a folder as that of a sweep."""
    return ResumableFolder(folder, _SETTINGS, "sweep")


def short(build: str) -> str:
    """Returns the name of a build function without its place."""
    return build.rpartition(":")[2]


def named(settings: Mapping[str, Any]) -> str:
    """Returns the name of a trial: its settings, fit for a folder."""
    parts = [f"{axis}={value}" for axis, value in settings.items()]
    return ",".join(parts).replace("/", "_").replace(" ", "")


def _text(value: Any) -> Any:
    plain = isinstance(value, (str, int, float, bool))
    return value if plain else getattr(value, "__name__", repr(value))


def sweep(
    trials: Mapping[str, Trial],
    folder: str | os.PathLike[str],
    *,
    resume: bool = False,
    address: str | None = None,
    cpus: float = 1,
    gpus: float = 0,
    concurrent: int | None = None,
) -> Sweep:
    """Runs lotteries side by side on Ray Tune, a process for each.

    Every trial is a run in a folder of its own, `folder/runs/<name>`, which
    survives kills as any run does: `resume=True` goes on where each was, and
    starts those that are new. A trial that fails keeps no other from ending.

    Args:
        trials: by name; `grid` makes them.
        folder: where all is written; on a cluster, seen by all machines
            under the same path, as must be the files of build functions.
        resume: go on with the sweep in `folder`, if there is one.
        address: of a Ray cluster that runs; None starts one on this machine
            for the time of the sweep.
        cpus: that a trial takes.
        gpus: that a trial takes.
        concurrent: trials at a time at most; as many as fit when left out.

    Returns:
        What came of it; its `problems` name what failed.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: a build function is not there.
        RunFolderError: the folder is not empty and `resume` is False, or
            another process is at work in it.

    Source:
        Liaw et al., "Tune: A Research Platform for Distributed Model
        Selection and Training", 2018.
    """
    # Ray reads these once. It sends nothing that the user did not ask for,
    # and its workers stay where the files of build functions are looked for.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    ray = require("ray", extra="sweep")
    require("ray.tune", extra="sweep")
    folder = Path(folder).resolve()
    trials = {
        name: replace(trial, build=located(trial.build))
        for name, trial in trials.items()
    }
    work = folder_of(folder)
    with work.locked():
        # Trials may be added to a sweep.
        settings = dict(work.open(resume=resume) or {}) | {
            name: dict(trial.settings) for name, trial in trials.items()
        }
        text = json.dumps(settings, indent=2, default=str)
        write_text(work.record, text)
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            log_to_driver=False,
            runtime_env={
                "env_vars": {
                    "KERAS_BACKEND": keras.backend.backend(),
                    "TF_NUM_INTRAOP_THREADS": str(max(1, int(cpus))),
                }
            },
        )
        try:
            problems = _tuned(trials, folder, cpus, gpus, concurrent)
        finally:
            ray.shutdown()
    return Sweep(folder, settings, problems)


def _tuned(
    trials: Mapping[str, Trial],
    folder: Path,
    cpus: float,
    gpus: float,
    concurrent: int | None,
) -> dict[str, str]:
    """Runs all trials and returns the problems."""
    tune = require("ray.tune", extra="sweep")

    def play(config: Mapping[str, Any]) -> None:
        name = config["trial"]
        _play(trials[name], folder / _RUNS / name, tune.report)

    class Log(tune.Callback):  # type: ignore[name-defined]
        """Tells each round of each trial."""

        ended = 0

        def on_trial_result(self, result: Any, **_: Any) -> None:
            if "round" in result:
                logging.info(
                    "%s: round %d, %.1f %% of the weights left, error x %.3f",
                    result["config"]["trial"],
                    result["round"],
                    100 * result["weights_left"],
                    result["error_multiplier"],
                )

        def on_trial_complete(self, trial: Any, **_: Any) -> None:
            self._end(trial, "done")

        def on_trial_error(self, trial: Any, **_: Any) -> None:
            self._end(trial, "failed")

        def _end(self, trial: Any, how: str) -> None:
            self.ended += 1
            name = trial.config["trial"]
            of = f"{self.ended} of {len(trials)}"
            logging.info("%s: %s (%s)", name, how, of)

    resources: dict[str, Any] = {"cpu": cpus, "gpu": gpus}
    tuner = tune.Tuner(
        tune.with_resources(play, resources),
        param_space={"trial": tune.grid_search(list(trials))},
        tune_config=tune.TuneConfig(max_concurrent_trials=concurrent),
        run_config=tune.RunConfig(
            name=f"{time.time_ns()}",
            storage_path=str(folder / "ray"),
            callbacks=[Log()],
            verbose=0,
        ),
    )
    problems = {}
    for result in tuner.fit():
        name = (result.config or result.metrics["config"])["trial"]
        if result.error is not None:
            last = str(result.error).strip().splitlines()[-1]
            problems[name] = last
        elif result.metrics.get("problem"):
            problems[name] = result.metrics["problem"]
    return problems


def _play(trial: Trial, folder: Path, report: Any) -> None:
    """Runs or goes on with one lottery, inside a worker.

    What is the user's to mend is reported, not raised: a traceback would
    hide it.
    """

    def told(ticket: Ticket) -> None:
        line = ticket.line
        report(
            {
                "round": line.round,
                "weights_left": line.weights_left,
                "validation_error": line.validation_error,
                "error_multiplier": line.error_multiplier,
            }
        )

    try:
        with RunFolder(folder).locked(wait=_ORPHANS_LIVE):
            pass
        run = trial.diet.fit(
            **built(trial.build, trial.diet.seed),
            folder=folder,
            resume=True,
            on_round=told,
        )
        if run.stopped:
            report({"problem": run.stopped})
        elif trial.scratch:
            run.scratch(run.tickets[-1].line.round)
    except DietError as error:
        report({"problem": str(error)})
