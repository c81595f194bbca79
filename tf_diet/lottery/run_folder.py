# SPDX-License-Identifier: MIT
"""A run as a folder: configuration, a line a round, a model a round."""

import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_diet.errors import RunFolderError
from tf_diet.files import write_bytes, write_text
from tf_diet.training.folder import ResumableFolder

# Runs are listed without Keras.
if TYPE_CHECKING:
    import keras

    from tf_diet.pruning.plan import PruningPlan

_START = "start.keras"
_NAMED, _UNNUMBERED = "layers, names and widths", "layers and widths"
_EVERY = re.compile(r", every='(\w+)'")
_LINES = {"round": "rounds.jsonl", "scratch": "scratch.jsonl"}


@dataclass(frozen=True)
class Round:
    """One line of `rounds.jsonl`.

    Args:
        round: its number; 0 is the full model.
        parameters: of the model.
        weights_left: share of the full model's parameters, of those that
            count: see `tf_diet.plan`.
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
        constants: how many of the parameters no share counts.
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
    constants: int = 0


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

    def load(self) -> "keras.Model":
        """Returns the trained model."""
        import keras

        return keras.models.load_model(self.path)

    def plan(self) -> "PruningPlan | None":
        """Returns the plan that led here from the round before."""
        from tf_diet.pruning.plan import PruningPlan

        if self.plan_path is None:
            return None
        return PruningPlan.from_json(self.plan_path.read_text("utf-8"))

    def __repr__(self) -> str:
        line = self.line
        return (
            f"<Ticket round {line.round}: {line.weights_left:.1%} of the "
            f"weights, error x {line.error_multiplier:.3f}>"
        )


class RunFolder(ResumableFolder):
    """Reads and writes the files of a run, each whole or not at all.

    Args:
        folder: where the run lives.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__(folder, "run.json", "run")

    def open(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        resume: bool,
        overwrite: bool = False,
        opening: frozenset[str] = frozenset({_START}),
    ) -> Mapping[str, Any] | None:
        """Says whether there is a run to go on with; call it while locked.

        Args and errors are those of `ResumableFolder.open`. The schedule of
        the diet may differ: whoever goes on compares it with the rounds.
        """
        if resume:
            self._remove_filed_states()
        return super().open(
            settings, resume=resume, overwrite=overwrite, opening=opening
        )

    def recorded(self) -> Mapping[str, Any] | None:
        """Returns the settings of the run; None where none was begun."""
        read = super().recorded()
        return None if read is None else read["settings"]

    def _check_same(self, old: Any, new: Any) -> None:
        # Whether another schedule may go on is seen from the rounds.
        old, new = _comparable(old), _comparable(new)
        # Runs of before know names alone, limits and teachers name layers.
        numbered = old.get(_UNNUMBERED) is None or any(
            new["diet"].get(name, "None") != "None"
            for name in ("limits", "distill")
        )
        ignored = _UNNUMBERED if numbered else _NAMED
        old.pop(ignored, None)
        new.pop(ignored, None)
        super()._check_same(old, new)

    def forget(self, number: int) -> None:
        """Removes what there is of a round that is not filed yet."""
        self.state_path(f"round_{number:02d}").unlink(missing_ok=True)
        for path in self.folder.glob(f"retry_{number:02d}_*.keras"):
            path.unlink()
        # This is how a round that was begun is told.
        self.early_path(number).unlink(missing_ok=True)

    def reschedule(self, settings: Mapping[str, Any]) -> None:
        """Records settings that differ in the schedule of the diet alone."""
        facts = json.loads(self.record.read_text("utf-8"))
        facts["settings"] = settings
        write_text(self.record, json.dumps(facts, indent=2, default=str))

    def _remove_filed_states(self) -> None:
        """Removes the states of rounds that are filed: a kill may leave one."""
        for kind in _LINES:
            for line in self.rounds(kind):
                name = f"{kind}_{line.round:02d}"
                self.state_path(name).unlink(missing_ok=True)

    def begin(self, model: "keras.Model", settings: Mapping[str, Any]) -> None:
        """Writes what a run starts from; its configuration last."""
        import keras
        import numpy as np

        from tf_diet.training.saving import save_model

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
        write_text(self.record, text)

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


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what must be the same for a run to go on.

    Runs of before say in the reset what the schedule counts, and the command
    line gave the early moment that the resets have by themselves.
    """
    diet = dict(settings.get("diet", {}))
    diet.pop("schedule", None)
    reset = str(diet.get("reset", ""))
    every = _EVERY.search(reset)
    diet.setdefault("prune_every", repr(every[1] if every else "training"))
    diet["reset"] = _EVERY.sub("", reset).replace(
        "epoch=2.0, step=None, share=None", "epoch=None, step=None, share=None"
    )
    return {**settings, "diet": diet}
