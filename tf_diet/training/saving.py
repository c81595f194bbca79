# SPDX-License-Identifier: MIT
"""Models as `.keras` files, each whole or not there."""

import warnings
from pathlib import Path

import keras

from tf_diet.files import replacing


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model in one move, optimizer state included."""
    with replacing(path) as temporary:
        model.save(temporary)


def load_model(path: Path) -> keras.Model:
    """Loads a model that was saved compiled, trained or not."""
    with warnings.catch_warnings():
        # An optimizer that has made no step yet has no slots to load.
        warnings.filterwarnings("ignore", "Skipping variable loading for opt")
        return keras.models.load_model(path)
