"""What training has to know of each kind of model.

`tf-diet train` and its like speak to models through this; a kind of your own
is one class and one registration.
"""

import abc
from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np

from tf_diet.audio import baselines, losses, metrics, mu_law
from tf_diet.audio.clips import Extracted, Settings
from tf_diet.audio.log_power import LogPowerSpectralLoss
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.audio.metrics import BitsPerSample
from tf_diet.models.ddsp import DDSPConfig, ddsp, static_envelope
from tf_diet.models.examples import (
    Make,
    ddsp_examples,
    sing_examples,
    wavenet_examples,
)
from tf_diet.models.presets import Preset
from tf_diet.models.sing import SINGConfig, sing_autoencoder
from tf_diet.models.wavenet import WaveNetConfig, wavenet
from tf_diet.registry import Registry

_STATIC_STEPS = 600
_BITS = "bits a sample"
_LABELS = ("instrument", "pitch", "velocity")


class Family(abc.ABC):
    """A kind of model.

    Attributes:
        config: of its sizes.
        features: of sounds that it needs, see `extract`.
        batch: examples a step.
        warmup: steps in which the learning rate rises.
        jit: compile a step with XLA on TensorFlow, where that is faster.
    """

    config: ClassVar[type[Preset]]
    features: ClassVar[tuple[str, ...]]
    batch: ClassVar[int] = 8
    warmup: ClassVar[int] = 500
    jit: ClassVar[bool] = True

    def needed(self, config: Any) -> tuple[str, ...]:
        """Returns the features that a model of these sizes needs."""
        return self.features

    @abc.abstractmethod
    def settings(self, config: Any, seconds: float) -> Settings:
        """Returns how sounds are looked at."""

    @abc.abstractmethod
    def build(self, config: Any) -> keras.Model:
        """Returns a fresh model."""

    def fitted(self, config: Any, instruments: int) -> Any:
        """Returns a configuration for so many instruments.

        One alone needs no input.
        """
        return replace(
            config, instruments=instruments if instruments > 1 else 0
        )

    @abc.abstractmethod
    def examples(self, config: Any) -> Make:
        """Returns what makes one example of a clip."""

    @abc.abstractmethod
    def whole(self, config: Any, held: Extracted) -> tuple[Any, Any]:
        """Returns inputs and targets of whole clips, to judge on."""

    @abc.abstractmethod
    def loss(self, config: Any) -> keras.losses.Loss:
        """Returns what is trained on."""

    def figures(
        self, model: keras.Model, config: Any, held: Extracted
    ) -> dict[str, float]:
        """Returns how good a trained model is, by name and unit.

        For models whose outputs are sounds.
        """
        x, y = self.whole(config, held)
        return _sound_figures(self.loss(config), y, _predicted(self, model, x))

    @abc.abstractmethod
    def baselines(
        self, config: Any, train: Extracted, held: Extracted
    ) -> dict[str, dict[str, float]]:
        """Returns what trivial models come to, under the same names."""

    def rate(self, config: Any) -> float:
        """Returns the largest learning rate."""
        return 1e-3

    def compile(self, model: keras.Model, config: Any, steps: int) -> None:
        """Compiles a model for a training of so many steps.

        The rate rises for `warmup` steps, or a tenth of all, and falls along
        a cosine.
        """
        rising = min(self.warmup, max(1, steps // 10))
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, steps - rising),
            warmup_target=self.rate(config),
            warmup_steps=rising,
        )
        model.compile(
            keras.optimizers.Adam(schedule, global_clipnorm=3.0),
            self.loss(config),
            jit_compile=self.jit,
        )


