# SPDX-License-Identifier: MIT
"""The law: trimmed output == masked output, everything randomised."""

import graphs
import keras
import numpy as np
import pytest

from tf_diet.graph.build import build
from tf_diet.pruning.trim import trim
from tf_diet.testing import assert_law, random_kept, randomise

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", graphs.SMALL)
def test_small_models(name, rate):
    for seed in range(3):
        assert_law(graphs.SMALL[name](), rate=rate, seed=seed)


def test_extreme_rate_keeps_every_minimum():
    model = graphs.ddsp_decoder()
    graph = assert_law(model, rate=0.99)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.99)))
    for group in build(small).groups:
        assert group.n_units >= 2


def test_three_rounds_of_pruning_the_pruned():
    model = graphs.tiny_wavenet()
    for seed in range(3):
        graph = assert_law(model, rate=0.3, seed=seed)
        model = trim(model, graph, graph.alive(random_kept(graph, 0.3, seed)))


def test_trimmed_model_saves_and_loads(tmp_path):
    model = graphs.ddsp_synthesiser()
    randomise(model)
    graph = build(model)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.6)))
    small.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras")
    assert again.count_params() == small.count_params() < model.count_params()
    for one, other in zip(small.weights, again.weights, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(one.value),
            keras.ops.convert_to_numpy(other.value),
        )
