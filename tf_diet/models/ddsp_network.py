# SPDX-License-Identifier: MIT
"""A DDSP synthesiser: pitch and loudness in, sound out."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from tf_diet.audio.synthesis import Reverb, Synthesizer
from tf_diet.errors import InputError
from tf_diet.models.presets import Preset

LOWEST_HZ = 440.0 * 2.0 ** (-69 / 12)


@dataclass(frozen=True)
class DDSPConfig(Preset):
    """The sizes of a DDSP model.

    "paper" is that of Engel et al., 4.8 million parameters for a solo
    instrument; "diet" is that of the structured lottery paper, with its
    latent and 160 noise bands.

    Attributes:
        hidden: width of every Dense layer.
        mlp_layers: Dense layers in each of the three MLPs.
        gru_units: width of the recurrent layer.
        harmonics: number of harmonics; those above the Nyquist frequency are
            always silent, so half the sample rate over the lowest pitch in
            Hz is enough.
        noise_bands: number of bands of the noise filter.
        sample_rate: sample rate in Hz.
        hop: samples in a frame.
        instruments: classes of the one-hot `instrument` input; 0 for a model
            without that input.
        latent: features a frame of what the encoder makes of the `mfcc`
            input, which tells timbre that pitch and loudness do not; 0 for a
            model without encoder.
        coefficients: a frame of the `mfcc` input.
        reverb: samples of a trainable impulse response; 0 for a dry sound.
        seed: of the weights and the noise.
    """

    hidden: int = 256
    mlp_layers: int = 3
    gru_units: int = 256
    harmonics: int = 40
    noise_bands: int = 65
    sample_rate: int = 16000
    hop: int = 160
    instruments: int = 0
    latent: int = 0
    coefficients: int = 30
    reverb: int = 0
    seed: int = 0

    @property
    def controls(self) -> int:
        """Raw controls a frame."""
        return 1 + self.harmonics + self.noise_bands


DDSPConfig.presets.register("paper")(
    DDSPConfig(hidden=512, gru_units=512, harmonics=100)
)
DDSPConfig.presets.register("diet")(
    DDSPConfig(
        hidden=512, gru_units=512, harmonics=100, noise_bands=160, latent=16
    )
)
DDSPConfig.presets.register("small")(DDSPConfig(hidden=128, gru_units=128))
DDSPConfig.presets.register("tiny")(
    DDSPConfig(hidden=32, mlp_layers=2, gru_units=32)
)


@keras.saving.register_keras_serializable("tf_diet")
class PitchScale(layers.Layer):
    """Frequency in Hz to MIDI note number over 127."""

    def call(self, f0_hz: Any) -> Any:
        """Scales a tensor of any shape; MIDI note 0 is the lowest."""
        octaves = ops.log2(ops.maximum(f0_hz, LOWEST_HZ) / LOWEST_HZ)
        return octaves * (12.0 / 127.0)

    def compute_output_shape(self, f0_hz_shape: Any) -> Any:
        """Returns the input's shape."""
        return f0_hz_shape


@keras.saving.register_keras_serializable("tf_diet")
class LevelScale(layers.Layer):
    """Loudness in dB to about 0 at -80 dB and 1 at 0 dB."""

    def call(self, loudness_db: Any) -> Any:
        """Scales a tensor of any shape."""
        return loudness_db / 80.0 + 1.0

    def compute_output_shape(self, loudness_db_shape: Any) -> Any:
        """Returns the input's shape."""
        return loudness_db_shape


