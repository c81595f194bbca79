# SPDX-License-Identifier: MIT
"""Recurrent layers, cells and their stacks: the law, and what is left to prune.

Needless pinning cannot be seen from the law, so each case names its units.
"""

import keras
import numpy as np
import pytest
from graphs import between, units
from keras import layers, ops

from tf_diet.convert.streaming import to_streaming
from tf_diet.graph.build import build
from tf_diet.graph.rule import Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.pruning.trim import trim
from tf_diet.rules.nested import Inside
from tf_diet.rules.recurrent_cells import GRUCellRule
from tf_diet.testing import (
    assert_law,
    law_error,
    random_inputs,
    random_kept,
    randomise,
)


def state(x, count, step=0):
    return layers.Dense(count, name=f"state_{step}")(x[:, step])


def states(x, *counts):
    return [state(x, count, step) for step, count in enumerate(counts)]


def stack(*cells, **settings):
    return layers.RNN(list(cells), name="rnn", **settings)


SimpleRNN, GRU, LSTM = layers.SimpleRNN, layers.GRU, layers.LSTM
SimpleRNNCell, GRUCell, LSTMCell = (
    layers.SimpleRNNCell,
    layers.GRUCell,
    layers.LSTMCell,
)

# Case: a function, and the groups that it makes.
CASES = {
    "elman": (lambda h: SimpleRNN(5, name="rnn")(h), {"rnn": 5}),
    # sigmoid(0) is not 0: dead units hold a value inside the masked model.
    "elman sigmoid": (
        lambda h: SimpleRNN(5, activation="sigmoid", name="rnn")(h),
        {"rnn": 5},
    ),
    "reset before": (
        lambda h: GRU(5, reset_after=False, unroll=True, name="rnn")(h),
        {"rnn": 5},
    ),
    "all states": (
        lambda h: GRU(
            5,
            return_state=True,
            return_sequences=True,
            go_backwards=True,
            name="rnn",
        )(h),
        {"rnn": 5},
    ),
    "no bias": (
        lambda h: LSTM(5, use_bias=False, return_state=True, name="rnn")(h),
        {"rnn": 5},
    ),
    "stacked layers": (
        lambda h: LSTM(5, name="top")(
            GRU(4, return_sequences=True, name="low")(h)
        ),
        {"low": 4, "top": 5},
    ),
    "state by keyword": (
        lambda h: GRU(5, name="rnn")(h, initial_state=state(h, 5)),
        {"state_0": 5},
    ),
    "states in a list": (
        lambda h: LSTM(5, name="rnn")(h, states(h, 5, 5)),
        {"state_0": 5},
    ),
    # Keras sorts keyword arguments: the state comes before the sequence.
    "all by keyword": (
        lambda h: GRU(5)(sequences=h, initial_state=[state(h, 5)]),
        {"state_0": 5},
    ),
    "encoder and decoder": (
        lambda h: LSTM(5, name="decoder")(
            h, initial_state=LSTM(5, return_state=True, name="encoder")(h)[1:]
        ),
        {"encoder": 5},
    ),
    "recurrent softmax": (
        lambda h: GRU(5, recurrent_activation="softmax")(h),
        {},
    ),
    "one cell": (
        lambda h: layers.RNN(LSTMCell(5), return_state=True, name="rnn")(h),
        {"rnn": 5},
    ),
    "three cells": (
        lambda h: stack(
            GRUCell(3), LSTMCell(5), SimpleRNNCell(4), return_sequences=True
        )(h),
        {"rnn.cell_0": 3, "rnn.cell_1": 5, "rnn.cell_2": 4},
    ),
    "states of cells": (
        lambda h: stack(GRUCell(3), LSTMCell(5), return_state=True)(h),
        {"rnn.cell_0": 3, "rnn.cell_1": 5},
    ),
    "a stack of one": (
        lambda h: stack(GRUCell(5), return_state=True)(h),
        {"rnn.cell_0": 5},
    ),
    "cells start from states": (
        lambda h: stack(GRUCell(3), SimpleRNNCell(5))(
            h, initial_state=states(h, 3, 5)
        ),
        {"state_0": 3, "state_1": 5},
    ),
    "a pinned cell": (
        lambda h: stack(GRUCell(3, activation="softmax"), LSTMCell(5))(h),
        {"rnn.cell_1": 5},
    ),
    "cell alone": (
        lambda h: GRUCell(5)(h[:, 1], state(h, 5)),
        {"state_0": 5},
    ),
    "cell with two states": (
        lambda h: LSTMCell(5)(h[:, 2], states=states(h, 5, 5)),
        {"state_0": 5},
    ),
    "Elman's cell": (
        lambda h: SimpleRNNCell(5)(states=state(h, 5), sequence=h[:, 1]),
        {"state_0": 5},
    ),
    "StackedRNNCells alone": (
        lambda h: layers.StackedRNNCells([SimpleRNNCell(4), LSTMCell(5)])(
            h[:, 2], [state(h, 4), [state(h, 5, 1), state(h, 5, 2)]]
        ),
        {"state_0": 4, "state_1": 5},
    ),
    "masked": (
        lambda h: GRU(5, name="rnn")(h, mask=ops.sum(h, axis=-1) > 0),
        {"rnn": 5},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_recurrent(name):
    if name == "a stack of one" and keras.backend.backend() == "jax":
        pytest.skip("Keras cannot loop over it on JAX, trimmed or not")
    function, expected = CASES[name]
    graph = assert_law(between(function), seed=1)
    assert units(graph) == expected


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX has no float64 by default"
)
def test_double_precision():
    keras.config.set_dtype_policy("float64")
    try:
        model = between(
            lambda h: stack(GRUCell(4), LSTMCell(5), return_state=True)(h)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert_law(model, tolerance=1e-10)


def test_fixed_state_pins():
    x, first = keras.Input((3, 4)), keras.Input((5,))
    h = layers.Dense(6, name="before")(x)
    y = GRU(5, name="rnn")(h, initial_state=first)
    graph = assert_law(keras.Model([x, first], layers.Dense(2)(y)))
    assert units(graph) == {}
    assert "starts from a state that is fixed" in graph.pinned[0].reason


def test_units_along_time_stay():
    x = keras.Input((3, 4))
    h = layers.Permute((2, 1))(layers.Dense(6, name="before")(x))
    y = GRU(5, name="rnn")(h)
    graph = assert_law(keras.Model(x, layers.Dense(2)(y)))
    assert [g.name for g in graph.groups] == ["rnn"]
    assert "runs along this axis" in graph.pinned[0].reason


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX keeps no states in predict"
)
def test_stateful():
    x = keras.Input((3, 4), batch_size=2)
    h = layers.Dense(6, name="before")(x)
    h = GRU(5, stateful=True, return_sequences=True, name="low")(h)
    h = stack(GRUCell(3), LSTMCell(4), stateful=True)(h)
    graph = assert_law(keras.Model(x, layers.Dense(2)(h)))
    assert units(graph) == {"low": 5, "rnn.cell_0": 3, "rnn.cell_1": 4}


def test_embedding_hides_padding():
    x = keras.Input((4,), dtype="int32")
    h = layers.Embedding(8, 6, mask_zero=True, name="before")(x)
    h = GRU(5, return_sequences=True, name="low")(h)
    h = LSTM(4, name="top")(h)
    tokens = np.array([[1, 2, 0, 0], [3, 0, 4, 5]])
    graph = assert_law(keras.Model(x, layers.Dense(2)(h)), x=tokens)
    assert units(graph) == {"low": 5, "top": 4}


@pytest.mark.parametrize(("value", "left"), [(0.0, 6), (0.25, 0)])
def test_masking(value, left):
    x = keras.Input((4, 3))
    h = layers.Dense(6, name="before", activation="relu")(x)
    h = GRU(5, name="rnn")(layers.Masking(value)(h))
    steps = np.random.default_rng(0).normal(size=(2, 4, 3))
    graph = assert_law(keras.Model(x, layers.Dense(2)(h)), x=steps)
    found = {group.name: group.n_units for group in graph.groups}
    assert found.get("before", 0) == left
    assert found["rnn"] == 5
    assert not graph.barriers


def test_masked_steps_are_skipped_after_trimming():
    x = keras.Input((None, 3))
    h = layers.Dense(6, name="before", use_bias=False)(x)
    h = GRU(5, name="rnn")(layers.Masking()(h))
    model = keras.Model(x, layers.Dense(2)(h))
    graph = assert_law(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    steps = np.random.default_rng(0).normal(size=(1, 2, 3)).astype("float32")
    padded = np.concatenate([steps, np.zeros_like(steps)], axis=1)
    short, long = (ops.convert_to_numpy(small(x)) for x in (steps, padded))
    np.testing.assert_allclose(short, long, rtol=1e-6)


@keras.saving.register_keras_serializable("test_recurrent")
class Leaky(layers.Layer):
    def __init__(self, units, **settings):
        super().__init__(**settings)
        self.units = self.state_size = units

    def build(self, shape):
        self.kernel = self.add_weight(
            name="kernel", shape=(shape[-1], self.units)
        )

    def call(self, x, states):
        y = ops.tanh(x @ self.kernel + 0.5 * states[0])
        return y, [y]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_a_cell_without_a_rule_is_named():
    for cell in (Leaky(4), [GRUCell(3), Leaky(4)]):
        graph = assert_law(between(layers.RNN(cell, name="rnn")))
        (barrier,) = graph.barriers
        assert (barrier.path, barrier.kind) == ("rnn", "RNN")
        assert "the Leaky 'leaky" in barrier.reason
        assert "no pruning rule" in barrier.reason
        assert not graph.groups


def test_a_cell_with_a_rule_of_its_own(monkeypatch):
    monkeypatch.setattr("tf_diet.graph.rule_table._RULES", _rules())

    @register_rule(Leaky)
    class LeakyRule(Rule):
        def signature(self, call, inputs, fresh):
            x, before = inputs
            units = fresh(call.operation.units)
            return Signature(
                outputs=[x.at(-1, units)] * 2,
                weights={"kernel": (x.channels, units)},
                sizes={"units": units},
                ties=[(units, before.channels)],
            )

    cells = [Leaky(4), GRUCell(3)]
    graph = assert_law(between(layers.RNN(cells, name="rnn")))
    assert units(graph) == {"rnn.cell_0": 4, "rnn.cell_1": 3}


def _rules():
    from tf_diet.graph import rule_table

    return dict(rule_table._RULES)


def test_one_cell_twice_in_a_stack_stays_one():
    cell = GRUCell(6)
    model = between(layers.RNN([cell, cell], name="rnn"))
    graph = assert_law(model)
    assert units(graph) == {}
    small = trim(model, graph, graph.alive({"before": [0, 2, 3]}))
    first, second = small.get_layer("rnn").cell.cells
    assert first is second
    assert first.units == 3


def test_flops_are_those_of_every_step():
    model = between(layers.RNN(GRUCell(5)), shape=(3, 4))
    layer = between(GRU(5), shape=(3, 4))
    costs = [assert_law(m).cost().flops for m in (model, layer)]
    matrices = 2 * (6 * 15 + 5 * 15) + 2 * (2 * 15)
    assert costs[0] == costs[1]
    dense = 3 * (2 * 4 * 6 + 6) + 2 * 5 * 2 + 2
    assert costs[0] == dense + 3 * matrices


def test_cells_stream():
    x = keras.Input((None, 4))
    h = stack(GRUCell(3), LSTMCell(5), return_sequences=True)(x)
    streaming = to_streaming(keras.Model(x, h))
    assert len(streaming.states) == 3


def rolled(self, call, seen, units):
    wrong = GRUCellRule.kernels
    labels = wrong(self, call, seen, units)
    return labels | {"bias": (None, np.roll(labels["bias"][1], 1))}


def interleaved(self, call, seen, units):
    columns = np.repeat(units, 3)
    return {
        "kernel": (seen, columns),
        "recurrent_kernel": (units, columns),
        "bias": (None, columns),
    }


@pytest.mark.parametrize("kernels", [rolled, interleaved])
def test_planted_bugs_in_a_cell_are_caught(monkeypatch, kernels):
    class Wrong(GRUCellRule):
        pass

    Wrong.kernels = kernels
    rules = _rules() | {GRUCell: Wrong()}
    monkeypatch.setattr("tf_diet.graph.rule_table._RULES", rules)
    with pytest.raises(AssertionError, match="differ by"):
        assert_law(between(GRU(5)))


@pytest.mark.slow
def test_a_state_that_is_not_tied_is_caught(monkeypatch):
    model = between(lambda h: GRU(5, name="rnn")(h, state(h, 5)))
    randomise(model)
    kept = {"state_0": [0, 1, 2], "rnn": [2, 3, 4]}
    x = random_inputs(model)
    assert law_error(model, {"state_0": [0, 1, 2]}, x, build(model)) < 1e-5
    monkeypatch.setattr(
        "tf_diet.rules.recurrent._initial", lambda call, inputs, given: []
    )
    assert law_error(model, kept, x, build(model)) > 1e-2


def test_units_inside_are_named_after_their_place():
    names = []
    outer = Inside(lambda count, part="": names.append(part), "forward")
    outer(3)
    Inside(outer, "cell_0")(3)
    Inside(outer, "cell_0")(3, "heads")
    assert names == ["forward", "forward.cell_0", "forward.cell_0.heads"]
