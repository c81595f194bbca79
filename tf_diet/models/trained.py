# SPDX-License-Identifier: MIT
"""What `tf-diet train` left in a folder, ready to measure or to play."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Floats32
from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.extraction import extract
from tf_diet.audio.note_contours import NoteContours
from tf_diet.audio.note_events import NoteEvent, mixed, within
from tf_diet.audio.reading import UnusableError, audible, read_audio
from tf_diet.audio.sources import Source
from tf_diet.errors import InputError
from tf_diet.extensions import families
from tf_diet.models.families import Family, Instrument

# Share of a second in which the end of a note is faded out.
_FADE = 0.2


def ranges(train: Extracted) -> dict[str, list[int]]:
    """Returns the lowest and highest pitch of each instrument, where known."""
    found: dict[str, list[int]] = {}
    for clip in train.clips:
        if clip.note.pitch is not None:
            low, high = found.get(clip.note.instrument, (128, -1))
            pitch = clip.note.pitch
            found[clip.note.instrument] = [min(low, pitch), max(high, pitch)]
    return found


@dataclass(frozen=True)
class Trained:
    """A training that came to its end.

    Args:
        folder: where it is.
        facts: what `config.json` says.
        model: the trained one, or a pruned copy.
        validation_loss: on the clips held out as "valid"; None where the
            training was read from its folder.
    """

    folder: Path
    facts: dict[str, Any]
    model: keras.Model
    validation_loss: float | None = None

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        ticket: str | os.PathLike[str] | None = None,
    ) -> "Trained":
        """Reads a folder.

        Args:
            folder: that `tf-diet train` was given as `-o`.
            ticket: a pruned copy of its model, to use instead of it.

        Raises:
            InputError: there is no training, its model cannot be read, or is
                of another configuration.
        """
        folder = Path(folder)
        try:
            text = (folder / "config.json").read_text("utf-8")
            facts = dict(json.loads(text))
            family = families.get(facts["model"])()
            config = family.config(**facts["config"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"There is no training here. Received: {folder}: {error}. "
                "Name the folder that 'tf-diet train' was given as -o."
            ) from error
        path = Path(ticket) if ticket is not None else folder / "model.keras"
        model = read_model(
            path,
            "A training that has not ended goes on with 'tf-diet train "
            "--resume'.",
        )
        if ticket is not None:
            _same_ends(path, model, family.build(config))
        return cls(folder, facts, model)

    def __repr__(self) -> str:
        loss = self.validation_loss
        judged = "" if loss is None else f", loss {loss:.4f} on held-out clips"
        return (
            f"<Trained {self.facts['model']} in {self.folder}: "
            f"{self.model.count_params():,} parameters{judged}>"
        )

    @property
    def family(self) -> Family:
        """The kind of model."""
        return families.get(self.facts["model"])()

    @property
    def config(self) -> Any:
        """The configuration, with the sizes before any pruning."""
        return self.family.config(**self.facts["config"])

    @property
    def settings(self) -> Settings:
        """How it looks at sounds."""
        return Settings(**self.facts["settings"])

    def parts(
        self,
        source: Source,
        *,
        cache: str | os.PathLike[str] | None = None,
        jobs: int | None = None,
    ) -> dict[str, Extracted]:
        """Returns the clips of sounds, split as for the training.

        Args:
            source: the sounds that it was trained on.
            cache: a folder that keeps features.
            jobs: processes for features.

        Raises:
            InputError: they are of other instruments.
        """
        held = extract(
            source,
            self.family.needed(self.config),
            self.settings,
            cache=cache,
            jobs=jobs,
        )
        if list(held.instruments) != self.facts["instruments"]:
            raise InputError(
                "The sounds are of other instruments than the model was "
                f"trained on. Received: {', '.join(held.instruments)} for "
                f"{', '.join(self.facts['instruments'])}. Name the folder "
                "that it was trained on."
            )
        return held.split(self.facts["split"], seed=self.facts["seed"])

    def instrument(
        self,
        name: str | None = None,
        *,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Instrument:
        """Returns the model as an instrument.

        Args:
            name: of the instrument; the first when left out.
            temperature: of codes that are drawn (WaveNet).
            seed: likewise.

        Raises:
            InputError: the instrument is unknown.
        """
        names = self.facts["instruments"]
        name = names[0] if name is None else name
        if name not in names:
            raise InputError(
                "The model was not trained on this instrument. Received: "
                f"{name!r}. Known: {', '.join(names)}."
            )
        kept = self.folder / "templates.npz"
        pitches = self.facts.get("pitches", {}).get(name)
        return Instrument(
            model=self.model,
            config=self.config,
            settings=self.settings,
            number=names.index(name),
            contours=NoteContours.load(kept) if kept.exists() else None,
            pitches=tuple(pitches) if pitches else None,
            temperature=temperature,
            seed=seed,
        )

    def play(
        self,
        instrument: Instrument,
        notes: Sequence[NoteEvent],
        outside: str = "refuse",
    ) -> Floats32:
        """Returns a piece.

        Args:
            instrument: from `instrument`.
            notes: to play.
            outside: what to do with notes outside the range that was trained
                on, see `tf_diet.audio.note_events.within`.

        Shapes:
            Returns (samples,).

        Raises:
            InputError: notes are outside the range, or it plays no notes.
        """
        rate = self.settings.sample_rate
        if instrument.pitches:
            notes = within(notes, *instrument.pitches, outside)
        fade = round(_FADE * rate)
        sounds = []
        for sound in self.family.play(instrument, notes):
            end = min(fade, len(sound))
            fall = 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, end))
            faded = np.array(sound, np.float32)
            faded[len(sound) - end :] *= fall
            sounds.append(faded)
        return mixed(notes, sounds, rate)

    def resynthesize(
        self,
        instrument: Instrument,
        path: str | os.PathLike[str],
        transpose: int = 0,
    ) -> Floats32:
        """Returns a recorded sound as the model makes it.

        Args:
            instrument: from `instrument`.
            path: an audio file.
            transpose: semitones, for models that are told a pitch.

        Shapes:
            Returns (samples,).

        Raises:
            InputError: the file cannot be used, or the model cannot
                resynthesise sounds.
        """
        longest = max(self.settings.hop, self.settings.mel_hop)
        try:
            audio = audible(
                read_audio(path, self.settings.sample_rate, least=longest)
            )
        except UnusableError as reason:
            raise InputError(
                f"The sound cannot be used. Received: {path}: {reason}."
            ) from reason
        return self.family.resynthesize(
            replace(instrument, transpose=transpose), audio
        )


def read_model(
    path: str | os.PathLike[str], advice: str, *, compiled: bool = True
) -> keras.Model:
    """Reads a `.keras` file.

    Args:
        path: of the file.
        advice: what to do where that fails.
        compiled: with its loss and optimizer, where they can be read too.

    Raises:
        InputError: it cannot be read.
    """
    try:
        try:
            return keras.models.load_model(path, compile=compiled)
        except (ValueError, TypeError):
            # A loss of the user's own need not be known to use the model.
            if not compiled:
                raise
            return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        first = (str(error) or repr(error)).splitlines()[0]
        raise InputError(
            f"The model cannot be read. Received: {path}: {first} {advice}"
        ) from error


def _same_ends(path: Path, model: keras.Model, built: keras.Model) -> None:
    """Says that a model is not a pruned copy of what the folder trained."""
    ends = [
        {t.name: tuple(t.shape) for t in m.inputs}
        | {"output": tuple(m.output_shape)}
        for m in (built, model)
    ]
    if ends[0] != ends[1]:
        raise InputError(
            f"The model is of another configuration. Received: {path} with "
            f"{ends[1]}, for a training of {ends[0]}. Name a pruned copy of "
            "the folder's own model."
        )
