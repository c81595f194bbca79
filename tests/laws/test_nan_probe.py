# SPDX-License-Identifier: MIT
"""A second opinion on what is dead: not-a-number flows, zeros do not.

Inputs are NaN, and the removed channels of the layers that make units are put
to zero. What then comes out as a number anywhere in the graph must be what the
rules call dead, and nothing else: no rule is asked on the way.
"""

import graphs
import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.graph.calls import replay
from tf_diet.pruning.trim import trim
from tf_diet.testing import random_inputs, random_kept, randomise

pytestmark = pytest.mark.slow

# Not every backend's maximum lets NaN through.
STAND_INS = {
    layers.MaxPooling1D: layers.AveragePooling1D,
    layers.MaxPooling2D: layers.AveragePooling2D,
    layers.GlobalMaxPooling1D: layers.GlobalAveragePooling1D,
    layers.GlobalMaxPooling2D: layers.GlobalAveragePooling2D,
}


def stand_in(operation):
    kind = STAND_INS.get(type(operation))
    return kind.from_config(operation.get_config()) if kind else operation


def place_of(graph, key):
    """The axis of a tensor that has units; the last one if none has."""
    axes = graph.labels[key].axes
    known = [place for place, axis in enumerate(axes) if axis is not None]
    assert len(known) < 2
    return known[0] if known else len(axes) - 1


def run(graph, inputs, change, replace=lambda operation: operation):
    """Runs the model itself, with every tensor changed on the way."""

    def apply(call, args, kwargs):
        results = keras.tree.flatten(replace(call.operation)(*args, **kwargs))
        return [
            change(call, number, np.array(ops.convert_to_numpy(value)))
            for number, value in enumerate(results)
        ]

    return replay(graph.walk, inputs, apply)


def numbers(graph, alive):
    """Returns, per tensor, which channels come out as numbers."""
    removed = {}
    for group_number, group in enumerate(graph.groups):
        mine = graph.group_of == group_number
        lives = np.zeros(group.n_units, bool)
        lives[graph.unit_of[mine & alive]] = True
        for site in group.sites:
            gone = (site.units >= 0) & ~lives[site.units]
            key = site.call, site.output
            removed.setdefault(key, []).append((site.axis, gone))
    found = {}

    def change(call, number, value):
        key = call.outputs[number]
        if not any("float" in spec.dtype for spec in call.input_specs):
            value = np.full_like(value, np.nan)
        for axis, gone in removed.get((call.index, number), ()):
            np.moveaxis(value, axis, 0)[gone] = 0
        channels = np.moveaxis(value, place_of(graph, key), 0)
        finite = ~np.isnan(channels).reshape(len(channels), -1).any(axis=1)
        channels[finite] = 0
        found[key] = finite
        return value

    poisoned = []
    for key in graph.walk.inputs:
        spec = graph.walk.tensors[key]
        shape = [2 if size is None else size for size in spec.shape]
        empty = np.nan if "float" in spec.dtype else 0
        poisoned.append(np.full(shape, empty, spec.dtype))
    run(graph, poisoned, change, stand_in)
    return found


def embedded():
    tokens = keras.Input((5,), dtype="int32")
    h = layers.Embedding(8, 6)(tokens)
    h = layers.Conv1D(7, 2, padding="causal", activation="relu")(h)
    return keras.Model(tokens, layers.Dense(2)(layers.Flatten()(h)))


def permuted():
    x = keras.Input((5, 4))
    h = layers.Permute((2, 1))(layers.Dense(6)(x))
    h = layers.ZeroPadding1D(1)(ops.transpose(h, (0, 2, 1)))
    h = layers.LayerNormalization(axis=1)(h)
    return keras.Model(x, layers.Dense(2)(layers.PReLU()(h)))


def normalised():
    x = keras.Input((6, 6, 3))
    h = layers.Conv2D(8, 3)(x)
    h = layers.GroupNormalization(groups=4)(h)
    h = layers.Add()([h, layers.Conv2D(8, 1)(layers.LeakyReLU()(h))])
    h = layers.Conv2DTranspose(5, 2, strides=2)(h)
    return keras.Model(x, layers.Conv2D(2, 1)(layers.UpSampling2D()(h)))


MODELS = [
    embedded,
    graphs.gated_slices,
    graphs.nested_and_shared,
    graphs.sequential,
    graphs.small_convnet,
    graphs.squeeze_and_excite,
    graphs.tiny_wavenet,
    graphs.mobilenet,
    normalised,
    permuted,
]


def dead(graph, alive):
    """Returns, per tensor, which channels the removal has made numbers."""
    before = numbers(graph, graph.everything)
    after = numbers(graph, alive)
    return {key: after[key] & ~before[key] for key in after}


def expected(graph, alive, key):
    axis = graph.labels[key].axes[place_of(graph, key)]
    return None if axis is None else ~alive[axis]


@pytest.mark.parametrize("make", MODELS)
def test_numbers_among_nan_are_what_the_rules_call_dead(make):
    model = make()
    randomise(model)
    graph = build(model)
    alive = graph.alive(random_kept(graph, 0.5))
    gone = dead(graph, alive)
    assert any(finite.any() for finite in gone.values())
    for call in graph.walk.calls:
        for key in call.outputs:
            labelled = expected(graph, alive, key)
            if labelled is None:
                assert not gone[key].any(), call
            else:
                np.testing.assert_array_equal(gone[key], labelled, str(call))


@pytest.mark.parametrize("make", MODELS)
def test_trimmed_is_the_model_with_those_channels_at_zero(make):
    model = make()
    randomise(model)
    graph = build(model)
    alive = graph.alive(random_kept(graph, 0.5, seed=1))
    gone = dead(graph, alive)
    x = random_inputs(model)

    def change(call, number, value):
        key = call.outputs[number]
        np.moveaxis(value, place_of(graph, key), 0)[gone[key]] = 0
        return value

    given = {
        slot.key: value
        for slot, value in zip(
            keras.tree.flatten(graph.walk.input_structure),
            keras.tree.flatten(x),
            strict=True,
        )
    }
    values = run(graph, [given[key] for key in graph.walk.inputs], change)
    small = trim(model, graph, alive)
    outputs = keras.tree.flatten(small.predict_on_batch(x))
    for key, output in zip(graph.walk.outputs, outputs, strict=True):
        scale = np.abs(values[key]).max()
        assert np.abs(values[key] - output).max() <= 1e-5 * scale


def test_a_wrong_order_of_channels_would_be_seen():
    model = graphs.small_convnet()
    randomise(model)
    graph = build(model)
    alive = graph.alive(random_kept(graph, 0.5))
    gone = dead(graph, alive)
    call = next(
        c
        for c in graph.walk.calls
        if type(c.operation) is layers.DepthwiseConv2D
    )
    (key,) = call.outputs
    vector = graph.labels[key].axes[-1]
    times = call.operation.depth_multiplier
    tiled = np.tile(vector[::times], times)
    np.testing.assert_array_equal(gone[key], ~alive[vector])
    assert (gone[key] != ~alive[tiled]).any()