families: Registry[type[Family]] = Registry("model")
register_family = families.register


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
        names = ["audio", "f0", "loudness", "instrument"]
        found = held.arrays(names + (["mfcc"] if config.latent else []))
        frames = found["f0"].shape[1]
        x = {name: found[name][..., None] for name in ("f0", "loudness")}
        if config.instruments:
            one_hot = np.eye(config.instruments, dtype=np.float32)
            told = one_hot[found["instrument"]][:, None]
            x["instrument"] = np.repeat(told, frames, axis=1)
        if config.latent:
            x["mfcc"] = found["mfcc"]
        return x, found["audio"]

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
        silence = np.zeros_like(y)
        return {
            "static envelope": _sound_figures(
                self.loss(config), y, _predicted(self, model, x)
            ),
            "silence": _sound_figures(self.loss(config), y, silence),
        }

    def rate(self, config: DDSPConfig) -> float:
        """See `Family.rate`; docs/results/ddsp_training.md has the trials."""
        return 3e-4 if config.hidden >= 512 else 2e-3


@register_family("wavenet")
class WaveNetFamily(Family):
    """The next code from those before it."""

    config = WaveNetConfig
    features = ("codes", "log_mel")
    batch = 4

    def settings(self, config: WaveNetConfig, seconds: float) -> Settings:
        """See `Family.settings`."""
        return Settings(mel_hop=config.hop, seconds=seconds)

    def build(self, config: WaveNetConfig) -> keras.Model:
        """See `Family.build`."""
        return wavenet(config)

    def examples(self, config: WaveNetConfig) -> Make:
        """See `Family.examples`: half a second and a receptive field."""
        least = -(-(config.receptive_field + 8000) // config.hop)
        return wavenet_examples(config, frames=least)

    def whole(self, config: WaveNetConfig, held: Extracted) -> tuple[Any, Any]:
        """See `Family.whole`."""
        found = held.arrays(["codes", "log_mel", "instrument"])
        codes = found["codes"].astype(np.int32)
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

    def figures(
        self, model: keras.Model, config: WaveNetConfig, held: Extracted
    ) -> dict[str, float]:
        """See `Family.figures`."""
        x, y = self.whole(config, held)
        model.compile(loss=self.loss(config), jit_compile=False)
        bits = model.evaluate(x, y, batch_size=1, verbose=0)
        return {_BITS: float(bits)}

    def baselines(
        self, config: WaveNetConfig, train: Extracted, held: Extracted
    ) -> dict[str, dict[str, float]]:
        """See `Family.baselines`: codes by how common they are."""
        codes = [part.arrays(["codes"])["codes"] for part in (train, held)]
        classes = config.classes
        return {
            "bigram": {_BITS: baselines.bigram_bits(*codes, classes)},
            "unigram": {_BITS: baselines.unigram_bits(*codes, classes)},
            "uniform": {_BITS: baselines.uniform_bits(classes)},
        }


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

    def fitted(self, config: SINGConfig, instruments: int) -> SINGConfig:
        """See `Family.fitted`."""
        return replace(config, instruments=instruments)

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
        labels, wanted = (
            np.stack(list(part.arrays(_LABELS).values()), axis=-1)
            for part in (train, held)
        )
        nearest = baselines.nearest_notes(labels, wanted, known)
        loss = self.loss(config)
        return {
            "nearest training note": _sound_figures(loss, y, nearest),
            "silence": _sound_figures(loss, y, np.zeros_like(y)),
        }

    def rate(self, config: SINGConfig) -> float:
        """See `Family.rate`; as published for the widest."""
        return 3e-4 if config.channels >= 2048 else 1e-3


def _predicted(family: Family, model: keras.Model, x: Any) -> np.ndarray:
    return np.asarray(model.predict(x, batch_size=family.batch, verbose=0))


def _sound_figures(
    loss: keras.losses.Loss, y_true: np.ndarray, y_pred: np.ndarray
) -> dict[str, float]:
    """Returns what is measured of sounds, whatever made them."""
    found = [
        float(loss(one[None], other[None]))
        for one, other in zip(y_true, y_pred, strict=True)
    ]
    return {
        "loss": float(np.mean(found)),
        "loudness error (dB)": losses.loudness_error(y_true, y_pred),
        "log-spectral distance (dB)": metrics.log_spectral_distance(
            y_true, y_pred
        ),
    }
