# SPDX-License-Identifier: MIT
"""Operations on images, with what is left to prune of six channels."""

import numpy as np
from keras import ops

TRANSFORM = np.array([[1.0, 0.1, 0, 0.1, 1.0, 0, 0, 0]] * 2, "float32")


def test_channels_pass(units_through):
    functions = {
        "resize": lambda h: ops.image.resize(h, (3, 5)),
        "crop": lambda h: ops.image.crop_images(h, 1, 1, 1, 1),
        "pad": lambda h: ops.image.pad_images(h, 1, 1, 1, 1),
        "blur": lambda h: ops.image.gaussian_blur(h),
        "affine": lambda h: ops.image.affine_transform(h, TRANSFORM),
        "patches": lambda h: ops.image.extract_patches(h, 2),
        "space to depth": lambda h: ops.nn.space_to_depth(h, 2),
    }
    left = units_through(functions, shape=(4, 4, 3))
    assert left == dict.fromkeys(functions, 6)


def test_channels_of_a_block_go_together(units_through):
    functions = {"depth to space": lambda h: ops.nn.depth_to_space(h, 2)}
    assert units_through(functions, width=12, shape=(4, 4, 3)) == {
        "depth to space": 3
    }
