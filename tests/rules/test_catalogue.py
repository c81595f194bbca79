# SPDX-License-Identifier: MIT
"""Every layer and operation of the installed Keras has a rule or a reason."""

import importlib
import pkgutil
import warnings

import keras
import keras.src
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.graph.rule_table import (
    barrier_reason,
    barriers,
    kind_name,
    registered,
)


def subclasses(kind):
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def import_below(package):
    """Imports all modules of a package but backends, which shadow it."""
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.name.endswith((".backend", "_test")):
            continue
        try:
            module = importlib.import_module(found.name)
        except ImportError:
            # A bridge to a framework that is not installed.
            continue
        if found.ispkg:
            import_below(module)


@pytest.fixture(scope="module")
def kinds():
    """Every class of Keras that can be called in a graph, but for models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_below(keras.src)
    return {
        kind
        for kind in subclasses(keras.Operation)
        if kind.__module__.startswith("keras.")
        and not issubclass(kind, keras.Model)
    }


def has_rule(kind):
    return kind in registered() or kind_name(kind) in registered()


def test_every_kind_is_ruled_or_a_barrier(kinds):
    assert len(kinds) > 450
    neither = {
        kind_name(kind)
        for kind in kinds
        if not has_rule(kind) and kind_name(kind) not in barriers()
    }
    assert not neither


def test_no_kind_is_both(kinds):
    both = {
        kind_name(kind)
        for kind in kinds
        if has_rule(kind) and kind_name(kind) in barriers()
    }
    assert not both


def test_no_name_is_mistyped(kinds):
    known = {kind_name(kind) for kind in kinds}
    named = {kind for kind in registered() if isinstance(kind, str)}
    assert named <= known
    # Layers that wrap other frameworks exist where those are installed.
    assert set(barriers()) - known <= {
        "layers.FlaxLayer",
        "layers.JaxLayer",
        "layers.TFSMLayer",
        "layers.TorchModuleWrapper",
    }


def test_the_graph_says_the_reason():
    x = keras.Input((6, 4))
    h = ops.inv(ops.reshape(layers.Dense(6)(x), (-1, 6, 6)))
    graph = build(keras.Model(x, layers.Dense(2)(h)))
    (barrier,) = graph.barriers
    assert barrier.reason == "it mixes all positions of a matrix"
    assert barrier.n_frozen == 6


def test_a_layer_of_ones_own_has_no_reason_on_file():
    class Mine(layers.Layer):
        pass

    assert barrier_reason(Mine()) == "it has no pruning rule"
