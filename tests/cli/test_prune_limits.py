# SPDX-License-Identifier: MIT
"""Limits and graph options on the command line."""

import json

import keras
import pytest
from command_line import run
from keras import layers

from tf_diet.cli import app


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    x = keras.Input((5,), name="x")
    a = layers.Dense(12, activation="relu", name="left")(x)
    b = layers.Dense(12, activation="relu", name="right")(x)
    c = layers.LayerNormalization(name="norm")(
        layers.Dense(10, name="inner")(layers.Concatenate()([a, b]))
    )
    h = layers.Dense(9, name="hidden")(c)
    model = keras.Model(x, layers.Dense(2, name="head")(h), name="net")
    model.save(folder / "net.keras")
    return folder


def widths(saved, tmp_path, capsys, *options):
    code, text = run(
        capsys,
        *("prune", saved / "net.keras", "--rate", 0.99, "--criterion"),
        *("magnitude", "--allow-less", "-o", tmp_path / "small.keras"),
        *("--plan", tmp_path / "plan.json", *options),
    )
    assert code == 0, text
    plan = json.loads((tmp_path / "plan.json").read_text())
    small = keras.models.load_model(tmp_path / "small.keras")
    return {n: len(units) for n, units in plan["kept_units"].items()}, small


def test_limits_of_every_kind(saved, tmp_path, capsys):
    found, small = widths(
        *(saved, tmp_path, capsys, "--keep", "hid*", "--max-rate", "0.9"),
        *("--max-rate", "left=0.5", "--min-width", "right=3"),
        *("--round-to", "4"),
    )
    assert found == {"left": 8, "right": 4, "hidden": 9}
    assert small.get_layer("left").units == 8


def test_ties_and_what_is_inexact(saved, tmp_path, capsys):
    found, small = widths(
        saved, tmp_path, capsys, "--tie", "left", "right", "--no-exact"
    )
    assert found == {"left": 2, "inner": 2, "hidden": 2}
    assert small.get_layer("right").units == 2
    assert small.get_layer("norm").gamma.shape == (2,)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--max-rate", "left=half"), "Received: 'left=half'"),
        (("--min-width", "8.5"), "--min-width takes a number"),
        (("--max-rate", "2"), "between 0 and 1"),
        (("--keep", "lfet"), "Did you mean 'left'"),
        (("--round-to", "0"), "round_to must be"),
        (("--tie", "left"), "joins two layers or more"),
    ],
)
def test_bad_limits_are_one_line(saved, options, words, tmp_path, capsys):
    code, text = run(
        capsys,
        *("prune", saved / "net.keras", "--rate", 0.5),
        *("--criterion", "magnitude", "-o", tmp_path / "x.keras", *options),
    )
    assert code == 2
    assert words in text
    assert not list(tmp_path.iterdir())


def test_inspect_draws_and_opens_what_is_inexact(saved, tmp_path, capsys):
    code, text = run(
        capsys,
        *("inspect", saved / "net.keras", "--picture", tmp_path / "net.dot"),
    )
    assert code == 0
    assert "pinned: inner (10 units)" in text
    assert "prunable: " in text
    assert "digraph" in (tmp_path / "net.dot").read_text()
    code, text = run(capsys, "inspect", saved / "net.keras", "--no-exact")
    assert code == 0
    assert "inexact: inner (10 units)" in text


def test_help_teaches_names_and_rounding(capsys):
    with pytest.raises(SystemExit):
        app.parse(["tf-diet", "prune", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in ("[NAME=]SHARE", "SIMD", "tf-diet inspect", "retraining"):
        assert words in text
