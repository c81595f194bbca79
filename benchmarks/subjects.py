# SPDX-License-Identifier: MIT
"""Small trained models on real data, for benchmarks of what to prune.

Each function takes a seed and returns a `Subject`, compiled and not trained.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import librosa
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

from tf_diet.audio.mu_law import encode, teacher
from tf_diet.demo.recipe import Recipe, shipped_notes, split_notes
from tf_diet.models.ddsp_network import ddsp
from tf_diet.models.examples import ddsp_clips
from tf_diet.models.wavenet_network import WaveNetConfig, wavenet

# Samples of a piece, and those of a note before there is a tone to tell.
PIECE, ATTACK = 512, 2048


@dataclass(frozen=True)
class Subject:
    """A compiled model with its data.

    Args:
        model: not trained yet.
        train: `(x, y)`; calibration data too.
        test: `(x, y)`, of other recordings or writers.
        epochs: of the first training.
        batch: examples in a batch.
    """

    model: keras.Model
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    epochs: int
    batch: int


def ddsp_decoder(seed: int) -> Subject:
    """The decoder of the demo, half as wide, on the notes that ship."""
    recipe = Recipe(hidden=128)
    notes = shipped_notes()
    parts = split_notes(notes)
    keras.utils.set_random_seed(seed)
    how = notes.settings
    config = recipe.config(len(notes.instruments), how.hop, how.sample_rate)
    model = ddsp(config)
    train, test = (
        ddsp_clips(config, parts[name], recipe.crop_frames)
        for name in ("train", "test")
    )
    recipe.compile(model, 10**6)
    return Subject(model, train, test, 15, recipe.batch)


def small_wavenet(seed: int) -> Subject:
    """Eight layers on pieces of the notes that ship, mu-law of 64 codes.

    The few notes are played at other speeds and levels, or the net learns
    them by heart within five epochs.
    """
    audio = {
        name: part.arrays(["audio"])["audio"]
        for name, part in split_notes(shipped_notes()).items()
    }
    config = WaveNetConfig(
        cycles=2, layers=4, channels=24, skip_channels=48, classes=64, seed=seed
    )
    keras.utils.set_random_seed(seed)
    model = wavenet(config)
    model.compile(
        keras.optimizers.AdamW(2e-3, weight_decay=0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def codes(sounds: Any) -> tuple[Any, Any]:
        x, y = teacher(encode(sounds, config.classes), config.classes)
        return {"codes": x}, y

    sung = audio["test"][:, ATTACK : ATTACK + 8 * PIECE]
    train = codes(_pieces(audio["train"], 640))
    test = codes(sung.reshape(-1, PIECE))
    return Subject(model, train, test, 10, 16)


def _pieces(audio: Any, count: int) -> Any:
    """Returns pieces of notes at random speeds and levels."""
    draw = np.random.default_rng(0)
    speeds = [
        librosa.resample(
            audio, orig_sr=speed, target_sr=10, res_type="polyphase"
        )
        for speed in (7, 8, 9, 10, 11, 12, 14)
    ]
    pieces = []
    for _ in range(count):
        notes = speeds[draw.integers(len(speeds))]
        note = notes[draw.integers(len(notes))]
        start = draw.integers(ATTACK, len(note) - PIECE)
        piece = note[start : start + PIECE]
        pieces.append(piece * draw.uniform(0.4, 1))
    return np.stack(pieces)


def digit_classifier(seed: int) -> Subject:
    """A convolutional net on scikit-learn's digits, twice their size."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1) / 16
    x = images.repeat(2, axis=1).repeat(2, axis=2).astype("float32")
    y = labels.astype("int64")
    # In order of writing: the last third has other writers.
    cut = 1200
    keras.utils.set_random_seed(seed)
    image = keras.Input((16, 16, 1))
    h = image
    for width in (24, 48, 48):
        h = layers.Conv2D(width, 3, padding="same", use_bias=False)(h)
        h = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(h))
        h = layers.MaxPooling2D()(h)
    h = layers.Dense(96, "relu")(layers.Flatten()(h))
    model = keras.Model(image, layers.Dense(10)(h), name="digits")
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Subject(model, (x[:cut], y[:cut]), (x[cut:], y[cut:]), 12, 64)


SUBJECTS: dict[str, Callable[[int], Subject]] = {
    function.__name__: function
    for function in (ddsp_decoder, small_wavenet, digit_classifier)
}
