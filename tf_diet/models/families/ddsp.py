# SPDX-License-Identifier: MIT
"""DDSP: pitch and loudness to sound."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from tf_diet.audio import features
from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.audio.scores import NoteEvent
from tf_diet.audio.templates import gain
from tf_diet.audio.tuning import hertz
from tf_diet.extensions import register_family
from tf_diet.models.ddsp import DDSPConfig, ddsp, static_envelope
from tf_diet.models.examples import (
    Make,
    ddsp_clips,
    ddsp_examples,
    ddsp_inputs,
)
from tf_diet.models.families.base import (
    RELEASE,
    Family,
    Playing,
    frames_of,
)

_STATIC_STEPS = 600
# Longer sounds are made in pieces of about this many seconds.
_PIECE = 30.0
# Where pieces meet, in seconds.
_SEAM = 0.01


@register_family("ddsp")
class DDSPFamily(Family):
    """Pitch and loudness to sound."""

    config = DDSPConfig
    features = ("audio", "f0", "loudness")
    # XLA makes it slower on CPUs.
    jit = False

    def needed(self, config: DDSPConfig) -> tuple[str, ...]:
        """See `Family.needed`."""
        return (*self.features, *(("mfcc",) if config.latent else ()))

    def courses(self, config: DDSPConfig) -> tuple[str, ...]:
        """See `Family.courses`."""
        return ("f0", "loudness", *(("mfcc",) if config.latent else ()))

    def settings(self, config: DDSPConfig, seconds: float) -> Settings:
        """See `Family.settings`."""
        return Settings(config.sample_rate, config.hop, config.hop, seconds)

    def build(self, config: DDSPConfig) -> keras.Model:
        """See `Family.build`."""
        return ddsp(config)

    def examples(self, config: DDSPConfig) -> Make:
        """See `Family.examples`."""
        return ddsp_examples(latent=bool(config.latent))

    def whole(self, config: DDSPConfig, held: Extracted) -> tuple[Any, Any]:
        """See `Family.whole`."""
        return ddsp_clips(config, held)

    def loss(self, config: DDSPConfig) -> keras.losses.Loss:
        """See `Family.loss`."""
        return MultiScaleSpectralLoss()

    def baselines(
        self, config: DDSPConfig, train: Extracted, held: Extracted
    ) -> dict[str, dict[str, float]]:
        """See `Family.baselines`: one spectrum an instrument, trained."""
        model = static_envelope(config)
        schedule = keras.optimizers.schedules.CosineDecay(3e-2, _STATIC_STEPS)
        model.compile(
            keras.optimizers.Adam(schedule, global_clipnorm=3.0),
            self.loss(config),
            jit_compile=False,
        )
        batches = train.batches(
            self.examples(config), batch=self.batch, steps=_STATIC_STEPS
        )
        model.fit(batches, verbose=0)
        x, y = self.whole(config, held)
        x = {tensor.name: x[tensor.name] for tensor in model.inputs}
        return {
            "static envelope": self.compared(
                config, y, self.predicted(model, x)
            ),
            "silence": self.compared(config, y, np.zeros_like(y)),
        }

    def rate(self, config: DDSPConfig) -> float:
        """See `Family.rate`; docs/results/ddsp_training.md has the trials."""
        return 3e-4 if config.hidden >= 512 else 2e-3

    def play(
        self, playing: Playing, notes: Sequence[NoteEvent]
    ) -> list[np.ndarray]:
        """See `Family.play`."""
        courses = [self._course(playing, note) for note in notes]
        sounds: dict[int, np.ndarray] = {}
        # Notes of like lengths side by side.
        order = sorted(range(len(notes)), key=lambda i: len(courses[i]["f0"]))
        for start in range(0, len(order), self.batch):
            some = order[start : start + self.batch]
            longest = len(courses[some[-1]]["f0"])
            found = {
                name: np.stack(
                    [_longer(courses[i][name], longest) for i in some]
                )
                for name in courses[some[0]]
            }
            made = _made(playing, found)
            for i, sound in zip(some, made, strict=True):
                sounds[i] = sound[: len(courses[i]["f0"]) * playing.config.hop]
        return [sounds[i] for i in range(len(notes))]

    def _course(
        self, playing: Playing, note: NoteEvent
    ) -> dict[str, np.ndarray]:
        """Returns what the model is told of a note, frame by frame."""
        known, hop = playing.known(), playing.config.hop
        nearest, pitch, velocity = playing.nearest(note)
        held = frames_of(note.seconds, playing.settings, hop)
        release = frames_of(RELEASE, playing.settings, hop)
        level = known.features["loudness"][nearest]
        found = {
            name: known.course(nearest, name, held, release, level)
            for name in self.courses(playing.config)
        }
        found["f0"] = found["f0"] * 2 ** ((note.pitch - pitch) / 12)
        louder = gain(note.velocity, velocity)
        found["loudness"] = np.maximum(
            found["loudness"] + louder, features.FLOOR
        )
        return found

    def again(self, playing: Playing, audio: np.ndarray) -> np.ndarray:
        """See `Family.again`: the timbre of one on the notes of another."""
        config, rate = playing.config, playing.settings.sample_rate
        hop = config.hop
        audio = audio[: len(audio) // hop * hop]
        # From below a bass to above what it was trained on.
        highest = hertz(max(playing.pitches or (0, 84)) + 3)
        found = {
            "f0": features.fundamental(
                audio, rate, hop, low=50.0, high=min(highest, 0.49 * rate)
            )[0],
            "loudness": features.loudness(audio, rate, hop),
        }
        if config.latent:
            found["mfcc"] = features.mfcc(audio, rate, hop)
        found["f0"] = found["f0"] * np.float32(2 ** (playing.transpose / 12))
        seam = round(_SEAM * rate)
        pieces = [
            _made(playing, {n: v[None, a:b] for n, v in found.items()})[0]
            for a, b in _pieces(found["loudness"], round(_PIECE * rate / hop))
        ]
        rise = np.linspace(0, 1, seam, dtype=np.float32)
        for before, after in pairwise(pieces):
            before[-seam:] *= 1 - rise
            after[:seam] *= rise
        return np.concatenate(pieces)


def _made(playing: Playing, found: Mapping[str, np.ndarray]) -> np.ndarray:
    instrument = np.full(len(found["f0"]), playing.instrument)
    x = ddsp_inputs(playing.config, found, instrument)
    # Lengths differ from call to call: nothing is compiled for one alone.
    return np.array(keras.ops.convert_to_numpy(playing.model(x)))


def _longer(values: np.ndarray, frames: int) -> np.ndarray:
    widths = ((0, frames - len(values)), *[(0, 0)] * (values.ndim - 1))
    return np.pad(values, widths, mode="edge")


def _pieces(loudness: np.ndarray, frames: int) -> list[tuple[int, int]]:
    """Cuts where it is quietest, into pieces of no more than so many frames."""
    cuts = [0]
    while len(loudness) - cuts[-1] > frames:
        first = cuts[-1] + frames // 2
        window = loudness[first : cuts[-1] + frames]
        cuts.append(first + int(np.argmin(window)))
    return list(zip(cuts, [*cuts[1:], len(loudness)], strict=True))
