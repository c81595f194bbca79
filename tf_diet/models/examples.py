# SPDX-License-Identifier: MIT
"""Clips as each model trains on them.

Functions named after what they make, such as `ddsp_examples`, return what
`Extracted.batches` takes: a function that makes one example of one clip, and
draws from the generator that it is given.
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tf_diet import optional
from tf_diet.arrays import Array, Floats32, Ints32
from tf_diet.audio import mu_law
from tf_diet.audio.clips import Clip, Extracted
from tf_diet.audio.features import amplified, log_mel, reach
from tf_diet.audio.pitch_shift import pitch_shift
from tf_diet.errors import InputError
from tf_diet.models.ddsp_network import DDSPConfig
from tf_diet.models.sing_network import SINGConfig, symbols
from tf_diet.models.wavenet_network import WaveNetConfig

Make = Callable[[Extracted, Clip, np.random.Generator], Any]


def ddsp_examples(frames: int = 100, latent: bool = False) -> Make:
    """Returns what makes crops for a DDSP model.

    Args:
        frames: of a crop.
        latent: give the MFCC too.

    Shapes:
        x: f0 and loudness (frames, 1), instrument (frames, instruments) where
        there are two or more, mfcc (frames, 30); y: (frames * hop,).
    """

    def make(
        dataset: Extracted, clip: Clip, random: np.random.Generator
    ) -> Any:
        hop = dataset.settings.hop
        start = _start(dataset.settings.frames(hop), frames, random)
        at = slice(start, start + frames)
        x = {
            name: dataset.value(clip, name)[at, None]
            for name in ("f0", "loudness")
        }
        if len(dataset.instruments) > 1:
            one_hot = np.zeros((frames, len(dataset.instruments)), np.float32)
            one_hot[:, dataset.value(clip, "instrument")] = 1
            x["instrument"] = one_hot
        if latent:
            x["mfcc"] = dataset.value(clip, "mfcc")[at]
        audio = dataset.value(clip, "audio")
        return x, audio[start * hop : (start + frames) * hop]

    return make


def ddsp_inputs(
    config: DDSPConfig, features: Mapping[str, Floats32], instrument: Ints32
) -> dict[str, Floats32]:
    """Returns what a DDSP model takes of sounds.

    Args:
        config: of the model.
        features: f0, loudness and, with a latent, mfcc.
        instrument: the number of each sound's instrument.

    Shapes:
        f0 and loudness (sounds, frames), mfcc (sounds, frames, 30) and
        instrument (sounds,); returns f0 and loudness (sounds, frames, 1),
        instrument (sounds, frames, instruments) where there are any, and
        mfcc where there is a latent.
    """
    x = {name: features[name][..., None] for name in ("f0", "loudness")}
    if config.instruments:
        one_hot = np.eye(config.instruments, dtype=np.float32)
        told = one_hot[instrument][:, None]
        x["instrument"] = np.repeat(told, features["f0"].shape[1], axis=1)
    if config.latent:
        x["mfcc"] = features["mfcc"]
    return x


def ddsp_clips(
    config: DDSPConfig,
    dataset: Extracted,
    frames: int | None = None,
    step: int | None = None,
) -> tuple[dict[str, Floats32], Floats32]:
    """Returns inputs of a DDSP model and the audio it should make of them.

    Args:
        config: of the model.
        dataset: clips with their audio, f0, loudness and, with a latent, mfcc.
        frames: of the crops that clips are cut into; whole clips when left
            out.
        step: frames from the start of one crop to that of the next; `frames`
            when left out.

    Shapes:
        x: see `ddsp_inputs`; y: (sounds, frames * hop). The first crops of
        all clips come first, then the second ones.

    Raises:
        InputError: crops are longer than clips.
    """
    names = ["audio", "f0", "loudness", "instrument"]
    found = dataset.arrays([*names, *(["mfcc"] if config.latent else [])])
    x = ddsp_inputs(config, found, found["instrument"])
    y, hop = found["audio"], dataset.settings.hop
    if frames is None:
        return x, y
    whole = dataset.settings.frames(hop)
    _check_crop(frames, whole)
    starts = range(0, whole - frames + 1, step or frames)
    return (
        {
            name: np.concatenate([v[:, i : i + frames] for i in starts])
            for name, v in x.items()
        },
        np.concatenate([y[:, i * hop : (i + frames) * hop] for i in starts]),
    )


def wavenet_examples(
    config: WaveNetConfig,
    frames: int = 16,
    gain: float = 6.0,
    shift: float = 0.0,
    noise: float = 0.0,
    unheard: float = 0.0,
) -> Make:
    """Returns what makes crops for a WaveNet, with weights of samples.

    Few notes are learned by heart: each crop comes at another level and, with
    `shift`, at another pitch, its codes and its frames alike.

    A crop from within a note is read as if silence had been before it. What
    that falsifies, the first receptive field, weighs nothing by default; the
    start of a note is learned from crops that begin there, as does generation.

    What a net draws is not as clean as what it was trained to go on from, and
    errors add up: sounds lose their pitch, or fall silent and stay so. With
    `noise` it learns to go on from codes that are off, and with `unheard` to
    begin again from silence at any moment.

    Args:
        config: of the model; `dataset.settings.mel_hop` must be its hop.
        frames: of conditioning in a crop, more than a receptive field.
        gain: the level is changed by up to this, in dB, up or down, but not
            beyond full scale.
        shift: the pitch is changed by up to this, in semitones, up or down,
            by playing the sound faster or slower.
        noise: standard deviation of what is added to the codes that are read,
            in codes, never to those that are predicted.
        unheard: weight of the samples whose past was cut off, against 1 of
            the others.

    Shapes:
        x: codes (samples,), conditioning (frames, features), instrument (1,)
        where the model has them; y: (samples,) codes; weights: (samples,).

    Raises:
        InputError: nothing would be left to learn from.

    Source:
        Jin et al., "FFTNet: a Real-Time Speaker-Dependent Neural Vocoder",
        ICASSP 2018, section 2.3: noise in what is read.
    """
    size = frames * config.hop
    lost = config.receptive_field - 1
    if size <= lost:
        raise InputError(
            f"A crop must be longer than the receptive field of {lost + 1} "
            f"samples. Received: {frames} frames of {config.hop}. Ask for "
            f"{lost // config.hop + 2} or more."
        )

    def make(
        dataset: Extracted, clip: Clip, random: np.random.Generator
    ) -> Any:
        if dataset.settings.mel_hop != config.hop:
            raise InputError(
                "Frames must be those of the model. Received: features every "
                f"{dataset.settings.mel_hop} samples, a hop of {config.hop}. "
                "Extract them with Settings(mel_hop=config.hop)."
            )
        start = _start(dataset.settings.frames(config.hop), frames, random)
        first, rate = start * config.hop, dataset.settings.sample_rate
        audio = dataset.value(clip, "audio")
        if shift:
            ratio = 2 ** (random.uniform(-shift, shift) / 12)
            # Frames see what is around them: the crop is cut from more.
            beside = -(-reach(rate, config.hop) // config.hop)
            margin = beside * config.hop
            heard = _played(audio, first, size, margin, ratio, rate)
            audio = heard[margin : margin + size]
        else:
            audio = audio[first : first + size]
        room = -20 * np.log10(max(float(np.abs(audio).max()), 1e-5))
        level = float(random.uniform(-gain, max(min(gain, room), -gain)))
        codes = mu_law.encode(audio * 10 ** (level / 20), config.classes)
        inputs, targets = mu_law.teacher(codes[None], config.classes)
        x: dict[str, Array] = {
            "codes": _off(inputs[0], noise, config.classes, random)
        }
        if config.conditioning:
            told = (
                log_mel(heard, rate, config.hop)[beside:]
                if shift
                else dataset.value(clip, "log_mel")[start:]
            )
            x["conditioning"] = amplified(told[:frames], level)
        if config.instruments:
            x["instrument"] = dataset.value(clip, "instrument")[None]
        weights = np.ones(size, np.float32)
        if start:
            weights[:lost] = unheard
        # The mean over a batch divides by all samples, learned from or not.
        return x, targets[0], weights * (size / weights.sum())

    return make


def _off(
    codes: Ints32, noise: float, classes: int, random: np.random.Generator
) -> Ints32:
    """Returns codes with noise added, in the range that codes have."""
    if not noise:
        return codes
    added = np.rint(random.normal(0, noise, codes.shape)).astype(codes.dtype)
    return np.clip(codes + added, 0, classes - 1)


def _played(
    audio: Floats32,
    first: int,
    size: int,
    margin: int,
    ratio: float,
    rate: int,
) -> Floats32:
    """Returns a crop played so many times as fast, with margins around it.

    It begins at a sample, or so much sooner that it ends with the sound.
    """
    soxr = optional.require("soxr", extra="audio")
    first = min(first, max(0, len(audio) - ceil(size * ratio)))
    before, after = ceil(margin * ratio), ceil((size + margin) * ratio)
    padded = np.pad(audio, (before, after))[first : first + before + after]
    played = soxr.resample(padded, ratio * rate, rate)
    begin = round(before / ratio) - margin
    return of_length(played[begin:], size + 2 * margin)


def sing_examples(
    config: SINGConfig, gain: float = 6.0, shift: int = 256
) -> Make:
    """Returns what makes sounds for the auto-encoder of SING.

    Few notes are learned by heart: each comes at another level and, silence
    before it, at another moment.

    Args:
        config: of the model.
        gain: the level is changed by up to this, in dB, up or down.
        shift: samples of silence at most.

    Shapes:
        x and y, the same: (samples,).
    """

    def make(
        dataset: Extracted, clip: Clip, random: np.random.Generator
    ) -> Any:
        audio = dataset.value(clip, "audio")[: config.samples]
        late = int(random.integers(shift + 1))
        level = 10 ** (random.uniform(-gain, gain) / 20)
        sound = of_length(np.pad(audio, (late, 0)), config.samples)
        sound = (sound * level).astype(np.float32)
        return sound, sound

    return make


def sing_notes(config: SINGConfig, shift: int = 0) -> Make:
    """Returns what makes notes under their symbols.

    Few pitches say little of those between and beside them: with `shift`,
    each note comes at another pitch too, under the symbol of that one.

    Args:
        config: of the model.
        shift: the pitch is changed by up to this, in whole semitones, up or
            down, by playing the sound faster or slower; it is let go of when
            it was.

    Shapes:
        x: see `tf_diet.models.sing_network.symbols`, (frames,) each; y:
        (samples,).
    """

    def make(
        dataset: Extracted, clip: Clip, random: np.random.Generator
    ) -> Any:
        names = ("instrument", "pitch", "velocity")
        told = [int(dataset.value(clip, name)) for name in names]
        audio = dataset.value(clip, "audio")
        higher = int(random.integers(-shift, shift + 1))
        if 0 <= told[1] + higher < config.pitches:
            told[1] += higher
            rate = dataset.settings.sample_rate
            audio = pitch_shift(audio, higher, told[1], rate)
        x = {name: v[0] for name, v in note_symbols(config, told).items()}
        return x, of_length(audio, config.samples)

    return make


def sing_latents(config: SINGConfig, shift: int = 0) -> Make:
    """Returns what `tf_diet.models.sing_network.latent_distance` is trained on.

    Args:
        config: of the model.
        shift: see `sing_notes`.

    Shapes:
        x: see `sing_notes`, and audio (samples,); y: zeros (frames, latent).
    """
    notes = sing_notes(config, shift)
    none = np.zeros((config.frames, config.latent), np.float32)

    def make(
        dataset: Extracted, clip: Clip, random: np.random.Generator
    ) -> Any:
        x, audio = notes(dataset, clip, random)
        return {**x, "audio": audio}, none

    return make


def note_symbols(config: SINGConfig, labels: ArrayLike) -> dict[str, Ints32]:
    """Returns the symbols of notes, as `Extracted.labels` has them.

    A note without a velocity has 0, which no note with one has.

    Args:
        config: of the model.
        labels: instrument, pitch and velocity.

    Shapes:
        labels (batch, 3) or (3,); see `tf_diet.models.sing_network.symbols`.
    """
    instrument, pitch, velocity = np.atleast_2d(labels).T
    return symbols(config, instrument, pitch, np.maximum(velocity, 0))


def of_length(audio: Floats32, samples: int) -> Floats32:
    """Returns sounds of so many samples, with silence where they are short.

    Shapes:
        audio (..., any) -> (..., samples).
    """
    short = max(samples - audio.shape[-1], 0)
    widths = (*[(0, 0)] * (audio.ndim - 1), (0, short))
    return np.pad(audio[..., :samples], widths)


def _start(whole: int, frames: int, random: np.random.Generator) -> int:
    """Draws where a crop begins; one in ten begins where the clip does."""
    _check_crop(frames, whole)
    begin = random.random() < 0.1
    start = int(random.integers(whole - frames + 1))
    return 0 if begin else start


def _check_crop(frames: int, whole: int) -> None:
    if frames > whole:
        raise InputError(
            "A crop cannot be longer than a clip. Received: "
            f"{frames} frames of {whole}. Ask for shorter crops, or longer "
            "clips."
        )
