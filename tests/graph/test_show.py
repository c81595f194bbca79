# SPDX-License-Identifier: MIT
"""The graph as table, picture and text, readable on a model of 50 layers."""

import os
import stat

import graphs
import keras
import pytest
from keras import layers, ops

import tf_diet
from tf_diet.errors import DietError, InputError
from tf_diet.graph.picture import dot, outline, picture
from tf_diet.graph.show import describe, group_shares, users


@pytest.fixture(scope="module")
def resnet():
    return tf_diet.inspect(graphs.resnet50())


@keras.saving.register_keras_serializable("tests.show")
class Odd(layers.Layer):
    def call(self, x):
        return ops.cumsum(x, axis=-1)


def forked():
    """Two inputs, a join, a residual, a normalisation and a barrier."""
    x, y = keras.Input((4,), name="x"), keras.Input((3,), name="y")
    a = layers.Dense(6, name="a")(x)
    h = layers.Concatenate(name="joined")([layers.Dense(5, name="b")(a), y])
    h = layers.Dense(6, name="c")(h)
    h = layers.Add(name="sum")([h, a])
    n = layers.LayerNormalization(name="norm")(layers.Dense(7, name="d")(h))
    o = Odd(name="odd")(layers.Dense(8, name="e")(h))
    return keras.Model(
        [x, y], [layers.Dense(2, name="f")(n), layers.Dense(2, name="g")(o)]
    )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_table_of_a_deep_model_fits_the_screen(resnet, width):
    lines = describe(resnet, width).splitlines()
    assert max(map(len, lines)) <= width
    # One line for each group, and little besides.
    assert 37 < len(lines) < 37 + 12
    assert all("conv" in line for line in lines[2:39])
    (row,) = [line for line in lines if " 1024 " in line]
    # Seven layers write to the residual stream of stage four, seven read it.
    assert row.count("+6") == 2
    assert "25.7%" in row
    assert any("predictions (10 units): it is an output" in x for x in lines)
    assert any(line.startswith("prunable: 100.0% of 23,608") for line in lines)


def test_names_that_do_not_fit_keep_both_ends():
    x = keras.Input((3,))
    h = layers.Dense(4, name="a_very_long_name_of_an_encoder_layer_1")(x)
    h = layers.Dense(4, name="a_very_long_name_of_an_encoder_layer_2")(h)
    text = describe(tf_diet.inspect(keras.Model(x, layers.Dense(2)(h))), 80)
    assert text.count("a_very_lo…r_layer_1") == 2
    assert text.count("a_very_lo…r_layer_2") == 3


def test_table_says_who_makes_who_uses_and_what_stays():
    graph = tf_diet.inspect(forked())
    found = {name: set(paths) for name, paths in users(graph).items()}
    assert found == {"a": {"b", "d", "e"}, "b": {"c"}}
    text = describe(graph)
    assert "pinned: d (7 units): 'norm'" in text
    assert "barrier: odd (Odd): it has no pruning rule, pins 8 units" in text
    loose = describe(tf_diet.inspect(forked(), exact=False))
    assert "inexact: d (7 units): 'norm'" in loose
    assert "pinned: d" not in loose


def test_a_model_is_shown_as_its_graph(tmp_path):
    model = forked()
    assert describe(model) == describe(tf_diet.inspect(model))
    written = picture(model, tmp_path / "model.dot").read_text("utf-8")
    assert written == dot(tf_diet.inspect(model))
    with pytest.raises(DietError, match="model"):
        describe("model.keras")


def test_shares_count_weight_elements():
    graph = tf_diet.inspect(forked())
    total = graph.parameters()
    # a: kernel and bias, c's columns and bias, rows of b, d and e.
    of_a = 4 * 6 + 6 + 8 * 6 + 6 + 6 * 5 + 6 * 7 + 6 * 8
    of_b = 6 * 5 + 5 + 5 * 6
    shares = group_shares(graph)
    assert shares["a"] == pytest.approx(of_a / total)
    assert shares["b"] == pytest.approx(of_b / total)
    # The rows of b and the columns of c lie in both groups.
    either = of_a + of_b - 6 * 5 - 5 * 6
    assert graph.prunable_share == pytest.approx(either / total)