@keras.saving.register_keras_serializable("tf_diet")
class StaticControls(layers.Layer):
    """One spectrum an instrument; only its gain follows the loudness.

    Args:
        harmonics: number of harmonics.
        noise_bands: number of bands of the noise filter.
        **kwargs: what every Keras layer takes.

    Shapes:
        level (batch, frames, 1); instrument (batch, frames, classes);
        controls (batch, frames, 1 + harmonics + noise_bands).
    """

    def __init__(
        self, harmonics: int = 40, noise_bands: int = 65, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.harmonics = harmonics
        self.noise_bands = noise_bands

    def build(self, level_shape: Any, instrument_shape: Any) -> None:
        """Makes the spectra and the two slopes of each instrument.

        The first slope makes the amplitude follow the level: a fair
        baseline should not spend its training on finding that.
        """
        classes = instrument_shape[-1]
        width = 1 + self.harmonics + self.noise_bands
        start = keras.initializers.Constant
        self.spectrum = self.add_weight(
            name="spectrum", shape=(classes, width), initializer=start(-2.0)
        )
        self.slope = self.add_weight(
            name="slope", shape=(classes, 2), initializer=start(4.0)
        )
        self.built = True

    def call(self, level: Any, instrument: Any) -> Any:
        """Returns the raw controls of every frame; see the class."""
        gain = level * ops.matmul(instrument, self.slope)
        spectrum = ops.matmul(instrument, self.spectrum)
        tone = 1 + self.harmonics
        return ops.concatenate(
            [
                spectrum[..., :1] + gain[..., :1],
                spectrum[..., 1:tone],
                spectrum[..., tone:] + gain[..., 1:],
            ],
            axis=-1,
        )

    def compute_output_shape(
        self, level_shape: Any, instrument_shape: Any
    ) -> Any:
        """Returns (batch, frames, 1 + harmonics + noise_bands)."""
        return (*level_shape[:-1], 1 + self.harmonics + self.noise_bands)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "harmonics": self.harmonics,
            "noise_bands": self.noise_bands,
        }


def _inputs(config: DDSPConfig) -> dict[str, Any]:
    widths = {"f0": 1, "loudness": 1}
    if config.instruments:
        widths["instrument"] = config.instruments
    if config.latent:
        widths["mfcc"] = config.coefficients
    return {
        name: keras.Input((None, width), name=name)
        for name, width in widths.items()
    }


def _synthesizer(config: DDSPConfig) -> Synthesizer:
    return Synthesizer(
        sample_rate=config.sample_rate,
        hop=config.hop,
        harmonics=config.harmonics,
        noise_bands=config.noise_bands,
        seed=config.seed,
        name="synthesizer",
    )


def ddsp(config: DDSPConfig) -> keras.Model:
    """Builds a DDSP model, one flat functional graph.

    An MLP each reads pitch, loudness and, where there is one, the latent; a
    GRU reads them all, and the instrument; another MLP reads the GRU and,
    past it, the first ones; a linear layer gives the controls of a harmonic
    and noise synthesiser, whose sound goes through the reverb.

    Args:
        config: the sizes.

    Shapes:
        Inputs, a dict: f0 (batch, frames, 1) in Hz, loudness (batch, frames,
        1) in dB, instrument (batch, frames, instruments) one-hot where there
        are instruments, mfcc (batch, frames, coefficients) where there is a
        latent. Output: audio (batch, frames * hop).

    Returns:
        The model. Layers are named; `decoder` is the part between the layers
        "pitch" and "level" and the layer "controls".

    Source:
        Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR
        2020. Without its layer normalisations, which cannot lose units
        without changing the result.
    """
    seeds = iter(range(1000 * config.seed, 1000 * config.seed + 1000))
    start = keras.initializers

    def mlp(x: Any, name: str) -> Any:
        # A ReLU of one input and no bias is a straight line over all pitches.
        # Biases drawn this wide spread the kinks over the range of the input;
        # from zero, finding them takes most of the training.
        spread = 1.5 if x.shape[-1] == 1 else 0.0
        for index in range(config.mlp_layers):
            x = layers.Dense(
                config.hidden,
                activation="relu",
                kernel_initializer=start.HeUniform(next(seeds)),
                bias_initializer=start.RandomUniform(
                    -spread, spread, next(seeds)
                ),
                name=f"{name}_mlp_{index}",
            )(x)
            spread = 0.0
        return x

    inputs = _inputs(config)
    pitch = PitchScale(name="pitch")(inputs["f0"])
    level = LevelScale(name="level")(inputs["loudness"])
    read = [mlp(pitch, "pitch"), mlp(level, "level")]
    if config.latent:
        # The encoder of the paper's appendix, without its normalisation.
        z = layers.GRU(
            config.gru_units,
            return_sequences=True,
            kernel_initializer=start.GlorotUniform(next(seeds)),
            recurrent_initializer=start.Orthogonal(seed=next(seeds)),
            name="encoder_gru",
        )(inputs["mfcc"])
        z = layers.Dense(
            config.latent,
            kernel_initializer=start.GlorotUniform(next(seeds)),
            name="latent",
        )(z)
        read.append(mlp(z, "latent"))
    instrument = [inputs["instrument"]] if config.instruments else []
    x = layers.Concatenate(name="features")(read + instrument)
    x = layers.GRU(
        config.gru_units,
        return_sequences=True,
        kernel_initializer=start.GlorotUniform(next(seeds)),
        recurrent_initializer=start.Orthogonal(seed=next(seeds)),
        name="gru",
    )(x)
    x = layers.Concatenate(name="context")([x, *read])
    x = mlp(x, "output")
    controls = layers.Dense(
        config.controls,
        kernel_initializer=start.GlorotUniform(next(seeds)),
        name="controls",
    )(x)
    audio = _synthesizer(config)(inputs["f0"], controls)
    if config.reverb:
        audio = Reverb(config.reverb, config.seed, name="reverb")(audio)
    return keras.Model(inputs, audio, name="ddsp")


