# SPDX-License-Identifier: MIT
"""What hangs on a group: complete, and true to what surgery does."""

import functools
import warnings

import graphs
import keras
import numpy as np
import pytest
import strategies
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tf_diet
from tf_diet.errors import InputError
from tf_diet.graph.build import build


def residual():
    x = keras.Input((8, 3))
    a = layers.Conv1D(6, 3, padding="same", name="a")(x)
    h = layers.BatchNormalization(name="norm")(a)
    h = layers.Conv1D(6, 3, padding="same", name="b")(h)
    h = layers.Flatten(name="flat")(layers.Add(name="sum")([a, h]))
    return keras.Model(x, layers.Dense(2, name="head")(h), name="residual")


def test_every_weight_layer_and_saving_of_a_group():
    found = tf_diet.inspect(residual()).details("a")
    assert (found.name, found.n_units, found.minimum) == ("a", 6, 2)
    assert found.made_by == ("a", "b")
    assert found.read_by == ("b", "head")
    held = {(w.path, w.axis): w.role for w in found.weights}
    assert held == {
        ("a/kernel", 2): "makes",
        ("a/bias", 0): "makes",
        ("norm/gamma", 0): "passes",
        ("norm/beta", 0): "passes",
        ("norm/moving_mean", 0): "passes",
        ("norm/moving_variance", 0): "passes",
        ("b/kernel", 1): "reads",
        ("b/kernel", 2): "makes",
        ("b/bias", 0): "makes",
        ("head/kernel", 0): "reads",
    }
    (head,) = [w for w in found.weights if w.path == "head/kernel"]
    # Eight steps of six channels, flattened.
    assert head.positions(4).tolist() == list(range(4, 48, 6))
    assert head.shape == (48, 2)
    # a: 9 and 1, norm: 4, b: a row and a column of 3 that meet, 1; head: 16.
    assert found.parameters.tolist() == [9 + 1 + 4 + 33 + 1 + 16] * 6


def test_it_is_shown_as_a_person_reads_it():
    text = repr(tf_diet.inspect(residual()).details("a"))
    lines = text.splitlines()
    assert lines[0] == "group a: 6 units, at least 2 stay"
    assert lines[1:3] == ["made by: a, b", "read by: b, head"]
    (row,) = [line for line in lines if line.startswith("head/kernel")]
    assert row.split() == ["head/kernel", "0", "(48,", "2)", "reads", "8"]
    assert lines[-1].startswith("removing one unit saves 64 parameters, ")
    assert repr(tf_diet.inspect(residual()).details("a").weights[0]) == (
        "<WeightAxis a/kernel, axis 2: makes>"
    )


@functools.cache
def drawn(seed):
    with warnings.catch_warnings():
        # Keras says of some that masks are lost.
        warnings.simplefilter("ignore", UserWarning)
        model = strategies.seeded(seed).model()
    return model, build(model)


@given(number=st.integers(0, 11), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_plan_removes_the_positions_and_parameters_that_are_listed(
    number, seed
):
    model, graph = drawn(number)
    groups = [g for g in graph.groups if g.n_units > 2]
    if not groups:
        return
    rng = np.random.default_rng(seed)
    group = groups[rng.integers(len(groups))]
    unit = int(rng.integers(group.n_units))
    found = graph.details(group.name)
    try:
        plan = tf_diet.plan(model, remove={group.name: unit})
    except InputError as error:
        # A part of a group that lies on an axis of its own stays.
        assert "no layer can be emptied" in str(error)  # noqa: PT017
        return
    gone = plan.cost_before.parameters - plan.cost_after.parameters
    assert gone == found.parameters[unit]
    assert plan.cost_before.flops - plan.cost_after.flops == found.flops[unit]
    kept = plan.kept(model)
    listed = {(w.path, w.axis) for w in found.weights}
    for weight in found.weights:
        stays = kept[weight.path][weight.axis]
        full = np.arange(weight.shape[weight.axis])
        np.testing.assert_array_equal(
            np.setdiff1d(full, stays), weight.positions(unit)
        )
    for path, axes in kept.items():
        for axis, stays in enumerate(axes):
            whole = len(stays) == graph.shapes[path][axis]
            assert whole or (path, axis) in listed


def test_names_of_layers_stand_for_their_groups():
    graph = tf_diet.inspect(residual())
    for name in ("b", "norm", "sum"):
        assert graph.details(name).name == "a"
    x = keras.Input((5, 4))
    h = layers.MultiHeadAttention(6, 2, name="mha")(x, x)
    inner = tf_diet.inspect(keras.Model(x, layers.Dense(2)(h)))
    assert inner.details("mha.heads").n_units == 6
    with pytest.raises(InputError, match=r"several.*'\*'.*mha.heads"):
        inner.details("*")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nomr", "details points to nothing.*Did you mean 'norm'"),
        ("head", "no unit of that layer can be removed.*Groups: a"),
    ],
)
def test_names_that_stand_for_nothing(name, words):
    with pytest.raises(InputError, match=words):
        tf_diet.inspect(residual()).details(name)


def test_the_command_line_lists_groups(tmp_path, capsys):
    path = tmp_path / "net.keras"
    residual().save(path)
    code, text = run(capsys, "inspect", path, "--group", "norm")
    assert code == 0
    assert text.startswith("group a: 6 units")
    assert "head/kernel" in text
    graphs.ddsp_decoder().save(path)
    code, text = run(
        capsys,
        *("inspect", path, "--group", "pitch*", "--group", "gru"),
    )
    assert code == 0
    assert text.count("removing one unit saves") == 3
    code, text = run(capsys, "inspect", path, "--group", "gur")
    assert code == 2
    assert "Did you mean 'gru'" in text