def test_no_group_is_no_table():
    x = keras.Input((3,))
    graph = tf_diet.inspect(keras.Model(x, layers.Dense(2, name="only")(x)))
    assert "pinned: only (2 units)" in describe(graph)
    assert graph.prunable_share == 0


def test_many_reasons_are_cut_short():
    x = keras.Input((3,))
    outputs = []
    for number in range(20):
        h = layers.Dense(2, name=f"before_{number}")(x)
        outputs.append(Odd(name=f"odd_{number}")(h))
    text = describe(tf_diet.inspect(keras.Model(x, outputs)))
    assert "and 8 barriers more" in text
    assert "and 8 reasons more (pinned)" in text


def test_outline_is_the_picture_as_text(resnet):
    lines = outline(tf_diet.inspect(forked())).splitlines()
    assert sorted(lines) == [
        "[barrier] odd -> g",
        "[fixed] d -> norm",
        "[fixed] e -> odd",
        "[fixed] f",
        "[fixed] g",
        "[fixed] norm -> f",
        "[input] x -> a (6)",
        "[input] y -> a (6)",
        "a (6) -> b (5), e, d",
        "b (5) -> a (6)",
    ]
    text = outline(resnet, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "conv4_block6_2_conv (256) -> conv4_block1_3_conv (1024)" in text


def test_units_inside_a_layer_are_drawn_between_its_ends():
    x = keras.Input((5, 4), name="x")
    h = layers.Dense(6, name="front")(x)
    h = layers.MultiHeadAttention(3, 2, name="mha")(h, h)
    graph = tf_diet.inspect(keras.Model(x, layers.Dense(2, name="head")(h)))
    lines = outline(graph).splitlines()
    (front,) = [line for line in lines if line.startswith("front (6)")]
    (heads,) = [line for line in lines if line.startswith("mha.heads (3)")]
    assert "mha.heads (3)" in front
    assert "-> mha (6)" in heads


def test_source_for_graphviz_names_every_node_once():
    graph = tf_diet.inspect(forked())
    text = dot(graph)
    assert text.startswith("digraph channels {")
    assert text.count("[label=") == 10
    assert text.count(" -> ") == 10
    assert 'label="odd", shape=octagon' in text


def test_without_graphviz_the_picture_becomes_a_text(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    graph = tf_diet.inspect(forked())
    written = tf_diet.picture(graph, tmp_path / "graph.svg")
    assert written == tmp_path / "graph.txt"
    assert written.read_text() == outline(graph) + "\n"
    assert [p.name for p in tmp_path.iterdir()] == ["graph.txt"]


@pytest.mark.parametrize("code", [0, 1])
def test_graphviz_is_asked_for_the_format(code, tmp_path, monkeypatch):
    """A stand-in that writes its arguments and input where it is told to."""
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n{{ echo "$1"; /bin/cat; }} > "$3"\n'
        f'echo "bad syntax" >&2\nexit {code}\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    graph = tf_diet.inspect(graphs.sequential())
    path = tmp_path / "graph.png"
    if code:
        with pytest.raises(InputError, match="Received: bad syntax"):
            picture(graph, path)
        assert not path.exists()
        return
    assert picture(graph, path) == path
    assert path.read_text() == f"-Tpng\n{dot(graph)}"


def test_source_can_be_written_and_unknown_formats_cannot(tmp_path):
    graph = tf_diet.inspect(graphs.sequential())
    written = picture(graph, tmp_path / "graph.dot")
    assert written.read_text() == dot(graph)
    with pytest.raises(InputError, match=r"\.svg, \.png"):
        picture(graph, tmp_path / "graph.jpeg2000")
