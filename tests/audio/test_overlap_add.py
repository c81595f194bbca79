# SPDX-License-Identifier: MIT
"""Frames of a sound, and the sound of frames."""

import keras
import numpy as np
import pytest

from tf_diet.audio.overlap_add import Frames, OverlapAdd, window_of
from tf_diet.errors import InputError


@pytest.mark.parametrize(("size", "hop"), [(64, 16), (96, 32), (40, 8)])
def test_overlapping_ones_add_up_to_one(size, hop):
    frames = np.ones((2, 12, size), "float32")
    sound = OverlapAdd(size, hop)(frames)
    assert sound.shape == (2, 11 * hop + size)
    inner = np.asarray(sound)[:, size - hop : -(size - hop)]
    np.testing.assert_allclose(inner, 1.0, atol=1e-6)
    cut = OverlapAdd(size, hop, margin=size - size % hop)(frames)
    np.testing.assert_allclose(np.asarray(cut), 1.0, atol=1e-6)


def test_both_are_what_numpy_makes():
    size, hop, margin = 12, 4, 8
    rng = np.random.default_rng(0)
    sound = rng.normal(size=(3, 40)).astype("float32")
    window = window_of(size, hop)
    padded = np.pad(sound, ((0, 0), (margin, margin)))
    count = (padded.shape[1] - size) // hop + 1
    wanted = np.stack(
        [padded[:, i * hop : i * hop + size] * window for i in range(count)],
        axis=1,
    )
    layer = Frames(size, hop, margin)
    np.testing.assert_allclose(np.asarray(layer(sound)), wanted, rtol=1e-6)
    assert layer.compute_output_shape((3, 40)) == (3, count, size)

    frames = rng.normal(size=(3, count, size)).astype("float32")
    total = np.zeros((3, (count - 1) * hop + size))
    for i in range(count):
        total[:, i * hop : i * hop + size] += frames[:, i] * window
    layer = OverlapAdd(size, hop, margin)
    np.testing.assert_allclose(
        np.asarray(layer(frames)), total[:, margin:-margin], atol=1e-5
    )
    assert layer.compute_output_shape((3, count, size)) == (3, 40)


def test_a_strided_convolution_is_frames_and_a_dense_layer():
    sound = np.random.default_rng(1).normal(size=(2, 64)).astype("float32")
    kernel = np.random.default_rng(2).normal(size=(12, 1, 5)).astype("float32")
    windowed = kernel * window_of(12, 4)[:, None, None]
    wanted = keras.ops.conv(sound[..., None], windowed, 4, "valid")
    got = keras.ops.matmul(Frames(12, 4)(sound), kernel[:, 0])
    np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), atol=1e-5)


def test_what_does_not_fit():
    with pytest.raises(InputError, match="three whole hops"):
        Frames(64, 48)(np.zeros((1, 480), "float32"))
    with pytest.raises(InputError, match="whole hops of 16"):
        Frames(64, 16)(np.zeros((1, 100), "float32"))
    with pytest.raises(InputError, match="margin"):
        Frames(64, 16, 5)(np.zeros((1, 160), "float32"))
    with pytest.raises(InputError, match="frames of 64 samples"):
        OverlapAdd(64, 16)(np.zeros((1, 5, 32), "float32"))
