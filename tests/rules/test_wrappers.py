# SPDX-License-Identifier: MIT
"""Bidirectional, TimeDistributed, SpectralNormalization: law and units."""

import keras
import numpy as np
import pytest
from graphs import between, units
from keras import layers, ops

from tf_diet.convert.streaming import to_streaming
from tf_diet.graph.build import build
from tf_diet.pruning.mask import mask
from tf_diet.pruning.trim import trim
from tf_diet.rules.wrappers import (
    BidirectionalRule,
    SpectralNormalizationRule,
    TimeDistributedRule,
)
from tf_diet.testing import (
    assert_law,
    law_error,
    random_inputs,
    random_kept,
    randomise,
)

GRU, LSTM = layers.GRU, layers.LSTM
GRUCell, LSTMCell = layers.GRUCell, layers.LSTMCell


def both(layer, **settings):
    return layers.Bidirectional(layer, name="both", **settings)


def each(layer):
    return layers.TimeDistributed(layer, name="each")


def state(x, count, step=0):
    return layers.Dense(count, name=f"state_{step}")(x[:, step])


def branches(h):
    x = keras.Input((6,))
    product = layers.Dense(4, name="a")(x) * layers.Dense(4, name="b")(x)
    joined = layers.Concatenate()([product, ops.relu(x)[:, :3]])
    return each(keras.Model(x, joined, name="inner"))(h)


