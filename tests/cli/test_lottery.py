# SPDX-License-Identifier: MIT
"""`tf-diet lottery` and `tf-diet runs`, as a user calls them."""

import keras
import numpy as np
import pytest
from command_line import run

from tf_diet.lottery.run import Run

pytestmark = pytest.mark.slow

BUILD = """
import keras
import numpy as np

def build():
    keras.utils.set_random_seed(3)
    x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    y = np.tanh(x[:, :1] + x[:, 1:2])
    net = keras.Sequential([
        keras.Input((6,)),
        keras.layers.Dense(12, "relu", name="a"),
        keras.layers.Dense(1, name="out"),
    ])
    net.compile("adam", "mse", run_eagerly=True)
    return {"model": net, "x": x, "y": y, "validation_data": (x, y),
            "epochs": 3, "batch_size": 30}

def wrong():
    return {"x": 1}
"""


@pytest.fixture
def build(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(BUILD)
    return f"{path}:build"


def test_a_run_is_made_gone_on_with_and_looked_at(tmp_path, capsys, build):
    folder = tmp_path / "runs" / "first"
    line = ["lottery", build, "--folder", folder, "--rounds", "2"]
    line += ["--rewind", "1", "--criterion", "magnitude"]
    code, out = run(capsys, *line, "--scratch")
    assert code == 0, out
    assert "2 scratch" in out
    assert "the net of its widths from scratch" in out
    code, out = run(capsys, *line)
    assert code == 2
    assert "not empty" in out
    code, out = run(capsys, *line, "--resume")
    assert code == 0, out
    code, out = run(capsys, *line[:-1], "l2", "--resume")
    assert code == 2
    assert "diet.criterion: \"'magnitude'\" there, \"'l2'\" now" in out

    other = [*line[:3], tmp_path / "runs" / "second", *line[4:]]
    assert run(capsys, *other, "--reset", "none")[0] == 0
    code, out = run(capsys, "runs", tmp_path / "runs")
    assert code == 0
    assert "first" in out
    assert "second" in out
    assert out.count("best: <Ticket round") == 2
    plot = tmp_path / "plot.png"
    assert run(capsys, "runs", tmp_path / "runs", "--plot", plot)[0] == 0
    assert plot.stat().st_size > 1000


def test_the_best_ticket_is_taken_out(tmp_path, capsys, build):
    folder = tmp_path / "run"
    line = ["lottery", build, "--folder", folder, "--criterion", "magnitude"]
    assert (
        run(capsys, *line, "--parameters", "60", "--rewind", "3 steps")[0] == 0
    )
    tickets = Run.open(folder).tickets
    sizes = [ticket.line.parameters for ticket in tickets]
    assert sizes[-1] <= 60 < sizes[-2]
    output = tmp_path / "ticket.keras"
    code, out = run(
        capsys, "runs", folder, "--best", "--parameters", "60", "-o", output
    )
    assert code == 0, out
    assert keras.models.load_model(output).count_params() == sizes[-1]
    code, out = run(
        capsys, "runs", folder, "--best", "--error-multiplier", "100"
    )
    assert code == 0
    assert str(tickets[-1].path) in out
    code, out = run(capsys, "runs", folder, "--best", "-o", output)
    assert code == 2
    assert "exists" in out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["{path}"], "The function is missing"),
        (["{path}:other"], "no such function"),
        (["nowhere.py:build"], "no such file"),
        (["nowhere_at_all:build"], "no such module"),
        (["{path}:wrong"], "without model, validation_data, epochs"),
        (["{path}:build", "--rewind", "soon"], "a moment of the training"),
        (["{path}:build", "--rate", "1.5"], "rate in"),
        (["{path}:build", "--parameters", "many"], "takes a number"),
        (
            ["{path}:build", "--parameters", "60", "--until-error", "1.1"],
            "ends in one way",
        ),
        (["{path}:build", "--sparsities", "0.5", "0.4"], "rising shares"),
    ],
)
def test_what_cannot_be_run(tmp_path, capsys, build, changes, message):
    folder = tmp_path / "run"
    path = build.removesuffix(":build")
    first, *rest = (text.format(path=path) for text in changes)
    code, out = run(capsys, "lottery", first, "--folder", folder, *rest)
    assert code == 2
    assert message in out
    assert not folder.exists()


def test_no_run(tmp_path, capsys):
    code, out = run(capsys, "runs", tmp_path)
    assert code == 2
    assert "no run here" in out


def test_moments_of_the_command_line():
    from tf_diet.cli.lottery import _reset

    steps = [
        _reset("rewind", text).place(20, 10)
        for text in ("2", "0.5 epochs", "15 steps", "1 step", "10%")
    ]
    places = [(place.epoch, place.step) for place in steps]
    assert places == [(2, 0), (0, 5), (1, 5), (0, 1), (2, 0)]
    assert np.isfinite(places).all()
