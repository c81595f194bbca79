# SPDX-License-Identifier: MIT
"""Convolutions: filters, columns of groups, whole groups, multiples."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.pruning.trim import trim
from tf_diet.testing import assert_law, random_kept

IMAGE = (6, 6, 8)


def around(layer, shape=IMAGE, channels=None):
    """A model of a pointwise convolution, the layer, and another one."""
    x = keras.Input(shape)
    h = layers.Dense(channels or shape[-1], name="before")(x)
    return keras.Model(x, layers.Dense(2)(layer(h)))


def units_of(model, rate=0.5, seed=0):
    graph = assert_law(model, rate=rate, seed=seed)
    assert not graph.barriers
    return {group.name.split("_")[0]: group.n_units for group in graph.groups}


LAYERS = {
    "plain": (lambda: layers.Conv2D(7, 3, name="c"), {"before": 8, "c": 7}),
    "one filter": (
        lambda: layers.Conv2D(1, 3, name="c"),
        {"before": 8, "c": 1},
    ),
    "dilated": (
        lambda: layers.Conv2D(7, 3, dilation_rate=2, use_bias=False, name="c"),
        {"before": 8, "c": 7},
    ),
    "columns": (
        lambda: layers.Conv2D(12, 3, groups=2, strides=2, name="c"),
        {"before": 4, "c": 6},
    ),
    "groups": (
        lambda: layers.Conv2D(8, 3, groups=4, padding="same", name="c"),
        {"before": 4},
    ),
    "groups, wider": (
        lambda: layers.Conv2D(24, 3, groups=8, activation="relu", name="c"),
        {"before": 8},
    ),
    "depthwise-like": (
        lambda: layers.Conv2D(8, 3, groups=8, use_bias=False, name="c"),
        {"before": 8},
    ),
    "much wider": (
        lambda: layers.Conv2D(96, 1, groups=8, name="c"),
        {"c": 12},
    ),
    "depthwise": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="c"),
        {"before": 8},
    ),
    "more multiples than channels": (
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=12, name="c"),
        {"c": 12},
    ),
    "separable": (
        lambda: layers.SeparableConv2D(7, 3, depth_multiplier=2, name="c"),
        {"before": 8, "c": 7},
    ),
    "separable with many": (
        lambda: layers.SeparableConv2D(7, 3, depth_multiplier=9, name="c"),
        {"c": 7, "c.depth": 9},
    ),
    "transposed": (
        lambda: layers.Conv2DTranspose(
            7, 3, strides=2, output_padding=1, padding="same", name="c"
        ),
        {"before": 8, "c": 7},
    ),
    "gelu": (
        lambda: layers.Conv2D(7, 3, activation=ops.gelu, name="c"),
        {"before": 8, "c": 7},
    ),
    "a layer": (
        lambda: layers.Conv2D(7, 3, activation=layers.ReLU(6.0), name="c"),
        {"before": 8, "c": 7},
    ),
    "softmax": (
        lambda: layers.Conv2D(7, 3, activation="softmax", name="c"),
        {"before": 8},
    ),
    "softmax in groups": (
        lambda: layers.Conv2D(8, 3, groups=8, activation="softmax", name="c"),
        {},
    ),
    "slopes inside": (
        lambda: layers.Conv2D(
            7, 3, activation=layers.PReLU(shared_axes=[1, 2]), name="c"
        ),
        {"before": 8},
    ),
    "sparsemax": (
        lambda: layers.SeparableConv2D(
            7, 3, activation=keras.activations.sparsemax, name="c"
        ),
        {"before": 8},
    ),
    "resized": (
        lambda: layers.Resizing(4, 9, interpolation="bilinear"),
        {"before": 8},
    ),
    "cropped": (lambda: layers.CenterCrop(4, 3), {"before": 8}),
    "up, bicubic": (
        lambda: layers.UpSampling2D((2, 3), interpolation="bicubic"),
        {"before": 8},
    ),
    "up, lanczos": (
        lambda: layers.UpSampling2D(2, interpolation="lanczos5"),
        {"before": 8},
    ),
    "adaptive": (
        lambda: layers.AdaptiveAveragePooling2D((2, 3)),
        {"before": 8},
    ),
    "adaptive max": (
        lambda: layers.AdaptiveMaxPooling2D((2, 4)),
        {"before": 8},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_units_of_layers(name):
    make, units = LAYERS[name]
    assert units_of(around(make())) == units


def test_a_function_that_bears_a_shipped_name_is_not_trusted():
    def relu6(x):
        return x - ops.mean(x, axis=-1, keepdims=True)

    assert units_of(around(layers.Conv2D(7, 3, activation=relu6))) == {
        "before": 8
    }


def data(layer, shape=(6, 6, 4)):
    x = keras.Input(shape)
    return keras.Model(x, layers.Dense(2)(layer(x)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "units"),
    [
        (lambda: layers.Conv2D(12, 3, groups=2, name="c"), {"c": 6}),
        (lambda: layers.Conv2D(4, 3, groups=4, name="c"), {}),
        (
            lambda: layers.DepthwiseConv2D(3, depth_multiplier=3, name="c"),
            {"c": 3},
        ),
        (lambda: layers.DepthwiseConv2D(3, name="c"), {}),
        (
            lambda: layers.SeparableConv2D(5, 3, depth_multiplier=3, name="c"),
            {"c": 5, "c.depth": 3},
        ),
    ],
)
def test_what_reads_data_prunes_its_own_filters(make, units):
    assert units_of(data(make())) == units


@pytest.mark.slow
def test_one_dimension_and_three():
    def ends(rank):
        x = keras.Input((5,) * rank + (6,))
        h = layers.Dense(6, name="before")(x)
        kind = getattr(layers, f"Conv{rank}D")
        h = kind(6, 2, groups=3, padding="same", name="c")(h)
        kind = getattr(layers, f"Conv{rank}DTranspose")
        h = kind(5, 2, name="t")(h)
        return keras.Model(x, layers.Dense(2)(h))

    assert (
        units_of(ends(1)) == units_of(ends(3)) == {"before": 2, "c": 2, "t": 5}
    )


def test_whole_groups_are_recounted_and_come_down_to_one():
    model = around(layers.Conv2D(16, 3, groups=8, name="c"))
    graph = build(model)
    for kept in ([0, 3, 5], [6]):
        small = trim(model, graph, graph.alive({"before": kept}))
        layer = small.get_layer("c")
        assert (layer.groups, layer.filters) == (len(kept), 2 * len(kept))
        assert layer._kernel.shape == (3, 3, 1, 2 * len(kept))
        assert layer.get_config()["groups"] == len(kept)
    assert [g.n_units for g in build(small).groups] == [1, 2]


def test_a_grouped_convolution_beside_a_residual_path():
    x = keras.Input((6, 6, 3))
    h = layers.Conv2D(12, 1, name="stem")(x)
    g = layers.Conv2D(12, 3, groups=6, padding="same", name="c")(h)
    h = layers.Add()([h, layers.BatchNormalization()(g)])
    model = keras.Model(x, layers.Dense(2)(h))
    assert units_of(model, rate=0.6, seed=1) == {"stem": 6}


def test_a_shared_grouped_convolution():
    x, conv = keras.Input((6, 6, 3)), layers.Conv2D(8, 1, groups=4, name="c")
    h = conv(layers.Conv2D(8, 1, name="a")(x))
    h = layers.Add()([h, conv(layers.Conv2D(8, 1, name="b")(x))])
    units = units_of(keras.Model(x, layers.Dense(2)(h)))
    assert list(units.values()) == [4]


KERNEL = np.random.default_rng(0).normal(size=(3, 3, 8, 5)).astype("float32")
OPERATIONS = {
    "conv": lambda h: ops.conv(h, KERNEL, padding="same"),
    "depthwise": lambda h: ops.depthwise_conv(h, KERNEL[..., :2]),
    "separable": lambda h: ops.separable_conv(
        h, KERNEL[..., :1], KERNEL[:1, :1]
    ),
    "max": lambda h: ops.max_pool(h, 2, 2),
    "average": lambda h: ops.average_pool(h, (2, 3), 1, "same"),
    "batch": lambda h: ops.batch_normalization(
        h, KERNEL[0, 0, :, 0], KERNEL[0, 0, :, 1] ** 2, axis=-1
    ),
    "batch with all": lambda h: ops.batch_normalization(
        h,
        KERNEL[0, 0, :, 0],
        KERNEL[0, 0, :, 1] ** 2,
        -1,
        offset=KERNEL[0, 0, :, 2],
        scale=KERNEL[0, 0, :, 3],
    ),
    "rms": ops.rms_normalization,
    "rms with scale": lambda h: ops.rms_normalization(
        h, KERNEL[0, 0, :, 0], epsilon=0.3
    ),
    "rms with a number": lambda h: ops.rms_normalization(h, 3.0),
    "layer over the rest": lambda h: ops.layer_normalization(h, axis=1),
    "unit": ops.normalize,
    "first order": lambda h: ops.normalize(h, order=1),
    "third order": lambda h: ops.normalize(h, order=3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_let_single_channels_go(name):
    assert units_of(around(OPERATIONS[name])) == {"before": 8}


PINNED = {
    "of a wrong shape": lambda h: ops.adaptive_average_pool(h, (2, 3)),
    "layer": lambda h: ops.layer_normalization(
        h, KERNEL[0, 0, :, 0], KERNEL[0, 0, :, 1]
    ),
}


@pytest.mark.parametrize("name", PINNED)
def test_operations_that_keep_channels(name):
    assert units_of(around(PINNED[name])) == {}


def test_a_kernel_that_the_model_reads_keeps_the_channels():
    x, k = keras.Input((6, 6, 3)), keras.Input(batch_shape=(2, 2, 8, 4))
    h = layers.Dense(8, name="before")(x)
    model = keras.Model([x, k], layers.Dense(2)(ops.conv(h, k)))
    reasons = {p.name: p.reason for p in build(model).pinned}
    assert "kernel that cannot be cut" in reasons["before"]


def test_tied_kernel_and_channels():
    x, k = keras.Input((6, 6, 3)), keras.Input(batch_shape=(2, 2, 8, 4))
    h = layers.Dense(8, name="before")(x)
    kernel = layers.Permute((1, 3, 2))(k)
    kernel = layers.Dense(8, name="inwards")(kernel)
    kernel = layers.Permute((1, 3, 2))(kernel)
    kernel = layers.Dense(5, name="outwards")(kernel)
    y = layers.Dense(2)(ops.conv(h, kernel))
    rng = np.random.default_rng(0)
    graph = assert_law(
        keras.Model([x, k], y),
        x=[
            rng.normal(size=(2, 6, 6, 3)).astype("float32"),
            rng.normal(size=(2, 2, 8, 4)).astype("float32"),
        ],
    )
    assert [g.n_units for g in graph.groups] == [8, 5]
    paths = {m.path for m in graph.groups[0].members}
    assert {"before/kernel", "inwards/kernel"} <= paths


def test_transposed_kernels_hold_outputs_before_inputs():
    # Keras 3.15 cannot run this operation once it is in a model.
    x, k = keras.Input((6, 6, 3)), keras.Input(batch_shape=(2, 2, 8, 4))
    h = layers.Dense(8, name="before")(x)
    fixed = ops.conv_transpose(h, KERNEL.transpose(0, 1, 3, 2))
    y = ops.conv_transpose(h, layers.Dense(8, name="inwards")(k))
    graph = build(keras.Model([x, k], [layers.Dense(2)(fixed), y]))
    assert [g.n_units for g in graph.groups] == [8]
    paths = {m.path for m in graph.groups[0].members}
    assert {"before/kernel", "inwards/kernel"} <= paths


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="TensorFlow needs a GPU for it"
)
def test_channels_first():
    x = keras.Input((3, 8, 8))
    first = {"data_format": "channels_first"}
    h = layers.Conv2D(8, 3, padding="same", **first)(x)
    h = layers.Conv2D(8, 3, groups=4, padding="same", **first)(h)
    h = layers.GroupNormalization(4, axis=1)(h)
    h = layers.DepthwiseConv2D(3, padding="same", **first)(h)
    h = layers.BatchNormalization(axis=1)(h)
    h = layers.PReLU(shared_axes=[2, 3])(h)
    h = layers.SeparableConv2D(6, 3, padding="same", **first)(h)
    h = layers.Conv2DTranspose(7, 3, **first)(h)
    h = layers.UpSampling2D(2, interpolation="bilinear", **first)(h)
    h = layers.ZeroPadding2D(1, **first)(layers.Cropping2D(1, **first)(h))
    h = ops.max_pool(h, 2, 2, data_format="channels_first")
    h = ops.conv(h, KERNEL[:, :, :7], data_format="channels_first")
    h = layers.Conv2D(6, 1, **first)(h)
    h = layers.AveragePooling2D(2, **first)(h)
    h = layers.GlobalAveragePooling2D(keepdims=True, **first)(h)
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(h)))
    graph = assert_law(model, rate=0.6)
    assert [g.n_units for g in graph.groups] == [4, 6, 7, 6]


def test_edited_operations_survive_saving(tmp_path):
    x = keras.Input(IMAGE)
    h = layers.Dense(8, name="before")(x)
    h = ops.rms_normalization(ops.conv(h, KERNEL), epsilon=0.1)
    h = layers.Dense(8, name="middle")(h)
    h = ops.rms_normalization(h, epsilon=0.1)
    model = keras.Model(x, layers.Dense(2)(h))
    graph = build(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    x = np.random.default_rng(0).normal(size=(2, *IMAGE)).astype("float32")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(again(x)),
        keras.ops.convert_to_numpy(small(x)),
        rtol=1e-5,
        atol=1e-6,
    )