# Case: a function, and the groups that it makes.
CASES = {
    **{
        f"merge {mode}": (
            lambda h, mode=mode: both(
                LSTM(5, return_sequences=True), merge_mode=mode
            )(h),
            {"both": 5},
        )
        for mode in ("sum", "mul", "ave", "concat", None)
    },
    "states in and out": (
        lambda h: both(GRU(5, return_state=True))(
            h, initial_state=[state(h, 5, 0), state(h, 5, 1)]
        ),
        {"state_0": 5},
    ),
    "four states in": (
        lambda h: both(LSTM(5))(
            initial_state=[state(h, 5, step) for step in (0, 1)] * 2,
            sequences=h,
        ),
        {"state_0": 5},
    ),
    "states of none": (
        lambda h: both(
            GRU(5, return_state=True, return_sequences=True), merge_mode=None
        )(h),
        {"both": 5},
    ),
    "a backward layer": (
        lambda h: both(
            GRU(5), backward_layer=GRU(5, go_backwards=True, use_bias=False)
        )(h),
        {"both": 5},
    ),
    # Hidden cells of the two directions do not meet.
    "stacks": (
        lambda h: both(layers.RNN([GRUCell(3), LSTMCell(5)]))(h),
        {
            "both.forward.cell_0": 3,
            "both.forward.cell_1": 5,
            "both.backward.cell_0": 3,
        },
    ),
    "stacks that return states": (
        lambda h: both(
            layers.RNN([GRUCell(3), LSTMCell(5)], return_state=True),
            merge_mode="sum",
        )(h),
        {"both.forward.cell_0": 3, "both.forward.cell_1": 5},
    ),
    "beside another layer": (
        lambda h: (
            both(GRU(4, return_sequences=True))(h)
            + layers.Dense(8, name="beside")(h)
        ),
        {"both": 4},
    ),
    "dense": (lambda h: each(layers.Dense(7))(h), {"each": 7}),
    "twice": (
        lambda h: each(each(layers.Dense(7)))(layers.Reshape((3, 1, 6))(h)),
        {"each": 7},
    ),
    "normalised": (
        lambda h: each(layers.BatchNormalization())(h),
        {},
    ),
    "flattened": (
        lambda h: each(layers.Flatten())(layers.Reshape((3, 1, 6))(h)),
        {},
    ),
    "a Sequential": (
        lambda h: each(
            keras.Sequential(
                [
                    layers.Dense(7, name="a"),
                    layers.ReLU(),
                    layers.Dense(5, name="b"),
                ]
            )
        )(h),
        {"each.a": 7, "each.b": 5},
    ),
    "a functional model": (branches, {"each.a": 4}),
    "spectral dense": (
        lambda h: layers.SpectralNormalization(layers.Dense(7), name="sn")(h),
        {"sn": 7},
    ),
    "spectral convolution": (
        lambda h: layers.SpectralNormalization(
            layers.Conv1D(7, 2), power_iterations=3, name="sn"
        )(h),
        {"sn": 7},
    ),
    # Its kernel holds inputs last, and so does the vector.
    "spectral transposed": (
        lambda h: layers.SpectralNormalization(
            layers.Conv1DTranspose(7, 2), name="sn"
        )(h),
        {"sn": 7},
    ),
    "spectral at each step": (
        lambda h: each(layers.SpectralNormalization(layers.Dense(7)))(h),
        {"each": 7},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_wrapper(name):
    function, expected = CASES[name]
    graph = assert_law(between(function), seed=1)
    assert units(graph) == expected


def test_one_wrapper_called_twice():
    x = keras.Input((3, 4))
    layer = both(GRU(5))
    a, b = (layer(layers.Dense(6, name=name)(x)) for name in ("a", "b"))
    graph = assert_law(keras.Model(x, layers.Dense(2)(a * b)))
    assert {g.name: g.n_units for g in graph.groups} == {"b": 6, "both": 5}


def test_images_at_each_step():
    x = keras.Input((2, 5, 5, 2))
    h = layers.TimeDistributed(layers.Conv2D(4, 2, padding="same"), name="a")(x)
    h = layers.TimeDistributed(layers.Normalization(), name="n")(h)
    h = layers.TimeDistributed(layers.DepthwiseConv2D(2), name="d")(h)
    h = layers.TimeDistributed(layers.GlobalAveragePooling2D(), name="p")(h)
    graph = assert_law(keras.Model(x, layers.Dense(2)(h)))
    assert {g.name: g.n_units for g in graph.groups} == {"a": 4}
    assert graph.prunable_share > 0.9


def test_sequences_at_each_step():
    x = keras.Input((2, 3, 4))
    h = layers.TimeDistributed(layers.Conv1D(6, 1), name="before")(x)
    h = layers.TimeDistributed(both(GRU(3)), name="each")(h)
    graph = assert_law(keras.Model(x, layers.Dense(2)(h)))
    assert units(graph) == {"each": 3}


def test_units_on_the_time_axis_pass_through():
    x = keras.Input((3, 4))
    h = layers.Permute((2, 1))(layers.Dense(6, name="before")(x))
    h = layers.Permute((2, 1))(each(layers.Dense(7))(h))
    h = layers.Permute((2, 1))(layers.Dense(2)(h))
    graph = assert_law(keras.Model(x, layers.Dense(2)(h)))
    assert units(graph) == {"each": 7}


def test_directions_of_unequal_width_stay():
    x = keras.Input((3, 4))
    back = GRU(7, go_backwards=True)
    h = both(GRU(5), backward_layer=back)(layers.Dense(6, name="before")(x))
    graph = assert_law(keras.Model(x, h))
    assert units(graph) == {}
    reasons = {(p.n_units, p.reason) for p in graph.pinned}
    why = "the directions of 'both' differ in width"
    assert reasons == {(5, why), (7, why)}


def everything():
    def function(h):
        h = both(GRU(5, return_sequences=True))(h)
        h = each(layers.Dense(7))(h)
        h = layers.SpectralNormalization(layers.Dense(6), name="sn")(h)
        return layers.RNN([GRUCell(3), LSTMCell(4)], name="rnn")(h)

    return between(function)


@pytest.mark.slow
def test_the_file_of_a_trimmed_model_opens(tmp_path):
    model = everything()
    graph = assert_law(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.6, 2)))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    x = random_inputs(model)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(again(x)), ops.convert_to_numpy(small(x))
    )
    layer = again.get_layer("both")
    width = layer.forward_layer.units
    assert 2 <= width < 5
    assert layer.backward_layer.units == width
    assert small.get_layer("both").forward_layer.name.startswith("forward_")


def test_weights_have_names_of_their_own():
    model = everything()
    names = list(BidirectionalRule().weights(model.get_layer("both")))
    assert names[:2] == ["forward/kernel", "forward/recurrent_kernel"]
    assert names[3:] == [f"backward/{name[8:]}" for name in names[:3]]
    names = list(SpectralNormalizationRule().weights(model.get_layer("sn")))
    assert names == ["layer/kernel", "layer/bias", "vector_u"]


def test_both_directions_produce_the_units_of_a_sum():
    model = between(both(GRU(5), merge_mode="sum"))
    made = [m for m in build(model).group("both").members if m.role == "out"]
    kernels = [m.path for m in made if m.path.endswith("kernel")]
    assert len(kernels) == 4


