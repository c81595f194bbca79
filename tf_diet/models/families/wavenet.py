# SPDX-License-Identifier: MIT
"""WaveNet: the next code from those before it."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.audio import baselines, features, mu_law
from tf_diet.audio.arrays import Floats
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
        """See `Family.contours`."""
        return ("log_mel",) if config.conditioning else ()

    def settings(self, config: WaveNetConfig, seconds: float) -> Settings:
        """See `Family.settings`."""
        return Settings(mel_hop=config.hop, seconds=seconds)

    def build(self, config: WaveNetConfig) -> keras.Model:
        """See `Family.build`."""
        return wavenet(config)

    def examples(self, config: WaveNetConfig) -> Make:
        """See `Family.examples`: 60 ms and a receptive field."""
        least = -(-(config.receptive_field + 1000) // config.hop)
        return wavenet_examples(
            config, frames=least, shift=_SHIFT, noise=2.0, unheard=1.0
        )

    def whole(
        self, config: WaveNetConfig, dataset: Extracted
    ) -> tuple[Any, Any]:
        """See `Family.whole`."""
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
        """See `Family.loss`."""
        return BitsPerSample()

    def rate(self, config: WaveNetConfig) -> float:
        """See `Family.rate`."""
        return 2e-3 if config.channels <= 32 else 1e-3

    def figures(
        self, model: keras.Model, config: WaveNetConfig, dataset: Extracted
    ) -> dict[str, float]:
        """See `Family.figures`."""
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
        """See `Family.baselines`: codes by how common they are."""
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
    ) -> list[Floats]:
        """See `Family.play`."""
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

    def _contour(self, instrument: Instrument, note: NoteEvent) -> Floats:
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

    def resynthesize(self, instrument: Instrument, audio: Floats) -> Floats:
        """See `Family.resynthesize`: drawn anew, told its frames."""
        if not instrument.config.conditioning:
            raise InputError(
                "This WaveNet is not told what to play. Received: a sound, "
                "for a model with conditioning=0."
            )
        rate, hop = instrument.settings.sample_rate, instrument.config.hop
        frames = features.log_mel(audio[: len(audio) // hop * hop], rate, hop)
        return _drawn(instrument, frames[None], instrument.number)[0]


def _drawn(instrument: Instrument, frames: Floats, numbers: Any) -> Floats:
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
