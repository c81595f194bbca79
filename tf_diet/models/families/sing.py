"""SING: so far its auto-encoder, which is trained first."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tf_diet.audio import baselines
from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.log_power import LogPowerSpectralLoss
from tf_diet.audio.scores import NoteEvent
from tf_diet.errors import InputError
from tf_diet.models.examples import Make, sing_examples
from tf_diet.models.families.base import Family, Playing, register_family
from tf_diet.models.sing import SINGConfig, sing_autoencoder


@register_family("sing")
class SINGFamily(Family):
    """The auto-encoder, which is trained first."""

    config = SINGConfig
    features = ("audio",)

    def settings(self, config: SINGConfig, seconds: float) -> Settings:
        """See `Family.settings`."""
        return Settings(
            hop=config.stride, mel_hop=config.stride, seconds=seconds
        )

    def build(self, config: SINGConfig) -> keras.Model:
        """See `Family.build`."""
        return sing_autoencoder(config)

    def fitted(self, config: SINGConfig, held: Extracted) -> SINGConfig:
        """See `Family.fitted`."""
        return replace(config, instruments=len(held.instruments))

    def examples(self, config: SINGConfig) -> Make:
        """See `Family.examples`."""
        return sing_examples(config)

    def whole(self, config: SINGConfig, held: Extracted) -> tuple[Any, Any]:
        """See `Family.whole`."""
        audio = held.arrays(["audio"])["audio"][:, : config.samples]
        short = config.samples - audio.shape[1]
        audio = np.pad(audio, ((0, 0), (0, max(short, 0))))
        return audio, audio

    def loss(self, config: SINGConfig) -> keras.losses.Loss:
        """See `Family.loss`."""
        return LogPowerSpectralLoss()

    def baselines(
        self, config: SINGConfig, train: Extracted, held: Extracted
    ) -> dict[str, dict[str, float]]:
        """See `Family.baselines`: nothing, and another note."""
        _, known = self.whole(config, train)
        _, y = self.whole(config, held)
        nearest = baselines.nearest_notes(train.labels(), held.labels(), known)
        return {
            "nearest training note": self.compared(config, y, nearest),
            "silence": self.compared(config, y, np.zeros_like(y)),
        }

    def rate(self, config: SINGConfig) -> float:
        """See `Family.rate`; as published for the widest."""
        return 3e-4 if config.channels >= 2048 else 1e-3

    def play(
        self, playing: Playing, notes: Sequence[NoteEvent]
    ) -> list[np.ndarray]:
        """See `Family.play`."""
        raise InputError(
            "SING's auto-encoder plays no notes: it makes sounds again. "
            "Received: notes. Give it a sound (--audio)."
        )

    def again(self, playing: Playing, audio: np.ndarray) -> np.ndarray:
        """See `Family.again`: block by block, each faded into the next."""
        size, seam = playing.config.samples, playing.config.window
        step = size - seam
        blocks = max(1, -(-(len(audio) - seam) // step))
        padded = np.pad(audio, (0, blocks * step + seam - len(audio)))
        made = self.predicted(
            playing.model,
            np.stack([padded[i * step :][:size] for i in range(blocks)]),
        )
        rise = np.linspace(0, 1, seam, dtype=np.float32)
        made[1:, :seam] *= rise
        made[:-1, -seam:] *= 1 - rise
        whole = np.zeros(len(padded), np.float32)
        for i, block in enumerate(made):
            whole[i * step : i * step + size] += block
        return whole[: len(audio)]
