"""A run as a folder: configuration, a line a round, a model a round."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras

from tf_diet.errors import RunFolderError
from tf_diet.files import fresh_folder, replacing, write_bytes, write_text
from tf_diet.pruning.plan import PruningPlan


@dataclass(frozen=True)
class Round:
    """One line of `rounds.jsonl`.

    Args:
        round: its number; 0 is the full model.
        parameters: of the model.
        weights_left: share of the full model's parameters.
        flops: of one call at batch 1, unknown sizes counted one.
        validation_error: after training.
        test_error: after training; None without test data.
        error_multiplier: test error over the full model's; validation error
            over the full model's where there is no test data.
        seconds: by phase: ranking, training, evaluation.
        widths: units left in each group.
    """

    round: int
    parameters: int
    weights_left: float
    flops: int
    validation_error: float
    test_error: float | None
    error_multiplier: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    widths: Mapping[str, int] = field(default_factory=dict)


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


class RunFolder:
    """Reads and writes the files of a run, each whole or not at all.

    Args:
        folder: where the run lives.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def open(self, settings: Mapping[str, Any], *, resume: bool) -> None:
        """Makes the folder, or checks that it holds the same run.

        Raises:
            RunFolderError: it is not empty and `resume` is False, or it
                belongs to a run with other settings; the difference is shown.
        """
        known = self.folder / "run.json"
        if resume and known.exists():
            old = json.loads(known.read_text("utf-8"))["settings"]
            new = json.loads(json.dumps(settings, default=str))
            keys = sorted(set(old) | set(new))
            differ = [
                f"{key}: {old.get(key)!r} there, {new.get(key)!r} now"
                for key in keys
                if old.get(key) != new.get(key)
            ]
            if differ:
                raise RunFolderError(
                    f"The folder {self.folder} belongs to another run. "
                    f"Received: {'; '.join(differ)}. Use the same settings, "
                    "or another folder."
                )
            return
        fresh_folder(
            self.folder,
            hint="Name an empty folder, or pass resume=True to go on.",
        )
        facts = {
            "settings": settings,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "python": platform.python_version(),
            "machine": platform.platform(),
        }
        write_text(known, json.dumps(facts, indent=2, default=str))

    def model_path(self, number: int) -> Path:
        """The trained model of a round."""
        return self.folder / f"round_{number:02d}.keras"

    def early_path(self, number: int) -> Path:
        """The model of a round at the early epoch."""
        return self.folder / f"early_{number:02d}.keras"

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

    def rounds(self) -> list[Round]:
        """Returns the finished rounds."""
        path = self.folder / "rounds.jsonl"
        if not path.exists():
            return []
        lines = path.read_text("utf-8").splitlines()
        return [Round(**json.loads(line)) for line in lines]

    def add(self, line: Round) -> None:
        """Files a finished round; its models must be written before."""
        lines = [*self.rounds(), line]
        text = "".join(json.dumps(asdict(row)) + "\n" for row in lines)
        write_text(self.folder / "rounds.jsonl", text)

    def ticket(self, line: Round) -> Ticket:
        """Returns the ticket of a finished round."""
        number = line.round
        plan = self.plan_path(number) if number else None
        return Ticket(line, self.model_path(number), plan)
