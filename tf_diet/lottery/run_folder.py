# SPDX-License-Identifier: MIT
"""A run as a folder: configuration, a line a round, a model a round."""

import json
import os
import platform
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from filelock import FileLock, Timeout

from tf_diet.errors import RunFolderError
from tf_diet.files import replacing, write_bytes, write_text
from tf_diet.pruning.plan import PruningPlan

_LOCK = ".lock"
_START = "start.keras"
_LINES = {"round": "rounds.jsonl", "scratch": "scratch.jsonl"}
# What may lie in the folder of a run whose configuration is not yet there.
_OPENING = {_START}


@dataclass(frozen=True)
class Round:
    """One line of `rounds.jsonl`.

    Args:
        round: its number; 0 is the full model.
        parameters: of the model.
        weights_left: share of the full model's parameters.
        flops: of one call at batch 1, unknown sizes counted one.
        disk_bytes: about what a float32 `.tflite` file takes.
        ram_bytes: the largest input plus output of one call.
        validation_error: after training.
        test_error: after training; None without test data.
        error_multiplier: test error over the full model's; validation error
            over the full model's where there is no test data.
        epochs: of training in this round.
        steps: batches; None where the data does not say.
        sparsity: what the schedule asked for.
        seconds: by phase: planning (ranking included), trimming, saving,
            training, evaluation.
        widths: units left in each group.
        removable_units: units that are wholly masked, where weights are
            masked and not trimmed; else None.
    """

    round: int
    parameters: int
    weights_left: float
    flops: int
    disk_bytes: int
    ram_bytes: int
    validation_error: float
    test_error: float | None
    error_multiplier: float
    epochs: int = 0
    steps: int | None = None
    sparsity: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    widths: Mapping[str, int] = field(default_factory=dict)
    removable_units: int | None = None


