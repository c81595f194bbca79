# SPDX-License-Identifier: MIT
"""Groups, barriers, pins and counts."""

import graphs
import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.errors import PlanError
from tf_diet.graph.build import build
from tf_diet.graph.show import describe


def groups(model):
    return {group.name: group.n_units for group in build(model).groups}


def test_residual_stream_is_one_group():
    x = keras.Input((4, 3))
    h = layers.Conv1D(6, 1, name="stream")(x)
    for number in range(3):
        h = layers.Add()([h, layers.Conv1D(6, 1, name=f"c{number}")(h)])
    model = keras.Model(x, layers.Dense(2, name="out")(h))
    assert groups(model) == {"stream": 6}


def test_split_halves_that_are_multiplied_are_one_unit():
    x = keras.Input((4, 3))
    a, b = ops.split(layers.Conv1D(10, 1, name="gate")(x), 2, axis=-1)
    model = keras.Model(x, layers.Dense(2)(ops.tanh(a) * ops.sigmoid(b)))
    (group,) = build(model).groups
    assert group.n_units == 5
    kernel = next(m for m in group.members if m.path == "gate/kernel")
    np.testing.assert_array_equal(kernel.units, [0, 1, 2, 3, 4] * 2)
    assert kernel.role == "out"


def test_concatenated_layers_stay_two_groups():
    x = keras.Input((3,))
    both = layers.Concatenate()(
        [layers.Dense(4, name="a")(x), layers.Dense(5, name="b")(x)]
    )
    model = keras.Model(x, layers.Dense(2, name="out")(both))
    graph = build(model)
    assert {g.name: g.n_units for g in graph.groups} == {"a": 4, "b": 5}
    reader = [m for m in graph.group("b").members if m.path == "out/kernel"]
    np.testing.assert_array_equal(reader[0].units, [-1] * 4 + [0, 1, 2, 3, 4])
    assert reader[0].role == "in"


def test_layer_called_on_data_and_on_units_keeps_its_inputs():
    x = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    model = keras.Model(x, layers.Dense(2)(shared(shared(x))))
    graph = build(model)
    assert not graph.groups
    assert "shared with a place that is fixed" in graph.pinned[0].reason


@keras.saving.register_keras_serializable("tests")
class Cumulate(layers.Layer):
    def call(self, x):
        return ops.cumsum(x, axis=-1)


def test_unknown_layer_is_a_barrier_by_name():
    x = keras.Input((3,))
    h = Cumulate(name="odd")(layers.Dense(6, name="before")(x))
    model = keras.Model(x, layers.Dense(2)(layers.Dense(7, name="after")(h)))
    graph = build(model)
    assert {g.name for g in graph.groups} == {"after"}
    assert [(b.path, b.kind, b.n_frozen) for b in graph.barriers] == [
        ("odd", "Cumulate", 6)
    ]
    pinned = {p.name: p.reason for p in graph.pinned}
    assert "'odd' (Cumulate): it has no pruning rule" in pinned["before"]
    assert "barrier: odd (Cumulate)" in describe(graph)


@keras.saving.register_keras_serializable("tests")
class Subdense(layers.Dense):
    def call(self, x):
        return ops.softmax(super().call(x))


def test_subclass_of_a_known_layer_is_not_taken_for_it():
    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(2)(Subdense(5, name="mine")(x)))
    graph = build(model)
    assert not graph.groups
    assert graph.barriers[0].kind == "Subdense"


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        (lambda h: layers.Dense(6, activation="softmax")(h), "softmax"),
        (lambda h: layers.Activation("softmax")(h), "softmax"),
        (lambda h: layers.Softmax()(h), "normalises over"),
        (lambda h: ops.mean(h, axis=-1, keepdims=True), "statistic"),
        (lambda h: h[:, 2], "picks it by number"),
        (lambda h: ops.sort(h, axis=-1), "works along this axis"),
        (lambda h: ops.clip(h, np.zeros(6), np.ones(6)), "limits for each"),
    ],
)
def test_what_mixes_channels_pins_them(middle, words):
    x = keras.Input((3,))
    h = middle(layers.Dense(6, name="before")(x))
    h = layers.Dense(2, name="out")(ops.reshape(h, (-1, 1)))
    graph = build(keras.Model(x, h))
    reasons = " ".join(p.reason for p in graph.pinned)
    assert words in reasons


def test_counts_agree_with_keras():
    for make in graphs.SMALL.values():
        model = make()
        assert build(model).parameters() == model.count_params()


def test_cost_of_a_known_model():
    x = keras.Input((10, 3))
    h = layers.Conv1D(4, 3, padding="same")(x)
    model = keras.Model(x, layers.GRU(5)(h))
    cost = build(model).cost()
    conv = 10 * (2 * 3 * 3 * 4 + 4)
    gru = 10 * (2 * 4 * 15 + 2 * 5 * 15 + 2 * 2 * 15)
    assert cost.flops == conv + gru
    assert cost.parameters == model.count_params()
    assert cost.peak_activation_bytes == 4 * (10 * 3 + 10 * 4)
    assert cost.per_second(3.0).flops == 3 * cost.flops


def test_cost_of_fewer_units_is_the_cost_of_the_trimmed_model():
    from tf_diet.pruning.trim import trim
    from tf_diet.testing import random_kept

    for make in graphs.SMALL.values():
        model = make()
        graph = build(model)
        alive = graph.alive(random_kept(graph, 0.5))
        small = build(trim(model, graph, alive)).cost()
        assert graph.cost(alive) == small


def test_unknown_group_is_an_error_that_lists_them():
    graph = build(graphs.sequential())
    with pytest.raises(PlanError, match="Its groups"):
        graph.group("nope")


def test_fingerprint_ignores_values_and_numbered_names():
    one, other = graphs.gated_slices(), None
    keras.backend.clear_session()
    other = graphs.gated_slices()
    assert build(one).fingerprint == build(other).fingerprint
    assert build(one).fingerprint != build(graphs.sequential()).fingerprint
