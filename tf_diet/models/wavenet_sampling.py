# SPDX-License-Identifier: MIT
"""Sound out of a WaveNet: a sample at a time, from what it remembers.

A dilated convolution reads one sample now and one `dilation` samples ago: what
every block has read is kept in a ring, so that a sample costs as many steps as
there are blocks, however far the net hears.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tf_diet.arrays import Array, Floats32, Ints32
from tf_diet.errors import InputError
from tf_diet.progress import track

# Samples that are made in one compiled call where there are no frames.
_CHUNK = 512


def generate(
    model: keras.Model,
    samples: int,
    *,
    conditioning: ArrayLike | None = None,
    instrument: ArrayLike | None = None,
    temperature: float = 1.0,
    prime: ArrayLike | None = None,
    batch: int | None = None,
    seed: int = 0,
) -> Ints32:
    """Draws codes from a WaveNet, each from those before it.

    The first code is predicted from silence, `classes // 2`, as in
    `tf_diet.audio.mu_law.teacher`; the code drawn at a sample is read at the
    next one.

    Args:
        model: from `wavenet`, pruned or not.
        samples: how many codes.
        conditioning: frames, where the model has them; each is held for
            `hop` samples.
        instrument: an integer a sound, where the model has instruments.
        temperature: below 1 for likelier codes, 0 for the likeliest.
        prime: codes to begin with; they are read, and come out first.
        batch: sounds at a time, where nothing else tells.
        seed: of the draws. The same seed gives the same codes.

    Shapes:
        conditioning (batch, frames, features); instrument (batch,); prime
        (batch, primed).

    Returns:
        int32 codes, (batch, samples). `mu_law.decode` makes them audio.

    Raises:
        InputError: the model is no WaveNet, or what it needs is missing or
            does not fit.

    Source:
        Paine et al., "Fast Wavenet Generation Algorithm", 2016.
    """
    net = _Net(model)
    given = net.given(conditioning, instrument, prime, batch, samples)
    if not temperature >= 0 or samples < 1:
        raise InputError(
            "Generation needs samples to make and a temperature of 0 or more. "
            f"Received: samples={samples}, temperature={temperature}."
        )
    uniform = np.random.default_rng(seed).random(
        (samples, given.batch), np.float32
    )
    parts = net.run(given, samples, uniform, temperature, logits=False)
    return np.concatenate(list(parts), axis=1)


def cached_logits(
    model: keras.Model,
    codes: ArrayLike,
    *,
    conditioning: ArrayLike | None = None,
    instrument: ArrayLike | None = None,
) -> Floats32:
    """Returns the logits of given codes, found sample by sample.

    They are those of `model` on `mu_law.teacher(codes)[0]`, which is how the
    rings are tested.

    Args:
        model: from `wavenet`, pruned or not.
        codes: the codes that are read, each after it was predicted.
        conditioning: frames, where the model has them.
        instrument: an integer a sound, where the model has instruments.

    Shapes:
        codes (batch, samples); conditioning (batch, frames, features);
        instrument (batch,); logits (batch, samples, classes).

    Raises:
        InputError: the model is no WaveNet, or what it needs is missing or
            does not fit.
    """
    net = _Net(model)
    codes = np.asarray(codes)
    samples = codes.shape[1]
    given = net.given(conditioning, instrument, codes, None, samples)
    uniform = np.zeros((samples, given.batch), np.float32)
    parts = net.run(given, samples, uniform, 1.0, logits=True)
    return np.concatenate(list(parts), axis=1)


@dataclass(frozen=True, eq=False)
class _Given:
    """What a sound is made from: frames, instrument, first codes."""

    frames: Floats32 | None
    instrument: Ints32 | None
    prime: Ints32

    @property
    def batch(self) -> int:
        """Sounds that are made at a time."""
        return len(self.prime)


class _Net(keras.Model):
    """A WaveNet's layers by their names, run over a chunk of samples."""

    def __init__(self, net: keras.Model) -> None:
        super().__init__(name="sampling")
        self.net = net
        self.blocks = _blocks(net)
        self.dilations = [
            net.get_layer(f"{name}_gate").dilation_rate[0]
            for name in self.blocks
        ]
        self.classes = net.output_shape[-1]
        self.takes = [tensor.name for tensor in net.inputs]
        self.hop = _CHUNK
        if "conditioning" in self.takes:
            self.hop = net.get_layer(f"{self.blocks[0]}_held").size
        # What is left of the layers is small: without XLA, most of the time
        # would go into starting operations.
        self.compile(jit_compile=True)

    def given(
        self,
        conditioning: ArrayLike | None,
        instrument: ArrayLike | None,
        prime: ArrayLike | None,
        batch: int | None,
        samples: int,
    ) -> _Given:
        """Checks what a sound is made from.

        Raises:
            InputError: something is missing, or does not fit.
        """
        named = {"conditioning": conditioning, "instrument": instrument}
        for name, value in named.items():
            if (value is None) == (name in self.takes):
                raise InputError(
                    f"This WaveNet has {'an' if value is None else 'no'} "
                    f"input {name!r}. Received: {name}="
                    f"{None if value is None else np.shape(value)}. "
                    f"{'Pass it' if value is None else 'Leave it out'}."
                )
        shapes = {
            name: np.shape(value)
            for name, value in {**named, "prime": prime}.items()
            if value is not None
        }
        single = [name for name, shape in shapes.items() if not shape]
        if single:
            raise InputError(
                "What sounds are made from is given for each sound. Received: "
                f"one value for {', '.join(single)}. Put it into a list: "
                f"{single[0]}=[...]."
            )
        sizes = {name: shape[0] for name, shape in shapes.items()}
        if batch is not None:
            sizes["batch"] = batch
        if len(set(sizes.values())) > 1:
            raise InputError(
                "All that sounds are made from must be for as many sounds. "
                f"Received: {sizes}."
            )
        number = next(iter(sizes.values()), 1)
        frames, numbers, codes = None, None, np.empty((number, 0), np.int32)
        if conditioning is not None:
            frames = self._frames(conditioning, samples)
        if instrument is not None:
            numbers = np.asarray(instrument, np.int32).reshape(number, 1)
        if prime is not None:
            codes = np.asarray(prime)
        if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer):
            raise InputError(
                "The first codes must be integers (batch, codes). Received: "
                f"{codes.dtype} of shape {codes.shape}."
            )
        return _Given(frames, numbers, codes.astype(np.int32))

    def _frames(self, conditioning: ArrayLike, samples: int) -> Floats32:
        frames = np.asarray(conditioning, np.float32)
        needed = -(-samples // self.hop)
        width = self.net.get_layer("conditioning").batch_shape[-1]
        if frames.ndim != 3 or frames.shape[2] != width:
            raise InputError(
                f"Conditioning must have shape (batch, frames, {width}). "
                f"Received: {frames.shape}."
            )
        if frames.shape[1] < needed:
            raise InputError(
                f"{samples} samples need {needed} frames of {self.hop}. "
                f"Received: {frames.shape[1]}. Give more frames, or ask for "
                "fewer samples."
            )
        return frames

    def run(
        self,
        given: _Given,
        samples: int,
        uniform: Floats32,
        temperature: float,
        *,
        logits: bool,
    ) -> Iterator[Array]:
        """Yields codes, or logits, chunk by chunk."""
        rings = self._rings(given.batch)
        code = np.full(given.batch, self.classes // 2, np.int32)
        forced = np.full((samples, given.batch), -1, np.int32)
        primed = given.prime[:, :samples].T
        forced[: len(primed)] = primed
        self.logits = logits
        for start in track(range(0, samples, self.hop), "generating"):
            chunk = slice(start, min(start + self.hop, samples))
            # Every call has one shape, and is compiled once.
            short = self.hop - (chunk.stop - chunk.start)
            inputs = {
                "code": code,
                "start": np.array([start], np.int32),
                "forced": _filled(forced[chunk], short),
                "uniform": _filled(uniform[chunk], short),
                "temperature": np.array([temperature], np.float32),
                "rings": rings,
            }
            if given.frames is not None:
                inputs["frame"] = given.frames[:, start // self.hop]
            if given.instrument is not None:
                inputs["instrument"] = given.instrument
            code, rings, made = self.predict_on_batch(inputs)
            yield np.moveaxis(made, 0, 1)[:, : chunk.stop - chunk.start]

    def _rings(self, batch: int) -> list[Floats32]:
        """Returns what blocks remember before the first sample: nothing."""
        rings = []
        for name, dilation in zip(self.blocks, self.dilations, strict=True):
            taps, width, _ = self.net.get_layer(f"{name}_gate").kernel.shape
            length = max((taps - 1) * dilation, 1)
            rings.append(np.zeros((batch, length, width), np.float32))
        return rings

    def call(self, inputs: Mapping[str, Any]) -> Any:
        """Makes a chunk of samples; traced once."""
        told = self._told(inputs)

        size, batch = inputs["forced"].shape
        shape = (size, batch, *([self.classes] if self.logits else []))
        made = ops.zeros(shape, "float32" if self.logits else "int32")

        def step(number: Any, carry: Any) -> Any:
            code, rings, made = carry
            forced, uniform = (
                ops.take(inputs[name], number, axis=0)
                for name in ("forced", "uniform")
            )
            at = inputs["start"][0] + number
            logits, rings = self._step(code, at, rings, told)
            drawn = _draw(logits, uniform, inputs["temperature"])
            code = ops.where(forced >= 0, forced, drawn)
            new = (logits if self.logits else code)[None]
            start = (number, *[0] * (len(shape) - 1))
            return code, rings, ops.slice_update(made, start, new)

        carry = (inputs["code"], inputs["rings"], made)
        return ops.fori_loop(0, size, step, carry)

    def _told(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Returns what conditions each block throughout a chunk."""
        told = []
        if "frame" in inputs:
            scaled = self.net.get_layer("frames_scaled")
            frame = scaled(inputs["frame"][:, None])
        for name in self.blocks:
            sums: Any = 0.0
            if "frame" in inputs:
                layer = self.net.get_layer(f"{name}_condition")
                sums = layer(frame)[:, 0]
            if "instrument" in inputs:
                layer = self.net.get_layer(f"{name}_instrument")
                sums = sums + layer(inputs["instrument"])[:, 0]
            told.append(sums)
        return told

    def _step(
        self, code: Any, at: Any, rings: Sequence[Any], told: Sequence[Any]
    ) -> tuple[Any, list[Any]]:
        """Returns the logits of one sample, and what is remembered."""
        x = self.net.get_layer("embedding")(code)
        skips: Any = 0.0
        kept = []
        for name, dilation, ring, sums in zip(
            self.blocks, self.dilations, rings, told, strict=True
        ):
            gate = self.net.get_layer(f"{name}_gate")
            both, ring = _convolved(gate, dilation, x, at, ring)
            kept.append(ring)
            signal, opened = ops.split(both + sums, 2, axis=-1)
            z = ops.tanh(signal) * ops.sigmoid(opened)
            skips = skips + self._dense(f"{name}_skip", z)
            if f"{name}_residual" in self.names:
                x = x + self._dense(f"{name}_residual", z)
        hidden = ops.relu(self._dense("hidden", ops.relu(skips)))
        return self._dense("logits", hidden), kept

    @property
    def names(self) -> set[str]:
        """The layers that the net has."""
        return {layer.name for layer in self.net.layers}

    def _dense(self, name: str, x: Any) -> Any:
        layer = self.net.get_layer(name)
        return ops.matmul(x, layer.kernel[0]) + layer.bias


def _blocks(net: keras.Model) -> list[str]:
    """Returns the names of the blocks, in order.

    Raises:
        InputError: it is no WaveNet.
    """
    names = [layer.name for layer in net.layers]
    blocks = [n.removesuffix("_gate") for n in names if n.endswith("_gate")]
    needed = {"embedding", "hidden", "logits"}
    if not blocks or not needed <= set(names):
        raise InputError(
            f"The model {net.name!r} is no WaveNet: it has no layers named "
            f"'block_0_gate', {', '.join(sorted(needed))}. Received layers: "
            f"{', '.join(names[:8])}. Build it with tf_diet.models.wavenet."
        )
    return sorted(blocks, key=lambda name: int(name.rpartition("_")[2]))


def _filled(rows: Array, short: int) -> Array:
    return np.pad(rows, ((0, short), (0, 0)))


def _convolved(
    layer: Any, dilation: int, x: Any, at: Any, ring: Any
) -> tuple[Any, Any]:
    """One output of a causal dilated convolution; the ring, turned on."""
    taps, width, outputs = layer.kernel.shape
    length = (taps - 1) * dilation
    read = x
    if length:
        # Not slices: XLA would compile anew for every place to begin at.
        back = dilation * np.arange(taps - 1, 0, -1)
        old = ops.take(ring, (at - back) % length, axis=1)
        read = ops.concatenate([old, x[:, None]], axis=1)
        read = ops.reshape(read, (-1, taps * width))
        ring = ops.slice_update(ring, (0, at % length, 0), x[:, None])
    kernel = ops.reshape(layer.kernel, (taps * width, outputs))
    return ops.matmul(read, kernel) + layer.bias, ring


def _draw(logits: Any, uniform: Any, temperature: Any) -> Any:
    """Returns a code for each sound, by inverting its distribution."""
    likeliest = ops.cast(ops.argmax(logits, axis=-1), "int32")
    warm = ops.maximum(temperature, 1e-6)
    reached = ops.cumsum(ops.softmax(logits / warm), axis=-1)
    # Of all, and not of 1: the sum may fall short of 1 by a rounding.
    below = reached <= uniform[:, None] * reached[:, -1:]
    drawn = ops.sum(ops.cast(below, "int32"), axis=-1)
    drawn = ops.minimum(drawn, logits.shape[-1] - 1)
    return ops.where(temperature > 0, drawn, likeliest)
