# SPDX-License-Identifier: MIT
"""Budgets, scopes and scalings on the command line."""

import json

import graphs
import keras
import numpy as np
import pytest
from command_line import run

from tf_diet.cli import app
from tf_diet.cli.budget import size
from tf_diet.errors import InputError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("budget")
    graphs.small_convnet().save(folder / "net.keras")
    return folder / "net.keras"


def pruned(saved, folder, capsys, *options):
    code, text = run(
        capsys,
        *("prune", saved, "--criterion", "magnitude", *options),
        *("-o", folder / "small.keras", "--plan", folder / "plan.json"),
    )
    assert code == 0, text
    plan = json.loads((folder / "plan.json").read_text())
    return plan, keras.models.load_model(folder / "small.keras"), text


def test_bounds_are_met_and_shown(saved, tmp_path, capsys):
    plan, small, text = pruned(
        *(saved, tmp_path, capsys, "--parameters", "2k"),
        *("--disk-bytes", "32KB", "--flops", "1M"),
    )
    assert small.count_params() <= 2000
    assert plan["rate"] is None
    assert plan["settings"]["budget"] == {
        "parameters": 2000,
        "flops": 1_000_000,
        "disk_bytes": 32_768,
    }
    assert "budget: parameters: " in text
    assert "of 2,000" in text


def test_flops_of_a_second(saved, tmp_path, capsys):
    plan, _, _ = pruned(
        *(saved, tmp_path, capsys, "--flops", "10M"),
        *("--calls-per-second", "100"),
    )
    assert plan["cost_after"]["flops"] * 100 <= 10_000_000
    assert plan["settings"]["budget"]["calls_per_second"] == 100


def test_scope_and_scaling_are_passed_on(saved, tmp_path, capsys):
    plan, _, _ = pruned(
        *(saved, tmp_path, capsys, "--rate", "0.5", "--scope", "isomorphic"),
        *("--scaling", "per_flop"),
    )
    assert plan["settings"]["scope"] == "isomorphic"
    assert plan["settings"]["scaling"] == "per_flop"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("parameters", "500k", 500_000),
        ("parameters", "1.5M", 1_500_000),
        ("parameters", "12_000", 12_000),
        ("flops", "2G", 2_000_000_000),
        ("flops", "1e6", 1_000_000),
        ("disk_bytes", "64KB", 65_536),
        ("disk_bytes", "64kB", 65_536),
        ("disk_bytes", "2MiB", 2 * 1024**2),
        ("ram_bytes", "900", 900),
        ("ram_bytes", "900B", 900),
    ],
)
def test_sizes(name, text, value):
    assert size(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parameters", "many"),
        ("parameters", "64KB"),
        ("parameters", "-5"),
        ("disk_bytes", "64 T"),
        ("disk_bytes", ""),
    ],
)
def test_sizes_that_are_none(name, text):
    with pytest.raises(InputError, match="takes a number"):
        size(name, text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Received: no goal"),
        (("--rate", 0.5, "--flops", "1M"), "--rate 0.5 --flops 1M"),
        (("--parameters", "12"), "Least: parameters "),
        (("--parameters", "0"), "above 0"),
        (("--disk-bytes", "much"), "Received: 'much'"),
        (("--rate", 0.5, "--scope", "globl"), "Did you mean 'global'"),
        (("--rate", 0.5, "--scaling", "perflop"), "Did you mean 'per_flop'"),
    ],
)
def test_goals_that_cannot_be_meant(saved, options, words, tmp_path, capsys):
    code, text = run(
        capsys,
        *("prune", saved, "--criterion", "magnitude"),
        *("-o", tmp_path / "x.keras", *options),
    )
    assert code == 2
    assert words in text
    assert not list(tmp_path.iterdir())


def test_help_teaches_goals_scopes_and_scalings(capsys):
    with pytest.raises(SystemExit):
        app.parse(["tf-diet", "prune", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "64KB",
        "a multiply and an add",
        "lost 90 %",
        "groups of like structure",
        "what the unit saves",
        "0.98",
    ):
        assert words in text


@pytest.mark.slow
def test_repair_changes_what_is_written(saved, tmp_path, capsys):
    x = np.random.default_rng(0).normal(
        size=(64, *keras.models.load_model(saved).input_shape[1:])
    )
    np.savez(tmp_path / "calibration.npz", x=x, y=np.zeros(64))
    outputs = []
    for options in ((), ("--repair", "bias")):
        folder = tmp_path / str(len(options))
        folder.mkdir()
        _, small, _ = pruned(
            *(saved, folder, capsys, "--rate", "0.5"),
            *("--data", tmp_path / "calibration.npz", *options),
        )
        outputs.append(small.get_weights())
    plain, repaired = outputs
    assert [w.shape for w in plain] == [w.shape for w in repaired]
    assert any((a != b).any() for a, b in zip(plain, repaired, strict=True))
