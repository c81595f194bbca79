# SPDX-License-Identifier: MIT
"""Every number of the demo in one place."""

from dataclasses import dataclass, replace

import keras

from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.extraction import extract
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.audio.sources import read_source
from tf_diet.models.ddsp_network import DDSPConfig


def shipped_notes() -> Extracted:
    """Returns the clips that ship, with what a DDSP model is told of them."""
    settings = Settings(hop=160, mel_hop=160, seconds=2.0)
    return extract(
        read_source("shipped"), ("audio", "f0", "loudness"), settings
    )


def split_notes(notes: Extracted, seed: int = 0) -> dict[str, Extracted]:
    """Splits notes by recording; what is held out lies within the range."""
    return notes.split(valid=0.15, test=0.15, seed=seed, within_range=True)


@dataclass(frozen=True)
class Recipe:
    """How the demo trains; the same for tickets and baselines.

    Args:
        hidden: width of MLPs and GRU of the full model.
        epochs: of the full training; retrainings end at the same epoch.
        rewind_epoch: the early epoch that tickets are rewound to.
        rounds: of the lottery.
        rate: share of the remaining weights that goes each round.
        scaling: of scores before they are ranked; the paper divides by the
            largest of the layer. By rank, the package's default, rounds 4
            and 5 got stuck above a static envelope.
        max_rate: largest share of the units of one group that goes in a
            round. With neither, a global ranking empties the loudness branch
            in round 5: 136 units to 2, and the error rises by a tenth.
        batch: crops in a batch.
        crop_frames: frames in a crop, 100 a second.
        crop_step: frames from the start of one crop to that of the next.
        learning_rate: at the start; a cosine takes it to zero.
        clip: largest norm of the gradient.
        weight_decay: of Adam.
        static_epochs: of the static baseline.
        static_learning_rate: of the static baseline.
        windows: STFT sizes of the loss, as in the paper.
        floor: added to magnitudes before the logarithm, as in the paper.
        overlap: of the windows.
        latency_runs: how often a step is timed.
    """

    hidden: int = 256
    epochs: int = 11
    rewind_epoch: int = 2
    rounds: int = 5
    rate: float = 0.3
    scaling: str = "max"
    max_rate: float = 0.35
    batch: int = 8
    crop_frames: int = 50
    crop_step: int = 30
    learning_rate: float = 1.5e-3
    clip: float = 3.0
    weight_decay: float | None = None
    static_epochs: int = 12
    static_learning_rate: float = 3e-2
    windows: tuple[int, ...] = (1024, 512, 256, 128, 32)
    floor: float = 5e-3
    overlap: float = 0.5
    latency_runs: int = 2000

    def quick(self) -> "Recipe":
        """Returns a version for a smoke test: it shows the way, no result."""
        return replace(
            self,
            hidden=48,
            epochs=2,
            rewind_epoch=1,
            static_epochs=2,
            latency_runs=200,
        )

    @property
    def total_epochs(self) -> int:
        """Epochs of the full training and all retrainings together."""
        return self.epochs + self.rounds * (self.epochs - self.rewind_epoch)

    def config(self, instruments: int, hop: int, rate: int) -> DDSPConfig:
        """Returns the sizes of the full model."""
        return DDSPConfig(
            hidden=self.hidden,
            gru_units=self.hidden,
            instruments=instruments,
            hop=hop,
            sample_rate=rate,
        )

    def compile(
        self,
        model: keras.Model,
        steps: int,
        learning_rate: float | None = None,
    ) -> keras.Model:
        """Compiles a model for a training of so many steps, and returns it.

        Args:
            model: compiled in place.
            steps: where the cosine ends.
            learning_rate: at the start; the recipe's when left out.
        """
        schedule = keras.optimizers.schedules.CosineDecay(
            learning_rate or self.learning_rate, steps
        )
        model.compile(
            keras.optimizers.Adam(
                schedule,
                global_clipnorm=self.clip,
                weight_decay=self.weight_decay,
            ),
            loss=MultiScaleSpectralLoss(self.windows, self.floor, self.overlap),
            # XLA slows this model down on CPUs.
            jit_compile=False,
        )
        return model
