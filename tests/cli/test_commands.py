# SPDX-License-Identifier: MIT
"""The command line as a user meets it."""

import json
import subprocess
import sys

import graphs
import keras
import numpy as np
import pytest
from command_line import run

from tf_diet.cli import app
from tf_diet.models.ddsp_network import DDSPConfig, ddsp


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("models")
    graphs.sequential().save(folder / "net.keras")
    ddsp(DDSPConfig.preset("tiny", instruments=2)).save(folder / "ddsp.keras")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5)).astype("float32")
    np.savez(folder / "data.npz", x=x, y=x[:, :1])
    (folder / "bad.npz").write_text("this is no archive")
    np.savez(
        folder / "notes.npz",
        f0=rng.uniform(200, 900, (3, 200, 1)).astype("float32"),
        loudness=rng.uniform(-60, 0, (3, 200, 1)).astype("float32"),
        instrument=np.eye(2, dtype="float32")[rng.integers(0, 2, (3, 200))],
    )
    return folder


@pytest.mark.parametrize(
    "command", ["demo", "inspect", "prune", "convert", "profile"]
)
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as caught:
        app.parse(["tf-diet", command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert f"tf-diet {command}" in text
    assert len(text.splitlines()) > 10


def test_inspect(saved, capsys):
    code, text = run(capsys, "inspect", saved / "ddsp.keras")
    assert code == 0
    assert "gru" in text
    assert "barrier: synthesizer" in text


def test_prune_writes_a_smaller_model_and_its_plan(saved, tmp_path, capsys):
    arguments = (
        *("prune", saved / "net.keras", "--rate", 0.4),
        *("--data", saved / "data.npz", "-o", tmp_path / "small.keras"),
        *("--plan", tmp_path / "plan.json"),
    )
    code, text = run(capsys, *arguments)
    assert code == 0
    assert "removes 4" in text
    small = keras.models.load_model(tmp_path / "small.keras")
    full = keras.models.load_model(saved / "net.keras")
    assert small.count_params() <= 0.6 * full.count_params()
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["settings"]["criterion"] == "mutual_information"
    code, text = run(capsys, *arguments)
    assert code == 2
    assert "--overwrite" in text


def test_dry_run_writes_nothing(saved, tmp_path, capsys):
    code, _ = run(
        capsys,
        *("prune", saved / "net.keras", "--rate", 0.4, "--dry-run"),
        *("--criterion", "magnitude", "-o", tmp_path / "small.keras"),
    )
    assert code == 0
    assert not list(tmp_path.iterdir())


def test_convert_then_profile(saved, tmp_path, capsys):
    folder = tmp_path / "board"
    code, text = run(
        capsys,
        *("convert", saved / "ddsp.keras", "--output", folder, "--sketch"),
        *("--quantize", "int16x8", "--data", saved / "notes.npz"),
    )
    assert code == 0, text
    settings = json.loads((folder / "micro/model_settings.json").read_text())
    assert settings["hop"] == 160
    assert {x["name"] for x in settings["inputs"]} >= {"pitch", "level"}
    assert list((folder / "sketch").rglob("*.ino"))
    code, text = run(
        capsys,
        *("profile", folder / "ddsp_int16x8.tflite", "--runs", 20),
        *("--board", "nano-33-ble", "--json", tmp_path / "figures.json"),
    )
    assert code == 0, text
    assert "FULLY_CONNECTED" in text
    assert json.loads((tmp_path / "figures.json").read_text())["bytes"] > 0


OWN = """
import keras

@keras.saving.register_keras_serializable("own")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x

@keras.saving.register_keras_serializable("own")
def share_of_power(t, p):
    return keras.ops.mean((t - p) ** 2)
"""


def test_custom_layers_and_losses_are_imported(tmp_path, capsys):
    """Written by a process that knows them, read by one that does not."""
    (tmp_path / "own.py").write_text(OWN)
    program = (
        "import keras, own\n"
        "m = keras.Sequential([keras.Input((3,)), own.Twice()])\n"
        "m.compile(loss=own.share_of_power)\n"
        "m.save('own.keras')\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    argv = ("convert", tmp_path / "own.keras", "-o", tmp_path / "out")
    code, text = run(capsys, *argv)
    assert code == 2
    assert "--import" in text
    code, text = run(capsys, *argv, "--import", tmp_path / "own.py")
    assert code == 0, text
    assert "converted as one whole call" in text
    argv = ("convert", tmp_path / "out" / "own_float32.tflite", "-o")
    code, text = run(capsys, *argv, tmp_path / "again", "--board", "esp32")
    assert code == 0, text
    assert (tmp_path / "again" / "own_float32.tflite").is_file()
    code, text = run(capsys, *argv, tmp_path / "more", "--quantize", "int8")
    assert code == 2
    assert "converted already" in text
    np.savez(tmp_path / "d.npz", x=np.eye(3), y=np.arange(3))
    code, text = run(
        capsys,
        *("profile", tmp_path / "out" / "own_float32.tflite", "--runs", 5),
        *("--data", tmp_path / "d.npz", "--json", tmp_path / "figures.json"),
    )
    assert code == 0, text
    assert "accuracy 100.00% over 3 examples" in text
    facts = json.loads((tmp_path / "figures.json").read_text())
    assert facts["evaluation"]["value"] == 1.0


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("inspect", "nowhere.keras"), "cannot be read"),
        (("prune", "net.keras", "--rate", "1.5"), "between 0 and 1"),
        (("prune", "net.keras", "--rate", "0.5"), "looks at what units do"),
        (
            ("prune", "net.keras", "--rate", "0.5", "--criterion", "magnitud"),
            "Did you mean 'magnitude'",
        ),
        (
            ("prune", "net.keras", "--rate", "0.5", "--data", "bad.npz"),
            "calibration data cannot be read",
        ),
        (("convert", "net.keras", "--output", "."), "not empty"),
        (
            ("convert", "net.keras", "--output", "x", "--shape", "wide"),
            "--shape wide",
        ),
        (
            ("convert", "net.keras", "-o", "x", "--import", "nowhere.py"),
            "no such file",
        ),
        (("convert", "net.keras", "-o", "x", "--board", "pic"), "'pico'"),
        (("demo", "--output", "."), "--resume"),
        (("profile",), "nothing to profile"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    saved, argv, words, capsys, monkeypatch
):
    monkeypatch.chdir(saved)
    before = sorted(p.name for p in saved.iterdir())
    code, text = run(capsys, *argv)
    assert code == 2
    assert words in text
    assert "Traceback" not in text
    assert sorted(p.name for p in saved.iterdir()) == before
