# SPDX-License-Identifier: MIT
"""SING: notes from their symbols, and its auto-encoder alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Floats32
from tf_diet.audio import baselines
from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.log_power import LogPowerSpectralLoss
from tf_diet.audio.note_contours import gain
from tf_diet.audio.note_events import NoteEvent
from tf_diet.errors import InputError
from tf_diet.extensions import register_family
from tf_diet.models.examples import (
    Make,
    note_symbols,
    of_length,
    sing_examples,
    sing_latents,
    sing_notes,
)
from tf_diet.models.families.base import (
    RELEASE,
    Family,
    Instrument,
    Stage,
)
from tf_diet.models.sing_network import (
    SINGConfig,
    encoder,
    latent_distance,
    sing,
    sing_autoencoder,
)

# Fades a note that is let go of, in dB over its release.
_FALL = 60.0
# Semitones that a note is moved by in training at most, and may be played
# beside those that it was trained on: formants move with it.
_SHIFT = 3
# Velocities are MIDI's own; 0 stands for notes without one.
_VELOCITIES = 128
# Clips that tell how large the latents are, at most.
_SCALED = 64


class _SING(Family):
    """What both have in common."""

    config = SINGConfig
    features = ("audio",)

    def settings(self, config: SINGConfig, seconds: float) -> Settings:
        """Returns settings with a stride of the model for all frames."""
        return Settings(
            hop=config.stride, mel_hop=config.stride, seconds=seconds
        )

    def sounds(self, config: SINGConfig, dataset: Extracted) -> Floats32:
        """Returns clips as long as the model makes them."""
        return of_length(dataset.arrays(["audio"])["audio"], config.samples)

    def loss(self, config: SINGConfig) -> keras.losses.Loss:
        """Returns the log-power loss of the paper."""
        return LogPowerSpectralLoss()

    def figures(
        self, model: keras.Model, config: SINGConfig, dataset: Extracted
    ) -> dict[str, float]:
        """Returns distances to the recorded sounds, and what is in tune."""
        x, _ = self.whole(config, dataset)
        return self._figures(config, dataset, self.predicted(model, x))

    def baselines(
        self, config: SINGConfig, train: Extracted, dataset: Extracted
    ) -> dict[str, dict[str, float]]:
        """Returns figures of silence and of the nearest training note."""
        nearest = baselines.nearest_notes(
            train.labels(), dataset.labels(), self.sounds(config, train)
        )
        y = self.sounds(config, dataset)
        return {
            "nearest training note": self._figures(config, dataset, nearest),
            "silence": self.compared(config, y, np.zeros_like(y)),
        }

    def _figures(
        self, config: SINGConfig, dataset: Extracted, made: Floats32
    ) -> dict[str, float]:
        """Returns how near sounds are to clips, and how well in tune."""
        y, heard = self.sounds(config, dataset), self.heard(dataset)
        chosen = [dataset.clips.index(clip) for clip in heard.clips]
        return {
            **self.compared(config, y, made),
            **self.in_tune(heard, y[chosen], made[chosen]),
        }

    def rate(self, config: SINGConfig) -> float:
        """Returns the published rate for the widest, more for others."""
        return 3e-4 if config.channels >= 2048 else 1e-3


@register_family("sing-autoencoder")
class SINGAutoencoderFamily(_SING):
    """What the structured lottery paper prunes."""

    def build(self, config: SINGConfig) -> keras.Model:
        """Returns a fresh auto-encoder."""
        return sing_autoencoder(config)

    def fitted(self, config: SINGConfig, dataset: Extracted) -> SINGConfig:
        """Returns the configuration: it is not told the instrument."""
        return config

    def examples(self, config: SINGConfig) -> Make:
        """Returns what makes sounds at other levels and moments."""
        return sing_examples(config)

    def whole(self, config: SINGConfig, dataset: Extracted) -> tuple[Any, Any]:
        """Returns sounds as inputs and as targets.

        Shapes:
            (clips, samples), twice.
        """
        audio = self.sounds(config, dataset)
        return audio, audio

    def play(
        self, instrument: Instrument, notes: Sequence[NoteEvent]
    ) -> list[Floats32]:
        """Refuses notes.

        Raises:
            InputError: always.
        """
        raise InputError(
            "SING's auto-encoder plays no notes: it resynthesises sounds. "
            "Received: notes. Give it a sound (--audio), or train --model "
            "sing."
        )

    def resynthesize(self, instrument: Instrument, audio: Floats32) -> Floats32:
        """Returns a sound made block by block, each faded into the next.

        Shapes:
            (samples,), as it was given.
        """
        size, seam = instrument.config.samples, instrument.config.window
        step = size - seam
        blocks = max(1, -(-(len(audio) - seam) // step))
        padded = np.pad(audio, (0, blocks * step + seam - len(audio)))
        made = self.predicted(
            instrument.model,
            np.stack([padded[i * step :][:size] for i in range(blocks)]),
        )
        rise = np.linspace(0, 1, seam, dtype=np.float32)
        made[1:, :seam] *= rise
        made[:-1, -seam:] *= 1 - rise
        whole = np.zeros(len(padded), np.float32)
        for i, block in enumerate(made):
            whole[i * step : i * step + size] += block
        return whole[: len(audio)]


@register_family("sing")
class SINGFamily(_SING):
    """Symbols to sound, trained in three stages."""

    def build(self, config: SINGConfig) -> keras.Model:
        """Returns a fresh model, from symbols to sound."""
        return sing(config)

    def fitted(self, config: SINGConfig, dataset: Extracted) -> SINGConfig:
        """Returns sizes for the instruments and velocities of a set.

        Raises:
            InputError: the pitch of a note is not known.
        """
        for clip in dataset.clips:
            if clip.note.pitch is None:
                raise InputError(
                    "SING is told the pitch of every note. Received: "
                    f"{clip.note.name!r} without one. Name files by their "
                    "notes (violin_A4.wav), or train --model "
                    "sing-autoencoder, which is told nothing."
                )
        return replace(
            config,
            instruments=len(dataset.instruments),
            velocities=_VELOCITIES,
        )

    def stages(self, config: SINGConfig) -> tuple[Stage, ...]:
        """Returns auto-encoder, generator, and both ends together.

        Source:
            Defossez et al., NeurIPS 2018, section 4.
        """
        first = SINGAutoencoderFamily()
        rate, loss = self.rate(config), self.loss(config)
        return (
            Stage(
                "autoencoder",
                lambda before, train: first.build(config),
                first.examples(config),
                partial(first.whole, config),
                loss,
                rate,
                share=0.3,
            ),
            Stage(
                "generator",
                partial(self._generator, config),
                sing_latents(config, _SHIFT),
                partial(self._latents, config),
                keras.losses.MeanSquaredError(),
                rate,
                share=0.2,
            ),
            Stage(
                "model",
                lambda before, train: sing(config, *before.values()),
                self.examples(config),
                partial(self.whole, config),
                loss,
                # Both ends are near where they should be.
                rate / 3,
                share=0.5,
            ),
        )

    def examples(self, config: SINGConfig) -> Make:
        """Returns what makes notes, at pitches beside their own too."""
        return sing_notes(config, _SHIFT)

    def whole(self, config: SINGConfig, dataset: Extracted) -> tuple[Any, Any]:
        """Returns the symbols of notes and their sounds.

        Shapes:
            integers (clips, frames) each; sounds (clips, samples).
        """
        return note_symbols(config, dataset.labels()), self.sounds(
            config, dataset
        )

    def _generator(
        self,
        config: SINGConfig,
        before: Mapping[str, keras.Model],
        train: Extracted,
    ) -> keras.Model:
        """Builds the model of the second stage."""
        autoencoder = before["autoencoder"]
        every = -(-len(train) // _SCALED)
        some = replace(train, clips=tuple(train.clips[::every]))
        latents = self.predicted(
            encoder(autoencoder), self.sounds(config, some)
        )
        scale = float(np.sqrt(np.mean(latents**2)))
        return latent_distance(config, autoencoder, max(scale, 1e-6))

    def _latents(
        self, config: SINGConfig, dataset: Extracted
    ) -> tuple[Any, Any]:
        """Returns `whole` of the second stage."""
        x, audio = self.whole(config, dataset)
        none = (len(audio), config.frames, config.latent)
        return {**x, "audio": audio}, np.zeros(none, np.float32)

    def play(
        self, instrument: Instrument, notes: Sequence[NoteEvent]
    ) -> list[Floats32]:
        """Returns notes, each as long as it is held, then faded.

        Shapes:
            (samples,) each.

        Raises:
            InputError: a note is longer than a sound of the model, or too far
                from the pitches that it was trained on.
        """
        rate = instrument.settings.sample_rate
        longest = instrument.config.samples / rate
        for note in notes:
            if note.seconds > longest:
                raise InputError(
                    f"SING makes sounds of {longest:.1f} s. Received: a note "
                    f"of {note.seconds:.1f} s. Play shorter notes."
                )
        velocities = [instrument.nearest(note)[2] for note in notes]
        pitches = instrument.known().labels[:, 1]
        strange = {
            note.pitch
            for note in notes
            if np.abs(pitches - note.pitch).min() > _SHIFT
        }
        if strange:
            raise InputError(
                "SING plays the pitches that it was trained on, and up to "
                f"{_SHIFT} semitones beside them. Received: MIDI "
                f"{', '.join(map(str, sorted(strange)))}. Transpose the "
                "piece."
            )
        told = [
            (instrument.number, note.pitch, velocity)
            for note, velocity in zip(notes, velocities, strict=True)
        ]
        made = self.predicted(
            instrument.model, note_symbols(instrument.config, told)
        )
        release = np.arange(round(RELEASE * rate)) / (RELEASE * rate)
        fall = (10 ** (-_FALL / 20 * release)).astype(np.float32)
        sounds = []
        for sound, note, velocity in zip(made, notes, velocities, strict=True):
            held = round(note.seconds * rate)
            level = 10 ** (gain(note.velocity, velocity) / 20)
            played = sound[: held + len(fall)] * np.float32(level)
            played[held:] *= fall[: len(played) - held]
            sounds.append(played)
        return sounds

    def resynthesize(self, instrument: Instrument, audio: Floats32) -> Floats32:
        """Refuses sounds: the model is told symbols alone.

        Raises:
            InputError: always.
        """
        raise InputError(
            "SING plays notes; its auto-encoder alone resynthesises sounds. "
            "Received: a sound. Give notes (--notes, --midi), or train "
            "--model sing-autoencoder."
        )
