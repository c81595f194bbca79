# SPDX-License-Identifier: MIT
"""`--data` reads the same forms everywhere; `--json` writes what is told."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import graphs
import keras
import numpy as np
import pytest
import soundfile
from command_line import run

from tf_diet.cli import app, results
from tf_diet.cli.data import read_data, read_sounds
from tf_diet.data.inputs import Inputs
from tf_diet.data.reader import read
from tf_diet.errors import InputError

MODULE = """
import keras
import numpy as np

with np.load({npz!r}) as held:
    X, Y = held["x"], held["y"]

def pair():
    return X, Y

def x_alone():
    return X

def batches():
    import tensorflow as tf
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)

def folder():
    return {folder!r}
"""


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("forms")
    graphs.sequential().save(folder / "net.keras")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5)).astype("float32")
    y = x[:, :1] * 2
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "only_y.npz", y=y)
    np.savez(folder / "empty.npz")
    np.savez(folder / "named.npz", f0=x, loudness=x, y=y)
    np.save(folder / "data.npy", x)
    np.save(folder / "objects.npy", np.array([{}]), allow_pickle=True)
    (folder / "bad.npz").write_text("this is no archive")
    (folder / "cut.npz").write_bytes((folder / "data.npz").read_bytes()[:200])
    (folder / "data.csv").write_text("1,2")
    (folder / "notes").mkdir()
    tone = 0.3 * np.sin(np.arange(16000) * 0.1)
    soundfile.write(folder / "notes" / "a_C4.wav", tone, 16000)
    (folder / "forms.py").write_text(
        MODULE.format(
            npz=str(folder / "data.npz"), folder=str(folder / "notes")
        )
    )
    return folder


def pruned(capsys, held, *options):
    """Returns the units that stay, and what is said."""
    code, text = run(
        capsys,
        *("prune", held / "net.keras", "--rate", "0.4", "--dry-run"),
        *("--json", held / "plan.json", "--overwrite", *options),
    )
    assert code == 0, text
    return json.loads((held / "plan.json").read_text())["kept_units"]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["{}/forms.py:pair", "{}/forms.py:batches"])
def test_functions_and_files_of_the_same_data_are_the_same(capsys, held, word):
    units = pruned(capsys, held, "--data", held / "data.npz")
    assert pruned(capsys, held, "--data", word.format(held)) == units


def test_inputs_alone_serve_criteria_that_need_no_targets(capsys, held):
    activation = ("--criterion", "activation", "--data")
    units = pruned(capsys, held, *activation, held / "data.npz")
    assert pruned(capsys, held, *activation, held / "data.npy") == units


def test_a_module_is_found_by_its_name(held, monkeypatch):
    monkeypatch.syspath_prepend(held)
    x, y = read_data("forms:pair", "net.keras")
    assert (x.shape, y.shape) == ((80, 5), (80, 1))


def test_named_inputs_stay_named(held):
    x, y = read_data(str(held / "named.npz"), "net.keras")
    assert set(x) == {"f0", "loudness"}
    assert y.shape == (80, 1)


@pytest.mark.parametrize("name", ["data.npz", "data.npy", "forms.py:x_alone"])
def test_one_array_is_that_of_the_one_input(held, name):
    model = keras.models.load_model(held / "net.keras")
    inputs = Inputs.of(model, "Calibration data")
    found = read(
        read_data(str(held / name), "net.keras"), inputs, targets=False
    )
    assert [array.shape for array in found.x] == [(80, 5)]


def test_conversion_calibrates_with_all_of_them_alike(capsys, held, tmp_path):
    found = set()
    for number, name in enumerate(
        ("data.npz", "data.npy", "forms.py:x_alone", "forms.py:batches")
    ):
        folder = tmp_path / str(number)
        code, text = run(
            capsys,
            *("convert", held / "net.keras", "-o", folder),
            *("--quantize", "int8", "--data", held / name),
        )
        assert code == 0, text
        found.add((folder / "net_int8.tflite").read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nowhere.npz", "cannot be read"),
        ("bad.npz", "cannot be read"),
        ("cut.npz", "cannot be read"),
        ("objects.npy", "cannot be read"),
        ("empty.npz", "holds no inputs"),
        ("only_y.npz", "nothing but y"),
        ("data.csv", "or a folder of sounds"),
        ("nowhere", "which is not there"),
        ("forms.py", "FILE.py:FUNCTION"),
        ("nowhere.py:pair", "no such file"),
        ("forms.py:triple", "no such function"),
        ("notes", "'tf-diet train' made, whose config.json"),
    ],
)
def test_other_data_is_one_clear_error(held, word, message, monkeypatch):
    monkeypatch.chdir(held)
    with pytest.raises(InputError) as caught:
        read_data(word, held / "net.keras")
    assert message in str(caught.value)
    assert "Received: " in str(caught.value)


def test_sounds_are_a_folder_or_a_function_that_names_one(held):
    for word in (held / "notes", f"{held}/forms.py:folder"):
        source = read_sounds(str(word))
        assert [note.name for note in source.notes] == ["a_C4.wav"]
    for word, message in (
        ("data.npz", "takes sounds"),
        ("nowhere", "no such folder"),
    ):
        with pytest.raises(InputError, match=message):
            read_sounds(str(held / word))


def out_and_err(capsys, *argv):
    code = app.main(app.parse(["tf-diet", *map(str, argv)]))
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out, captured.err


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [False, True])
def test_nothing_but_json_is_on_standard_output(held, tmp_path, capsys, quiet):
    more = ["--json", "-", *(["--quiet"] if quiet else [])]
    model = held / "net.keras"
    out, err = out_and_err(capsys, "inspect", model, "--group", "*", *more)
    found = json.loads(out)
    assert {"groups", "cost", "barriers", "details"} <= set(found)
    assert sum(group["units"] for group in found["groups"]) > 0
    assert ("made by" in err) != quiet
    out, err = out_and_err(
        capsys,
        *("prune", model, "--rate", "0.4", "--criterion", "magnitude"),
        *("-o", tmp_path / "small.keras", *more),
    )
    assert json.loads(out)["rate"] == 0.4
    assert ("wrote" in err) != quiet
    assert (tmp_path / "small.keras").exists()
    out, err = out_and_err(
        capsys, "convert", model, "-o", tmp_path / "board", *more
    )
    found = json.loads(out)
    assert found["bytes"] == Path(found["tflite"]).stat().st_size
    assert found["micro"]["arena_bytes"] > 0
    out, _ = out_and_err(
        capsys,
        *("profile", found["tflite"], "--runs", "5", "--board"),
        *("nano-33-ble,pico-2", *more),
    )
    figures = json.loads(out)
    assert figures["bytes"] == found["bytes"]
    assert [fit["board"] for fit in figures["boards"]] == [
        "nano-33-ble",
        "pico-2",
    ]


@pytest.mark.slow
def test_a_plan_that_was_printed_can_be_applied(held, tmp_path, capsys):
    model = held / "net.keras"
    options = ("--rate", "0.4", "--criterion", "magnitude", "--dry-run")
    out, _ = out_and_err(capsys, "prune", model, *options, "--json", "-")
    (tmp_path / "plan.json").write_text(out)
    small = tmp_path / "small.keras"
    out_and_err(
        capsys,
        *("prune", model, "--plan-from", tmp_path / "plan.json", "-o", small),
    )
    assert keras.models.load_model(small).count_params() < (
        keras.models.load_model(model).count_params()
    )


@dataclass(frozen=True)
class Held:
    """What a command may find out."""

    path: Path
    values: np.ndarray


@pytest.mark.parametrize("target", ["-", "facts.json"])
def test_what_json_cannot_say_is_null(tmp_path, monkeypatch, capsys, target):
    monkeypatch.chdir(tmp_path)
    facts = {
        "held": Held(Path("a/b"), np.array([[1.5, np.nan], [np.inf, 2]])),
        "number": np.float32(0.5),
        "count": np.int64(3),
        "nan": math.nan,
        1: {"set"},
    }
    results.write_json(target, facts)
    text = capsys.readouterr().out
    if target != "-":
        assert text == ""
        text = Path(target).read_text("utf-8")
    assert json.loads(text) == {
        "held": {"path": "a/b", "values": [[1.5, None], [None, 2.0]]},
        "number": 0.5,
        "count": 3,
        "nan": None,
        "1": ["set"],
    }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("-o", "small"), "must end in .keras"),
        (("-o", "small.h5"), "say, -o small.keras"),
        (("--data", "nowhere", "-o", "small"), "must end in .keras"),
    ],
)
def test_the_name_to_write_is_checked_before_the_work(
    held, tmp_path, capsys, monkeypatch, argv, message
):
    monkeypatch.chdir(tmp_path)
    code, text = run(
        capsys, "prune", held / "net.keras", "--rate", "0.4", *argv
    )
    assert code == 2
    assert message in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("profile", "."), "a folder"),
        (("profile", "data.npz"), "no .keras file"),
        (("convert", "data.npz", "-o", "x"), "no .keras file"),
        (("inspect", "data.npz"), "no .keras file"),
        (("inspect", "."), "Name a file in it, such as net.keras"),
        (
            ("convert", "net.keras", "-o", "x", "--data", "notes"),
            "config.json",
        ),
        (("runs", "notes", "-o", "best"), "must end in .keras"),
        (("lottery", "forms.py:pair", "-o", "notes"), "--overwrite"),
        (
            ("train", "--model", "ddsp", "--data", "data.npy", "-o", "x"),
            "a folder of audio files",
        ),
    ],
)
def test_slips_are_one_line(held, capsys, monkeypatch, argv, message):
    monkeypatch.chdir(held)
    before = sorted(p.name for p in held.iterdir() if p.suffix != ".pyc")
    code, text = run(capsys, *argv)
    assert code == 2
    assert message in text
    assert len(text.splitlines()) == 1
    after = {p.name for p in held.iterdir() if p.suffix != ".pyc"}
    assert sorted(after - {"__pycache__"}) == sorted(
        set(before) - {"__pycache__"}
    )


def test_overwrite_removes_a_run_and_nothing_else(held, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("dear")
    line = ["lottery", f"{held}/forms.py:pair", "-o", tmp_path, "--overwrite"]
    code, text = run(capsys, *line)
    assert code == 2
    assert "without model" in text or "not empty" in text
    assert (tmp_path / "thesis.txt").exists()
    (tmp_path / "run.json").write_text("{}")
    assert run(capsys, *line)[0] == 2
    assert not (tmp_path / "thesis.txt").exists()
