# SPDX-License-Identifier: MIT
"""DDSP: pitch and loudness to sound."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from tf_diet.arrays import Floats32
from tf_diet.audio import features
from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.audio.note_contours import gain
from tf_diet.audio.note_events import NoteEvent
from tf_diet.audio.synthesis import Synthesizer
from tf_diet.audio.tuning import hertz
from tf_diet.data.inputs import Inputs
from tf_diet.data.reader import read
from tf_diet.extensions import register_family
from tf_diet.models.ddsp_network import (
    DDSPConfig,
    LevelScale,
    PitchScale,
    ddsp,
    decoder,
    static_envelope,
)
from tf_diet.models.examples import (
    Make,
    ddsp_clips,
    ddsp_examples,
    ddsp_inputs,
)
from tf_diet.models.families.base import (
    RELEASE,
    Deployable,
    Family,
    Instrument,
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
        """Returns its features, and MFCC where there is a latent."""
        return (*self.features, *(("mfcc",) if config.latent else ()))

    def contours(self, config: DDSPConfig) -> tuple[str, ...]:
        """Returns pitch, loudness and, for a latent, MFCC."""
        return ("f0", "loudness", *(("mfcc",) if config.latent else ()))

    def settings(self, config: DDSPConfig, seconds: float) -> Settings:
        """Returns settings with the hop of the model for all frames."""
        return Settings(config.sample_rate, config.hop, config.hop, seconds)

    def build(self, config: DDSPConfig) -> keras.Model:
        """Returns a fresh model."""
        return ddsp(config)

    def examples(self, config: DDSPConfig) -> Make:
        """Returns what crops 100 frames out of clips."""
        return ddsp_examples(latent=bool(config.latent))

    def whole(self, config: DDSPConfig, dataset: Extracted) -> tuple[Any, Any]:
        """Returns inputs and audio of whole clips.

        Shapes:
            f0 and loudness (clips, frames, 1), instrument (clips, frames,
            instruments), mfcc (clips, frames, coefficients); audio (clips,
            frames * hop).
        """
        return ddsp_clips(config, dataset)

    def loss(self, config: DDSPConfig) -> keras.losses.Loss:
        """Returns the multi-scale spectral loss."""
        return MultiScaleSpectralLoss()

    def baselines(
        self, config: DDSPConfig, train: Extracted, dataset: Extracted
    ) -> dict[str, dict[str, float]]:
        """Returns figures of silence, and of one trained spectrum each."""
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
        x, y = self.whole(config, dataset)
        x = {tensor.name: x[tensor.name] for tensor in model.inputs}
        return {
            "static envelope": self.compared(
                config, y, self.predicted(model, x)
            ),
            "silence": self.compared(config, y, np.zeros_like(y)),
        }

    def rate(self, config: DDSPConfig) -> float:
        """Returns a rate by width, from docs/results/ddsp_training.md."""
        return 3e-4 if config.hidden >= 512 else 2e-3

    @classmethod
    def owns(cls, model: keras.Model) -> bool:
        """Says whether a model ends in our synthesiser."""
        return any(isinstance(x, Synthesizer) for x in model.layers)

    def deployable(self, model: keras.Model) -> Deployable:
        """Returns the decoder: the synthesis itself is C++ on a board."""
        (synth, *_) = (x for x in model.layers if isinstance(x, Synthesizer))
        net = decoder(model)
        instruments = [x for x in net.inputs if x.name == "instrument"]
        return Deployable(
            net,
            sample_rate=synth.sample_rate,
            hop=synth.hop,
            settings={
                "harmonics": synth.harmonics,
                "noise_bands": synth.noise_bands,
                "instruments": sum(int(x.shape[-1]) for x in instruments),
            },
            example="DdspSynth",
            inputs=partial(decoder_data, model),
        )

    def play(
        self, instrument: Instrument, notes: Sequence[NoteEvent]
    ) -> list[Floats32]:
        """Returns notes with the contours of the nearest training notes.

        Shapes:
            (samples,) each.
        """
        contours = [self._contour(instrument, note) for note in notes]
        sounds: dict[int, Floats32] = {}
        # Notes of like lengths side by side.
        order = sorted(range(len(notes)), key=lambda i: len(contours[i]["f0"]))
        for start in range(0, len(order), self.batch):
            some = order[start : start + self.batch]
            longest = len(contours[some[-1]]["f0"])
            found = {
                name: np.stack(
                    [_longer(contours[i][name], longest) for i in some]
                )
                for name in contours[some[0]]
            }
            made = _made(instrument, found)
            for i, sound in zip(some, made, strict=True):
                sounds[i] = sound[
                    : len(contours[i]["f0"]) * instrument.config.hop
                ]
        return [sounds[i] for i in range(len(notes))]

    def _contour(
        self, instrument: Instrument, note: NoteEvent
    ) -> dict[str, Floats32]:
        """Returns what the model is told of a note, frame by frame."""
        known, hop = instrument.known(), instrument.config.hop
        nearest, pitch, velocity = instrument.nearest(note)
        held = frames_of(note.seconds, instrument.settings, hop)
        release = frames_of(RELEASE, instrument.settings, hop)
        level = known.features["loudness"][nearest]
        found = {
            name: known.contour(nearest, name, held, release, level)
            for name in self.contours(instrument.config)
        }
        found["f0"] = found["f0"] * 2 ** ((note.pitch - pitch) / 12)
        louder = gain(note.velocity, velocity)
        found["loudness"] = np.maximum(
            found["loudness"] + louder, features.FLOOR
        )
        return found

    def resynthesize(self, instrument: Instrument, audio: Floats32) -> Floats32:
        """Returns the pitch and loudness of a sound in the model's timbre.

        Long sounds are made in pieces, cut where it is quietest.

        Shapes:
            (samples,), cut to whole frames.
        """
        config, rate = instrument.config, instrument.settings.sample_rate
        hop = config.hop
        audio = audio[: len(audio) // hop * hop]
        # From below a bass to above what it was trained on.
        highest = hertz(max(instrument.pitches or (0, 84)) + 3)
        found = {
            "f0": features.fundamental(
                audio, rate, hop, low=50.0, high=min(highest, 0.49 * rate)
            )[0],
            "loudness": features.loudness(audio, rate, hop),
        }
        if config.latent:
            found["mfcc"] = features.mfcc(audio, rate, hop)
        found["f0"] = found["f0"] * np.float32(2 ** (instrument.transpose / 12))
        seam = round(_SEAM * rate)
        pieces = [
            _made(instrument, {n: v[None, a:b] for n, v in found.items()})[0]
            for a, b in _pieces(found["loudness"], round(_PIECE * rate / hop))
        ]
        rise = np.linspace(0, 1, seam, dtype=np.float32)
        for before, after in pairwise(pieces):
            before[-seam:] *= 1 - rise
            after[:seam] *= rise
        return np.concatenate(pieces)


def decoder_data(model: keras.Model, data: Any) -> Any:
    """Returns what the decoder is fed for what the model is fed.

    Args:
        model: the whole model.
        data: for its inputs, in any form that `fit` takes, or for those of
            the decoder, which stays as it is.

    Shapes:
        f0 in Hz and loudness in dB, (clips, frames, 1), become pitch and
        level; the other inputs stay.
    """
    x = data[0] if isinstance(data, tuple) else data
    if isinstance(x, Mapping) and "pitch" in x:
        return x
    inputs = Inputs.of(model, "Calibration data")
    assert inputs is not None, "it is functional"
    arrays = read(data, inputs, targets=False).x
    held = dict(zip(inputs.names, arrays, strict=True))
    scaled = {
        "pitch": np.asarray(PitchScale()(held.pop("f0"))),
        "level": np.asarray(LevelScale()(held.pop("loudness"))),
    }
    return scaled | held


def _made(instrument: Instrument, found: Mapping[str, Floats32]) -> Floats32:
    numbers = np.full(len(found["f0"]), instrument.number)
    x = ddsp_inputs(instrument.config, found, numbers)
    # Lengths differ from call to call: nothing is compiled for one alone.
    return np.array(keras.ops.convert_to_numpy(instrument.model(x)))


def _longer(values: Floats32, frames: int) -> Floats32:
    widths = ((0, frames - len(values)), *[(0, 0)] * (values.ndim - 1))
    return np.pad(values, widths, mode="edge")


def _pieces(loudness: Floats32, frames: int) -> list[tuple[int, int]]:
    """Cuts where it is quietest, into pieces of no more than so many frames."""
    cuts = [0]
    while len(loudness) - cuts[-1] > frames:
        first = cuts[-1] + frames // 2
        window = loudness[first : cuts[-1] + frames]
        cuts.append(first + int(np.argmin(window)))
    return list(zip(cuts, [*cuts[1:], len(loudness)], strict=True))
