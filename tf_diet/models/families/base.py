# SPDX-License-Identifier: MIT
"""What every kind of model tells the commands, and where kinds register."""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np

from tf_diet import optional
from tf_diet.arrays import Floats32
from tf_diet.audio import losses, metrics
from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.note_contours import NoteContours
from tf_diet.audio.note_events import NoteEvent
from tf_diet.errors import InputError
from tf_diet.extensions import families as families
from tf_diet.extensions import register_family as register_family
from tf_diet.models.examples import Make
from tf_diet.models.presets import Preset

# Seconds that a note sounds on after it is let go of, at most.
RELEASE = 0.5
# Notes that are made and listened to, at most: pitch takes long to find.
_HEARD = 16


@dataclass(frozen=True)
class Instrument:
    """A trained model as an instrument to play.

    Args:
        model: pruned or not.
        config: of its sizes.
        settings: how it looks at sounds.
        number: of the instrument among those of the training.
        contours: the notes that the training kept.
        pitches: the lowest and the highest MIDI number of the instrument.
        temperature: of what is drawn.
        seed: likewise.
        transpose: semitones that a pitch is moved by.
    """

    model: keras.Model
    config: Any
    settings: Settings
    number: int = 0
    contours: NoteContours | None = None
    pitches: tuple[int, int] | None = None
    temperature: float = 1.0
    seed: int = 0
    transpose: int = 0

    def known(self) -> NoteContours:
        """Returns the notes that the training kept.

        Raises:
            InputError: there are none.
        """
        if self.contours is None:
            raise InputError(
                "Notes need the file templates.npz, which 'tf-diet train' "
                "writes beside the model. Received: a folder without it."
            )
        return self.contours

    def nearest(self, note: NoteEvent) -> tuple[int, int, int]:
        """Returns the training note most like one: number, pitch, velocity."""
        known = self.known()
        found = known.nearest(self.number, note.pitch, note.velocity)
        _, pitch, velocity = known.labels[found].tolist()
        return found, pitch, velocity


def _as_they_are(data: Any) -> Any:
    return data


@dataclass(frozen=True, eq=False)
class Deployable:
    """What of a model runs on a board.

    Args:
        model: the part that is converted.
        sample_rate: samples of audio a second, where it makes sound.
        hop: samples of audio that one call stands for, where it makes sound.
        settings: more constants for the C++ side, such as `harmonics`.
        example: the sketch that plays it; decided by the converted model
            where it is empty.
        inputs: makes the part's calibration data of the model's.
    """

    model: keras.Model
    sample_rate: int | None = None
    hop: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    example: str = ""
    inputs: Callable[[Any], Any] = _as_they_are


@dataclass(frozen=True)
class Stage:
    """A part of a training, which trains a model of its own.

    Args:
        name: of the stage.
        build: returns its model, fresh or from those of the stages before
            and the training clips.
        examples: makes one example of a clip.
        whole: returns inputs and targets of whole clips, to judge on.
        loss: what is trained on.
        rate: the largest learning rate.
        share: of all steps.
    """

    name: str
    build: Callable[[Mapping[str, keras.Model], Extracted], keras.Model]
    examples: Make
    whole: Callable[[Extracted], tuple[Any, Any]]
    loss: keras.losses.Loss
    rate: float
    share: float = 1.0


