# SPDX-License-Identifier: MIT
"""The law under other precisions than float32."""

import graphs
import keras
import pytest

import tf_diet
from tf_diet.graph.build import build
from tf_diet.testing import assert_law, random_inputs, random_kept, randomise

pytestmark = pytest.mark.slow

MIXED = ["small_convnet", "recurrent_mix", "squeeze_and_excite", "tiny_wavenet"]


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.fixture
def doubles():
    """Lets JAX compute in float64, which it does not by itself."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def floatx(doubles):
    yield keras.config.set_floatx
    keras.config.set_floatx("float32")


@pytest.mark.parametrize("name", MIXED)
def test_mixed_float16(name, policy):
    policy("mixed_float16")
    model = graphs.SMALL[name]()
    graph = assert_law(model, rate=0.5, tolerance=2e-3)
    small = tf_diet.prune(model, rate=0.4, criterion="magnitude")
    policies = {layer.dtype_policy.name for layer in small.layers}
    assert "mixed_float16" in policies
    assert len(graph.groups) == len(build(small).groups)


@pytest.mark.parametrize("name", graphs.SMALL)
def test_float64_leaves_nothing_but_rounding(name, floatx):
    floatx("float64")
    assert_law(graphs.SMALL[name](), rate=0.5, tolerance=1e-10)


def test_verify_knows_the_precision_of_a_model(policy):
    policy("mixed_float16")
    model = graphs.small_convnet()
    randomise(model)
    plan = tf_diet.plan(model, rate=0.5, criterion="random")
    tf_diet.verify(model, plan.apply(model), plan)


def test_layers_of_several_precisions_keep_them(doubles):
    x = keras.Input((9, 4))
    h = keras.layers.Conv1D(8, 3, dtype="mixed_bfloat16")(x)
    h = keras.layers.Dense(7, dtype="float64")(h)
    model = keras.Model(x, keras.layers.Dense(3, dtype="float32")(h))
    graph = assert_law(model, rate=0.5, x=random_inputs(model), tolerance=2e-2)
    kept = random_kept(graph, 0.5)
    small = tf_diet.pruning.trim.trim(model, graph, graph.alive(kept))
    assert [layer.dtype_policy.name for layer in small.layers[1:]] == [
        layer.dtype_policy.name for layer in model.layers[1:]
    ]