@dataclass(frozen=True)
class Ticket:
    """The model of one round.

    Args:
        line: its figures.
        path: the `.keras` file.
        plan_path: the plan that made it; None for the full model.
    """

    line: Round
    path: Path
    plan_path: Path | None

    def load(self) -> keras.Model:
        """Returns the trained model."""
        return keras.models.load_model(self.path)

    def plan(self) -> PruningPlan | None:
        """Returns the plan that led here from the round before."""
        if self.plan_path is None:
            return None
        return PruningPlan.from_json(self.plan_path.read_text("utf-8"))

    def __repr__(self) -> str:
        line = self.line
        return (
            f"<Ticket round {line.round}: {line.weights_left:.1%} of the "
            f"weights, error x {line.error_multiplier:.3f}>"
        )


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model in one move, optimizer state included."""
    with replacing(path) as temporary:
        model.save(temporary)


def load_model(path: Path) -> keras.Model:
    """Loads a model that was saved compiled, trained or not."""
    with warnings.catch_warnings():
        # An optimizer that has made no step yet has no slots to load.
        warnings.filterwarnings("ignore", "Skipping variable loading for opt")
        return keras.models.load_model(path)


class RunFolder:
    """Reads and writes the files of a run, each whole or not at all.

    Args:
        folder: where the run lives.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    @contextmanager
    def locked(self, wait: float = 0.0) -> Iterator[None]:
        """Keeps other processes out of the folder.

        Args:
            wait: seconds for another process to leave it.

        Raises:
            RunFolderError: another process is at work in it.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise RunFolderError(
                f"The run folder is a file. Received: {self.folder}. Name a "
                "folder that is empty or does not exist."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / _LOCK)
        try:
            lock.acquire(timeout=wait)
        except Timeout as error:
            raise RunFolderError(
                "Another process is at work on this run. Received: "
                f"{self.folder}. Wait for it or stop it, or use another "
                "folder."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def open(self, settings: Mapping[str, Any], *, resume: bool) -> bool:
        """Begins a run in an empty folder, or checks that it is the same run.

        Args:
            settings: what makes it the same run, by name.
            resume: go on if the folder holds a run.

        Returns:
            Whether there is something to go on with.

        Raises:
            RunFolderError: it is not empty and `resume` is False, or it
                belongs to a run with other settings; the difference is shown.
        """
        if resume:
            self._sweep()
        known = self.folder / "run.json"
        if resume and known.exists():
            old = json.loads(known.read_text("utf-8"))["settings"]
            new = json.loads(json.dumps(settings, default=str))
            differ = list(differences(old, new))
            if differ:
                raise RunFolderError(
                    f"The folder {self.folder} belongs to another run. "
                    f"Received: {'; '.join(differ)}. Use the same settings, "
                    "or another folder."
                )
            return True
        held = [path.name for path in self.folder.iterdir()]
        left = [name for name in held if name != _LOCK]
        # A kill while the run was being opened leaves what is begun again.
        if left and not (resume and set(left) <= _OPENING):
            raise RunFolderError(
                f"The run folder is not empty. Received: {self.folder}, which "
                f"holds {', '.join(sorted(left)[:3])}. Name an empty folder, "
                "or pass resume=True to go on with a run."
            )
        return False

    def _sweep(self) -> None:
        """Removes what a kill left of files that were being written."""
        for path in self.folder.glob(".*.*"):
            if path.is_dir():
                shutil.rmtree(path)
        for kind in _LINES:
            for line in self.rounds(kind):
                name = f"{kind}_{line.round:02d}"
                self.state_path(name).unlink(missing_ok=True)

    def begin(self, model: keras.Model, settings: Mapping[str, Any]) -> None:
        """Writes what a run starts from; its configuration last."""
        save_model(model, self.start_path)
        facts = {
            "settings": settings,
            "tf_diet": version("tf_diet"),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.platform(),
        }
        text = json.dumps(facts, indent=2, default=str)
        write_text(self.folder / "run.json", text)

    @property
    def start_path(self) -> Path:
        """The full model before its training."""
        return self.folder / _START

    def state_path(self, name: str) -> Path:
        """The state inside a training, such as "round_02"."""
        return self.folder / f"state_{name}.npz"

    def retry_path(self, number: int, retry: int) -> Path:
        """What a round starts from at a lower learning rate."""
        return self.folder / f"retry_{number:02d}_{retry}.keras"

    def model_path(self, number: int, kind: str = "round") -> Path:
        """The trained model of a round, or of its widths from scratch."""
        return self.folder / f"{kind}_{number:02d}.keras"

    def early_path(self, number: int) -> Path:
        """The model that the training of a round starts from.

        That of round 0 is the full model at the early moment.
        """
        return self.folder / f"early_{number:02d}.keras"

    def scratch_start(self, number: int) -> Path:
        """The fresh weights of a round's widths."""
        return self.folder / f"fresh_{number:02d}.keras"

    def plan_path(self, number: int) -> Path:
        """The plan that leads to a round."""
        return self.folder / f"plan_{number:02d}.json"

    def take_over(self, other: "RunFolder") -> None:
        """Copies round 0 of another run.

        Raises:
            RunFolderError: that run has not finished its round 0.
        """
        rounds = other.rounds()
        if not rounds:
            raise RunFolderError(
                f"The run in {other.folder} has no finished round 0. "
                "Received: an empty run. Finish or resume it first."
            )
        for source, target in (
            (other.early_path(0), self.early_path(0)),
            (other.model_path(0), self.model_path(0)),
        ):
            write_bytes(target, source.read_bytes())
        self.add(rounds[0])

    def rounds(self, kind: str = "round") -> list[Round]:
        """Returns the finished rounds, or what was trained from scratch."""
        path = self.folder / _LINES[kind]
        if not path.exists():
            return []
        lines = path.read_text("utf-8").splitlines()
        return [Round(**json.loads(line)) for line in lines]

    def add(self, line: Round, kind: str = "round") -> None:
        """Files a finished round; its models must be written before."""
        lines = [*self.rounds(kind), line]
        text = "".join(json.dumps(asdict(row)) + "\n" for row in lines)
        write_text(self.folder / _LINES[kind], text)

    def ticket(self, line: Round, kind: str = "round") -> Ticket:
        """Returns the ticket of a finished round."""
        number = line.round
        # Masked models have none.
        made = number and self.plan_path(number).exists()
        plan = self.plan_path(number) if made else None
        return Ticket(line, self.model_path(number, kind), plan)


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Yields what differs between two nested settings."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            inner = f"{name}.{key}" if name else key
            yield from differences(old.get(key), new.get(key), inner)
    elif old != new:
        yield f"{name}: {old!r} there, {new!r} now"
