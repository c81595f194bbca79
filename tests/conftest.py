# SPDX-License-Identifier: MIT
"""What every test shares."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest

import tf_diet  # noqa: F401


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(7)
    keras.backend.clear_session(free_memory=False)
