"""Small trained models on real data, for benchmarks of what to prune.

Each function takes a seed and returns a `Subject`, compiled and not trained.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

from tf_diet.audio.datasets import load_notes, split
from tf_diet.audio.mu_law import encode, teacher
from tf_diet.demo.recipe import Recipe
from tf_diet.models.ddsp import ddsp
from tf_diet.models.wavenet import WaveNetConfig, wavenet


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
    notes = load_notes()
    parts = split(notes, seed=0)
    keras.utils.set_random_seed(seed)
    config = recipe.config(len(notes.instruments), notes.hop, notes.sample_rate)
    model = ddsp(config)
    length, step = recipe.crop_frames, recipe.crop_frames
    starts = range(0, parts["train"].f0.shape[1] - length + 1, step)

    def crops(part: Any) -> tuple[Any, Any]:
        x, hop = part.inputs(), part.hop
        audio = [part.audio[:, s * hop : (s + length) * hop] for s in starts]
        cut = {
            name: np.concatenate([v[:, s : s + length] for s in starts])
            for name, v in x.items()
        }
        return cut, np.concatenate(audio)

    train = crops(parts["train"])
    recipe.compile(model, 10**6)
    return Subject(model, train, crops(parts["test"]), 15, recipe.batch)


def small_wavenet(seed: int) -> Subject:
    """Eight layers on pieces of the notes that ship, mu-law codes."""
    parts = split(load_notes(), seed=0)
    samples, pieces = 1024, 4
    keras.utils.set_random_seed(seed)
    config = WaveNetConfig(
        cycles=2, layers=4, channels=24, skip_channels=48, seed=seed
    )
    model = wavenet(config)

    def codes(part: Any) -> tuple[Any, Any]:
        # Past the attack, where there is a note to tell.
        cut = part.audio[:, 4096 : 4096 + pieces * samples]
        x, y = teacher(encode(cut.reshape(-1, samples)))
        return {"codes": x}, y

    model.compile(
        keras.optimizers.Adam(4e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return Subject(model, codes(parts["train"]), codes(parts["test"]), 20, 4)


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