class Family(abc.ABC):
    """A kind of model.

    Attributes:
        config: of its sizes.
        features: of sounds that it needs, see `extract`.
        batch: examples a step.
        epoch: steps between two looks at held-out clips.
        warmup: steps in which the learning rate rises.
        jit: compile a step with XLA on TensorFlow, where that is faster.
    """

    config: ClassVar[type[Preset]]
    features: ClassVar[tuple[str, ...]]
    batch: ClassVar[int] = 8
    epoch: ClassVar[int] = 250
    warmup: ClassVar[int] = 500
    jit: ClassVar[bool] = True

    def needed(self, config: Any) -> tuple[str, ...]:
        """Returns the features that a model of these sizes needs."""
        return self.features

    def contours(self, config: Any) -> tuple[str, ...]:
        """Returns the features whose contour over a note it must be told."""
        return ()

    @abc.abstractmethod
    def settings(self, config: Any, seconds: float) -> Settings:
        """Returns how sounds are looked at."""

    @abc.abstractmethod
    def build(self, config: Any) -> keras.Model:
        """Returns a fresh model."""

    def fitted(self, config: Any, dataset: Extracted) -> Any:
        """Returns a configuration for the instruments of a set.

        One alone needs no input.
        """
        number = len(dataset.instruments)
        return replace(config, instruments=number if number > 1 else 0)

    @abc.abstractmethod
    def examples(self, config: Any) -> Make:
        """Returns what makes one example of a clip."""

    @abc.abstractmethod
    def whole(self, config: Any, dataset: Extracted) -> tuple[Any, Any]:
        """Returns inputs and targets of whole clips, to judge on."""

    @abc.abstractmethod
    def loss(self, config: Any) -> keras.losses.Loss:
        """Returns what is trained on."""

    def rate(self, config: Any) -> float:
        """Returns the largest learning rate."""
        return 1e-3

    @classmethod
    def owns(cls, model: keras.Model) -> bool:
        """Says whether a model is of this family, and deployed as it says."""
        return False

    def deployable(self, model: keras.Model) -> Deployable:
        """Returns what of a model runs on a board."""
        return Deployable(model)

    def stages(self, config: Any) -> tuple[Stage, ...]:
        """Returns what is trained in turn; the last is the model itself."""
        return (
            Stage(
                "model",
                lambda before, train: self.build(config),
                self.examples(config),
                partial(self.whole, config),
                self.loss(config),
                self.rate(config),
            ),
        )

    def compile(self, model: keras.Model, stage: Stage, steps: int) -> None:
        """Compiles a model for a stage of so many steps.

        The rate rises for `warmup` steps, or a tenth of all, and falls along
        a cosine.
        """
        rising = min(self.warmup, max(1, steps // 10))
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, steps - rising),
            warmup_target=stage.rate,
            warmup_steps=rising,
        )
        model.compile(
            keras.optimizers.Adam(schedule, global_clipnorm=3.0),
            stage.loss,
            jit_compile=self.jit,
        )

    def figures(
        self, model: keras.Model, config: Any, dataset: Extracted
    ) -> dict[str, float]:
        """Returns how good a trained model is, by name and unit.

        For models whose outputs are sounds.
        """
        x, y = self.whole(config, dataset)
        return self.compared(config, y, self.predicted(model, x))

    @abc.abstractmethod
    def baselines(
        self, config: Any, train: Extracted, dataset: Extracted
    ) -> dict[str, dict[str, float]]:
        """Returns what trivial models come to, under the same names."""

    @abc.abstractmethod
    def play(
        self, instrument: Instrument, notes: Sequence[NoteEvent]
    ) -> list[Floats32]:
        """Returns the sound of each note, its release included.

        Raises:
            InputError: it cannot play notes.
        """

    @abc.abstractmethod
    def resynthesize(self, instrument: Instrument, audio: Floats32) -> Floats32:
        """Returns a recorded sound as the model makes it.

        Raises:
            InputError: it cannot.
        """

    def predicted(self, model: keras.Model, x: Any) -> Floats32:
        """Returns what a model makes of inputs, a batch at a time."""
        return np.asarray(model.predict(x, batch_size=self.batch, verbose=0))

    def compared(
        self, config: Any, y_true: Floats32, y_pred: Floats32
    ) -> dict[str, float]:
        """Returns what is measured of sounds, whatever made them."""
        loss = self.loss(config)
        found = [
            float(loss(one[None], other[None]))
            for one, other in zip(y_true, y_pred, strict=True)
        ]
        return {
            "loss": float(np.mean(found)),
            **self.heard_apart(config, y_true, y_pred),
        }

    def heard_apart(
        self, config: Any, y_true: Floats32, y_pred: Floats32
    ) -> dict[str, float]:
        """Returns how far sounds are apart, in what an ear tells.

        ViSQOL of the first few, where its extra is installed.
        """
        rate = self.settings(config, 1.0).sample_rate
        found = {
            "loudness error (dB)": losses.loudness_error(y_true, y_pred, rate),
            "log-spectral distance (dB)": metrics.log_spectral_distance(
                y_true, y_pred
            ),
        }
        if optional.installed("visqol"):
            pair = y_true[:_HEARD], y_pred[:_HEARD]
            found["ViSQOL"] = metrics.visqol(*pair, rate)
        return found

    def heard(self, dataset: Extracted) -> Extracted:
        """Returns a few notes of known pitch, to listen to what is made."""
        known = [c for c in dataset.clips if c.note.pitch is not None]
        at = np.linspace(0, len(known) - 1, min(_HEARD, len(known)))
        chosen = tuple(known[i] for i in at.round().astype(int))
        return replace(dataset, clips=chosen)

    def in_tune(
        self, dataset: Extracted, y_true: Floats32, y_pred: Floats32
    ) -> dict[str, float]:
        """Returns how often notes sound their pitch where recordings do.

        Nothing, where no recording sounds the pitch that it is named by.
        """
        rate = dataset.settings.sample_rate
        pitch = np.array([clip.note.pitch for clip in dataset.clips])
        counted = metrics.sounding(y_true, pitch, rate) if len(pitch) else pitch
        if not counted.any():
            return {}
        return {
            f"in tune (of {len(pitch)})": metrics.pitch_accuracy(
                y_pred, pitch, rate, counted=counted
            )
        }


def frames_of(seconds: float, settings: Settings, hop: int) -> int:
    """Returns the frames that a time takes, at least one."""
    return max(1, round(seconds * settings.sample_rate / hop))
