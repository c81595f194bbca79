# SPDX-License-Identifier: MIT
"""WaveNet: the next code from those before it."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Floats32
from tf_diet.audio import baselines, features, mu_law
from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.metrics import BitsPerSample
from tf_diet.audio.note_contours import gain
from tf_diet.audio.note_events import NoteEvent
from tf_diet.errors import InputError
from tf_diet.extensions import register_family
from tf_diet.models.examples import Make, wavenet_examples
from tf_diet.models.families.base import (
    RELEASE,
    Family,
    Instrument,
    frames_of,
)
from tf_diet.models.wavenet_network import WaveNetConfig, wavenet
from tf_diet.models.wavenet_sampling import generate

_BITS = "bits a sample"
# Semitones by which a note is moved, in training and in playing, at most.
_SHIFT = 5.0


@register_family("wavenet")
class WaveNetFamily(Family):
    """The next code from those before it."""

    config = WaveNetConfig
    features = ("audio", "log_mel")
    # Many small steps: in a given time they come further than few large ones.
    batch = 2
    epoch = 2000

    def contours(self, config: WaveNetConfig) -> tuple[str, ...]:
        """Returns log-mel frames, where the model is conditioned on them."""
        return ("log_mel",) if config.conditioning else ()

    def settings(self, config: WaveNetConfig, seconds: float) -> Settings:
        """Returns settings with the hop of the model for log-mel frames."""
        return Settings(mel_hop=config.hop, seconds=seconds)

    def build(self, config: WaveNetConfig) -> keras.Model:
        """Returns a fresh model."""
        return wavenet(config)

    def examples(self, config: WaveNetConfig) -> Make:
        """Returns what crops 60 ms and a receptive field out of clips."""
        least = -(-(config.receptive_field + 1000) // config.hop)
        return wavenet_examples(
            config, frames=least, shift=_SHIFT, noise=2.0, unheard=1.0
        )

    def whole(
        self, config: WaveNetConfig, dataset: Extracted
    ) -> tuple[Any, Any]:
        """Returns inputs and the codes to be predicted of whole clips.

        Shapes:
            codes (clips, samples), conditioning (clips, frames, bands),
            instrument (clips, 1); targets (clips, samples).
        """
        found = dataset.arrays(["audio", "log_mel", "instrument"])
        codes = mu_law.encode(found["audio"], config.classes)
        inputs, targets = mu_law.teacher(codes, config.classes)
        x: dict[str, Any] = {"codes": inputs}
        if config.conditioning:
            x["conditioning"] = found["log_mel"]
        if config.instruments:
            x["instrument"] = found["instrument"][:, None]
        return x, targets

    def loss(self, config: WaveNetConfig) -> keras.losses.Loss:
        """Returns cross-entropy in bits a sample."""
        return BitsPerSample()

    def rate(self, config: WaveNetConfig) -> float:
        """Returns a rate by width."""
        return 2e-3 if config.channels <= 32 else 1e-3

    def figures(
        self, model: keras.Model, config: WaveNetConfig, dataset: Extracted
    ) -> dict[str, float]:
        """Returns bits a sample, and distances of notes that it draws."""
        x, y = self.whole(config, dataset)
        model.compile(loss=self.loss(config), jit_compile=False)
        bits = float(model.evaluate(x, y, batch_size=1, verbose=0))
        return {_BITS: bits, **self._drawn(model, config, dataset)}

    def _drawn(
        self, model: keras.Model, config: WaveNetConfig, dataset: Extracted
    ) -> dict[str, float]:
        """Returns how notes are that it draws, told the frames of others."""
        dataset = self.heard(dataset)
        if not (config.conditioning and len(dataset)):
            return {}
        found = dataset.arrays(["audio", "log_mel", "instrument"])
        made = _drawn(
            Instrument(model, config, dataset.settings),
            found["log_mel"],
            found["instrument"],
        )
        y = found["audio"]
        return {
            **self.heard_apart(config, y, made),
            **self.in_tune(dataset, y, made),
        }

    def baselines(
        self, config: WaveNetConfig, train: Extracted, dataset: Extracted
    ) -> dict[str, dict[str, float]]:
        """Returns bits a sample of guesses by how common codes are."""
        classes = config.classes
        known, codes = (
            mu_law.encode(part.arrays(["audio"])["audio"], classes)
            for part in (train, dataset)
        )
        return {
            "bigram": {_BITS: baselines.bigram_bits(known, codes, classes)},
            "unigram": {_BITS: baselines.unigram_bits(known, codes, classes)},
            "uniform": {_BITS: baselines.uniform_bits(classes)},
        }

    def play(
        self, instrument: Instrument, notes: Sequence[NoteEvent]
    ) -> list[Floats32]:
        """Returns notes drawn along the frames of the nearest ones.

        Shapes:
            (samples,) each.

        Raises:
            InputError: the model takes no frames, or a note is too far from
                those that it was trained on.
        """
        contours = [self._contour(instrument, note) for note in notes]
        longest = max(map(len, contours))
        frames = np.stack(
            [
                np.pad(contour, ((0, longest - len(contour)), (0, 0)))
                for contour in contours
            ]
        )
        made = _drawn(instrument, frames, instrument.number)
        hop = instrument.config.hop
        return [
            sound[: len(contour) * hop]
            for sound, contour in zip(made, contours, strict=True)
        ]

    def _contour(self, instrument: Instrument, note: NoteEvent) -> Floats32:
        """Returns the frames of a note, from those of the nearest one."""
        if not instrument.config.conditioning:
            raise InputError(
                "This WaveNet is not told what to play. Received: notes, for "
                "a model with conditioning=0. Train one with frames, or draw "
                "from it with tf_diet.models.generate."
            )
        known = instrument.known()
        nearest, pitch, velocity = instrument.nearest(note)
        higher = note.pitch - pitch
        if abs(higher) > _SHIFT:
            raise InputError(
                "A WaveNet with frames plays the notes that it was trained "
                f"on, and up to {_SHIFT:g} semitones beside them. Received: "
                f"MIDI {note.pitch}; the nearest it knows of this instrument "
                f"is {pitch}. Transpose the piece."
            )
        hop = instrument.config.hop
        level = 100 * (known.features["log_mel"][nearest].max(axis=-1) - 1)
        found = known.contour(
            nearest,
            "log_mel",
            frames_of(note.seconds, instrument.settings, hop),
            frames_of(RELEASE, instrument.settings, hop),
            level,
        )
        louder = features.amplified(found, gain(note.velocity, velocity))
        rate = instrument.settings.sample_rate
        return (
            features.pitch_shifted(louder, higher, rate) if higher else louder
        )

    def resynthesize(self, instrument: Instrument, audio: Floats32) -> Floats32:
        """Returns a sound drawn anew, told the frames of another.

        Shapes:
            (samples,), cut to whole frames.

        Raises:
            InputError: the model takes no frames.
        """
        if not instrument.config.conditioning:
            raise InputError(
                "This WaveNet is not told what to play. Received: a sound, "
                "for a model with conditioning=0."
            )
        rate, hop = instrument.settings.sample_rate, instrument.config.hop
        frames = features.log_mel(audio[: len(audio) // hop * hop], rate, hop)
        return _drawn(instrument, frames[None], instrument.number)[0]


def _drawn(instrument: Instrument, frames: Floats32, numbers: Any) -> Floats32:
    told = None
    if instrument.config.instruments:
        told = np.broadcast_to(numbers, len(frames))
    codes = generate(
        instrument.model,
        frames.shape[1] * instrument.config.hop,
        conditioning=frames,
        instrument=told,
        temperature=instrument.temperature,
        seed=instrument.seed,
    )
    return np.asarray(
        mu_law.decode(codes, instrument.config.classes), np.float32
    )
