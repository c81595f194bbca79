# SPDX-License-Identifier: MIT
"""What the law must not let pass, and what only unit counts can show."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_diet.graph import rule_table
from tf_diet.graph.build import build
from tf_diet.graph.labels import Partition
from tf_diet.testing import assert_law


def plain():
    x = keras.Input((5, 6))
    h = layers.Dense(6, name="before")(x)
    h = layers.ReLU()(layers.BatchNormalization()(h))
    return keras.Model(x, layers.Dense(4, name="after")(h))


def units():
    return {g.name: g.n_units for g in build(plain()).groups}


def mutate(monkeypatch, kind, change):
    true = rule_table._RULES[kind]

    class Mutant(type(true)):
        def signature(self, call, inputs, fresh):
            return change(super().signature(call, inputs, fresh))

    monkeypatch.setitem(rule_table._RULES, kind, Mutant())


def test_outputs_that_shrink_break_the_law(monkeypatch):
    freeze = Partition.freeze

    def forgetful(self, labels, reason):
        if "output of the model" not in reason:
            freeze(self, labels, reason)

    monkeypatch.setattr(Partition, "freeze", forgetful)
    with pytest.raises(AssertionError, match="differ by inf"):
        assert_law(plain())


def test_nan_breaks_the_law():
    x = keras.Input((3,))
    h = layers.Dense(6)(x)
    model = keras.Model(x, ops.log(-ops.square(layers.Dense(2)(h)) - 1.0))
    with pytest.raises(AssertionError, match="differ by"):
        assert_law(model)


def pins(signature):
    vectors = [v for x in signature.outputs for v in x.known()]
    return replace(signature, frozen=[(v, "why not") for v in vectors])


def pairs(signature):
    vector = signature.outputs[0].channels
    half = len(vector) // 2
    ties = [*signature.ties, (vector[:half], vector[half:])]
    return replace(signature, ties=ties)


@pytest.mark.parametrize("change", [pins, pairs])
@pytest.mark.parametrize(
    "kind", [layers.Dense, layers.BatchNormalization, layers.ReLU]
)
def test_needless_pins_and_pairs_obey_the_law_and_change_the_counts(
    kind, change, monkeypatch
):
    assert units() == {"before": 6}
    mutate(monkeypatch, kind, change)
    assert_law(plain())
    assert units() != {"before": 6}


def test_a_dead_channel_need_not_be_finite():
    """0 / 0 in a channel that is gone is no business of those that stay."""
    x = keras.Input((3,))
    h = layers.Dense(6, name="h")(x)
    y = layers.Dense(2)(h / (1.0 + ops.square(h)) + ops.log(1.0 + h * h))
    graph = assert_law(keras.Model(x, y))
    assert [g.n_units for g in graph.groups] == [6]


def test_time_steps_stay_masked_where_units_go():
    x = keras.Input((6,), dtype="int32")
    h = layers.Embedding(8, 6, mask_zero=True)(x)
    h = layers.GRU(5)(layers.Dense(7)(h))
    model = keras.Model(x, layers.Dense(2)(h))
    tokens = np.array([[3, 1, 0, 0, 0, 0], [1, 2, 3, 4, 5, 0]])
    graph = assert_law(model, x=tokens)
    assert sorted(g.n_units for g in graph.groups) == [5, 6, 7]