def decoder(model: keras.Model) -> keras.Model:
    """Cuts the decoder out of a DDSP model, pruned or not.

    Args:
        model: from `ddsp`, or a pruned copy.

    Shapes:
        Inputs, in this order: pitch (batch, frames, 1) as MIDI / 127, level
        (batch, frames, 1) as dB / 80 + 1, instrument (batch, frames,
        instruments) and mfcc (batch, frames, coefficients) where the model
        has them. Output: raw controls (batch, frames, 1 + harmonics +
        noise_bands).

    Returns:
        A functional model with its own copy of the layers and weights.

    Raises:
        InputError: a layer named "pitch", "level" or "controls" is missing.
    """
    known = {layer.name: layer for layer in model.layers}
    missing = [n for n in ("pitch", "level", "controls") if n not in known]
    if missing:
        raise InputError(
            f"The model {model.name!r} is not a DDSP model: it has no layer "
            f"named {', '.join(missing)}. Received layers: "
            f"{', '.join(known)}. Build it with tf_diet.models.ddsp."
        )
    renamed = {"f0": "pitch", "loudness": "level"}

    def fresh(tensor: Any) -> Any:
        name = renamed.get(tensor.name, tensor.name)
        shape = tensor.shape
        return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=name)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in ("pitch", "level"):
            return args[0]
        if isinstance(layer, Synthesizer):
            return args[1]
        if isinstance(layer, Reverb):
            return args[0]
        return layer(*args, **kwargs)

    # Listed inputs: under another name they would not fit the keys of a dict.
    copy = keras.models.clone_model(
        keras.Model(model.inputs, model.outputs),
        input_tensors=[fresh(tensor) for tensor in model.inputs],
        call_function=call,
    )
    order = ("pitch", "level", "instrument", "mfcc")
    ends = sorted(copy.inputs, key=lambda tensor: order.index(tensor.name))
    cut = keras.Model(ends, copy.outputs[0], name="decoder")
    for layer in cut.layers:
        layer.set_weights(known[layer.name].get_weights())
    return cut


def static_envelope(config: DDSPConfig) -> keras.Model:
    """Builds the trivial baseline that any DDSP model has to beat.

    One harmonic spectrum and one noise filter for each instrument, never
    changing; the gains of both are affine in the loudness.

    Args:
        config: the sizes; `hidden`, `mlp_layers` and `gru_units` have no
            use here.

    Shapes:
        Those of `ddsp`.

    Returns:
        The model, with `instruments * (3 + harmonics + noise_bands)`
        parameters.
    """
    inputs = _inputs(config)
    level = LevelScale(name="level")(inputs["loudness"])
    instrument = inputs.get("instrument")
    if instrument is None:
        instrument = ops.ones_like(level)
    controls = StaticControls(
        config.harmonics, config.noise_bands, name="controls"
    )(level, instrument)
    audio = _synthesizer(config)(inputs["f0"], controls)
    return keras.Model(inputs, audio, name="static_envelope")
