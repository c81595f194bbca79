# SPDX-License-Identifier: MIT
"""`tf-diet sweep`, as a user calls it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from command_line import run
from small_lottery import traces

from tf_diet.cli.lottery import diet_of
from tf_diet.cli.sweep import _parsed
from tf_diet.errors import InputError, RunFolderError
from tf_diet.lottery.build_functions import built
from tf_diet.lottery.run_folder import RunFolder
from tf_diet.lottery.sweep import Sweep, grid, sweep

pytestmark = pytest.mark.slow

NETS = """
import time

import keras
import numpy as np


class Slow(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.1)


def small(seed):
    x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    y = np.tanh(x[:, :1] + x[:, 1:2])
    net = keras.Sequential([
        keras.Input((6,)),
        keras.layers.Dense(12, "relu", name="a"),
        keras.layers.Dense(1, name="out"),
    ])
    net.compile("adam", "mse")
    return {"model": net, "x": x, "y": y, "validation_data": (x, y),
            "epochs": 6, "batch_size": 30, "callbacks": [Slow()]}


def fails(seed):
    if seed == 1:
        raise RuntimeError("the recordings are gone")
    return small(seed)
"""
SWEEP = """
folder: {folder}
build: {nets}:small
grid:
  criterion: [magnitude, random]
  seed: {seeds}
lottery:
  rounds: 2
  rewind: 1
  scratch: true
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


def _asked(tmp_path, nets, seeds="[0]"):
    path = tmp_path / "sweep.yaml"
    folder = tmp_path / "sweep"
    path.write_text(SWEEP.format(folder=folder, nets=nets, seeds=seeds))
    return path, folder


def _killed_in_the_middle(file, folder):
    """Starts a sweep and kills it, without a word, when rounds are filed."""
    command = [sys.executable, "-m", "tf_diet", "sweep", str(file)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    lines = "runs/*/rounds.jsonl"
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if list(folder.glob(lines)):
            break
        time.sleep(0.02)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return killed


def test_a_killed_sweep_grows_and_ends_as_unbroken_runs_do(
    tmp_path, capsys, nets
):
    file, folder = _asked(tmp_path, nets)
    assert _killed_in_the_middle(file, folder)
    begun = {path.parent.name for path in folder.glob("runs/*/run.json")}
    assert begun

    code, out = run(capsys, "sweep", file)
    assert code == 2
    assert "not empty" in out
    file, folder = _asked(tmp_path, nets, seeds="[0, 1]")
    code, out = run(capsys, "sweep", file, "--resume")
    assert code == 0, out

    done = Sweep.open(folder)
    assert len(done.runs) == 4
    for name, trial in done.runs.items():
        settings = done.settings[name]
        assert [line.round for line in trial.folder.rounds()] == [0, 1, 2]
        assert len(trial.scratches) == 1
        if name in begun:
            args = _parsed(
                f"{nets}:small",
                {
                    "rounds": 2,
                    "rewind": 1,
                    "criterion": settings["criterion"],
                    "seed": settings["seed"],
                },
            )
            unbroken = diet_of(args).fit(
                **built(f"{nets}:small", settings["seed"]),
                folder=tmp_path / "unbroken" / name,
            )
            assert traces(trial) == traces(unbroken)
    seeds = {done.settings[name]["seed"]: t for name, t in done.runs.items()}
    starts = [t.folder.start_path.read_bytes() for t in (seeds[0], seeds[1])]
    assert starts[0] != starts[1]

    table = (folder / "sweep.md").read_text()
    assert table.startswith("| criterion | seeds |")
    lines = table.splitlines()
    assert [line[:1] for line in lines] == ["|"] * 4 + ["", "W"]
    assert "small" not in table
    assert "tf_diet 0." in lines[-1]
    rows = (folder / "sweep.csv").read_text().splitlines()
    assert len(rows) == 1 + 4 * 4
    assert (folder / "sweep.png").stat().st_size > 1000


def test_a_trial_that_fails_keeps_no_other_from_ending(tmp_path, capsys, nets):
    file, folder = _asked(tmp_path, nets, seeds="[0, 1]")
    text = file.read_text().replace(":small", ":fails")
    file.write_text(text.replace("[magnitude, random]", "[magnitude, tayler]"))
    code, out = run(capsys, "sweep", file)
    assert code == 2
    assert "3 of 4 trials did not end" in out
    assert "RuntimeError: the recordings are gone" in out
    assert "Did you mean 'taylor'?" in out
    assert list(Sweep.open(folder).runs) == [
        "build=fails,criterion=magnitude,seed=0"
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("folder:", "folders:", "no 'folder'; folders:"),
        ("grid:", "grid: [", "cannot be read"),
        ("seed: [0]", "seed: 0", r"grid: seed: 0 \(a list is needed\)"),
        ("rounds: 2", "runds: 2", "unrecognized arguments: --runds 2"),
        ("rounds: 2", "rounds: many", "invalid int value: 'many'"),
        (":small", ":large", "no such function"),
        ("rewind: 1", "rewind: soon", "takes a moment"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_begins(
    tmp_path, capsys, nets, old, new, message
):
    file, folder = _asked(tmp_path, nets)
    file.write_text(file.read_text().replace(old, new, 1))
    code, out = run(capsys, "sweep", file)
    assert code == 2
    assert message.replace("\\", "") in out
    assert not folder.exists()


def test_options_that_take_several_values_are_written_as_yaml():
    args = _parsed(
        "a:b",
        {
            "keep": ["head", "tail"],
            "max-rate": {"": 0.5, "block*": 0.2},
            "tie": [["a", "b"], ["c", "d"]],
            "scratch": True,
            "until_error": 1.1,
        },
    )
    limits = diet_of(args).limits
    assert limits.keep == ("head", "tail")
    assert limits.max_rate == {"": 0.5, "block*": 0.2}
    assert limits.tie == (("a", "b"), ("c", "d"))
    assert args.scratch


def test_a_grid_is_every_combination(nets):
    from tf_diet import LotteryDiet

    trials = grid(
        [f"{nets}:small", f"{nets}:fails"],
        LotteryDiet(),
        criterion=["l2", "random"],
        seed=[0, 1],
    )
    assert len(trials) == 8
    trial = trials["build=fails,criterion=random,seed=1"]
    assert (trial.diet.criterion, trial.diet.seed) == ("random", 1)
    with pytest.raises(InputError, match="criteria="):
        grid(f"{nets}:small", LotteryDiet(), criteria=["l2"])
    with pytest.raises(InputError, match="criterion='l2'"):
        grid(f"{nets}:small", LotteryDiet(), criterion="l2")


def test_a_sweep_at_work_keeps_another_out(tmp_path, nets):
    from tf_diet import LotteryDiet

    trials = grid(f"{nets}:small", LotteryDiet(), seed=[0])
    with (
        RunFolder(tmp_path / "sweep").locked(),
        pytest.raises(RunFolderError, match="at work"),
    ):
        sweep(trials, tmp_path / "sweep", resume=True)
    with pytest.raises(InputError, match="no sweep here"):
        Sweep.open(tmp_path / "none")