def test_flops_add_up():
    cost = build(between(both(GRU(5)))).cost().flops
    one = build(between(GRU(5))).cost().flops
    before, out = 3 * (2 * 4 * 6 + 6), 2 * 5 * 2
    assert cost - before - 2 * out - 2 == 2 * (one - before - out - 2)
    steps = build(between(each(layers.Dense(5)))).cost().flops
    assert steps == build(between(layers.Dense(5))).cost().flops


def spectral_error(model, kept):
    """How far a step of power iteration takes trimmed and masked apart."""
    graph = build(model)
    alive = graph.alive(kept)
    x = random_inputs(model)
    worst = []
    models = mask(model, graph, alive), trim(model, graph, alive)
    full, small = (
        [ops.convert_to_numpy(m(x, training=True)) for _ in range(3)]
        for m in models
    )
    worst += [np.abs(a - b).max() for a, b in zip(full, small, strict=True)]
    vectors = [m.get_layer("sn").vector_u.numpy()[0] for m in models]
    worst.append(np.abs(vectors[0][kept["sn"]] - vectors[1]).max())
    return max(worst) / np.abs(full).max()


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="variables of JAX have no numpy()"
)
def test_spectral_normalisation_in_training(monkeypatch):
    model = between(
        layers.SpectralNormalization(layers.Dense(7), name="sn"), shape=(4,)
    )
    randomise(model)
    kept = {"before": [0, 2, 5], "sn": [1, 2, 4, 6]}
    assert spectral_error(model, kept) < 1e-5
    joined = SpectralNormalizationRule.joined

    def rolled(self, call, inputs, fresh):
        signature = joined(self, call, inputs, fresh)
        vector = np.roll(signature.weights["vector_u"][1], 1)
        signature.weights["vector_u"] = (None, vector)
        return signature

    monkeypatch.setattr(SpectralNormalizationRule, "joined", rolled)
    assert spectral_error(model, kept) > 1e-3


def test_wrappers_stream():
    x = keras.Input((None, 4))
    h = each(keras.Sequential([layers.Dense(5), layers.ReLU()]))(x)
    convolution = layers.Conv1D(3, 2, padding="causal", name="inside")
    h = layers.SpectralNormalization(convolution, name="sn")(h)
    streaming = to_streaming(keras.Model(x, h))
    assert [streaming.inputs[s].shape for s, _ in streaming.states] == [
        (1, 1, 5)
    ]


def untied(self, call, parts, forward, backward):
    signature = MERGED(self, call, parts, forward, backward)
    signature.ties.clear()
    return signature


MERGED = BidirectionalRule.merged


def test_directions_must_be_equally_wide(monkeypatch):
    model = between(both(GRU(6), merge_mode="concat"))
    randomise(model)
    x = random_inputs(model)
    kept = {"both": [0, 2, 3]}
    assert law_error(model, kept, x, build(model)) < 1e-5
    monkeypatch.setattr(BidirectionalRule, "merged", untied)
    graph = build(model)
    assert len(graph.groups) == 3
    apart = {"both": [0, 2, 3], "both_": [1, 4, 5]}
    # Other units of each direction would do; other widths do not even run,
    # which is why the directions are tied.
    assert law_error(model, apart, x, graph) < 1e-5
    with pytest.raises(Exception, match=r"(?i)size|shape|dimension"):
        law_error(model, apart | {"both_": [1, 4]}, x, graph)


def test_a_planted_bug_in_the_channels_is_caught(monkeypatch):
    joined = TimeDistributedRule.joined

    def rolled(self, call, inputs, fresh):
        signature = joined(self, call, inputs, fresh)
        y = signature.outputs[0]
        signature.outputs[0] = y.at(-1, np.roll(y.channels, 1))
        return signature

    monkeypatch.setattr(TimeDistributedRule, "joined", rolled)
    with pytest.raises(AssertionError, match="differ by"):
        assert_law(between(each(layers.Dense(7))))


def test_a_layer_in_two_wrappers_becomes_two_and_that_is_said(caplog):
    x = keras.Input((3, 4))
    inner = layers.Dense(6, name="inner")
    h = layers.TimeDistributed(inner, name="one")(x)
    h = ops.tanh(h) + layers.TimeDistributed(inner, name="other")(x)
    model = keras.Model(x, layers.Dense(2)(h))
    randomise(model)
    graph = build(model)
    assert [group.n_units for group in graph.groups] == [6]
    kept = random_kept(graph, 0.5)
    assert law_error(model, kept, random_inputs(model), graph) < 1e-5
    assert "is shared by layers around other layers" in caplog.text
