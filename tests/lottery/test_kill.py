# SPDX-License-Identifier: MIT
"""A run that is killed at any moment ends as the run that never was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import small_lottery as small

from tf_diet import files
from tf_diet.errors import RunFolderError
from tf_diet.lottery.resets import Rewind
from tf_diet.lottery.run import Run
from tf_diet.lottery.run_folder import RunFolder
from tf_diet.training import loop as training

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


class Moments:
    """Counts batches and files, and dies at one of them."""

    def __init__(self, monkeypatch):
        self.count, self.dies = 0, None
        replace = os.replace
        batch_end = training._Keeper.on_train_batch_end

        def replaced(source, path):
            self.pass_()
            replace(source, path)
            self.pass_()

        def ended(keeper, batch, logs=None):
            batch_end(keeper, batch, logs)
            self.pass_()

        monkeypatch.setattr(files.os, "replace", replaced)
        monkeypatch.setattr(training._Keeper, "on_train_batch_end", ended)

    def pass_(self):
        self.count += 1
        if self.count == self.dies:
            raise Killed

    def die(self, at):
        self.count, self.dies = 0, at


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that is never killed, and how many moments it has."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        moments = Moments(monkeypatch)
        run = small.fit_kept(tmp_path_factory.mktemp("whole") / "run")
        return small.traces(run), moments.count


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_moments(tmp_path, monkeypatch, whole, seed):
    expected, count = whole
    moments = Moments(monkeypatch)
    rng = np.random.default_rng(seed)
    kills = 0
    while True:
        # Some kills come soon after the last, some much later.
        moments.die(int(rng.integers(1, count // 2)))
        try:
            # Another process would draw other weights to begin with.
            net = small.model(seed=kills + 3)
            run = small.fit_kept(tmp_path / "run", net=net, resume=True)
            break
        except Killed:
            kills += 1
    assert kills
    assert small.traces(run) == expected
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert not [name for name in left if name.startswith("state_")]


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import small_lottery as small
small.fit_kept(sys.argv[2], resume=True)
"""


def start(folder):
    here = str(Path(small.__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, here, str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(folder, pattern, process):
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_for_real(tmp_path, whole):
    expected, _ = whole
    folder = tmp_path / "run"
    for pattern in ("start.keras", "state_round_00.npz", "plan_01.json"):
        process = start(folder)
        wait_for(folder, pattern, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start(folder)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert small.traces(Run.open(folder)) == expected


def test_interrupted_by_hand_finishes_the_step_and_says_how_to_go_on(
    tmp_path, whole
):
    expected, _ = whole
    folder = tmp_path / "run"
    process = start(folder)
    wait_for(folder, "state_round_00.npz", process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "resume=True" in said
    assert (folder / "state_round_00.npz").exists()
    small.fit_kept(folder, resume=True)
    assert small.traces(Run.open(folder)) == expected


def test_a_second_process_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        with pytest.raises(RunFolderError, match="Another process"):
            small.fit_kept(tmp_path / "run", resume=True)
        assert [p.name for p in folder.folder.iterdir()] == [".lock"]


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, whole):
    expected, _ = whole
    save = keras.Model.save
    room = [3]

    def full(self, path, *args, **kwargs):
        room[0] -= 1
        if room[0] < 0:
            Path(path).write_bytes(b"half of a fi")
            raise OSError(28, "No space left on device")
        save(self, path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", full)
        with pytest.raises(RunFolderError, match="disk is full"):
            small.fit_kept(tmp_path / "run")
    resumed = small.fit_kept(tmp_path / "run", resume=True)
    assert small.traces(resumed) == expected


@pytest.mark.parametrize("kind", ["dataset", "sequence"])
def test_data_that_makes_its_own_batches(tmp_path, monkeypatch, kind):
    runs = []
    settings = {"reset": Rewind(epoch=1), "batch_size": None}
    for name, dies in (("whole", None), ("broken", 40)):
        moments = Moments(monkeypatch)
        moments.die(dies)
        x = DATA[kind]
        try:
            runs.append(small.fit_kept(tmp_path / name, x=x(), **settings))
        except Killed:
            folder = tmp_path / name
            runs.append(small.fit_kept(folder, x=x(), resume=True, **settings))
    whole, broken = map(small.traces, runs)
    assert whole == broken


class Drawn(keras.utils.PyDataset):
    """A data set that draws a new order after every epoch."""

    def __init__(self):
        super().__init__()
        self.x, self.y = small.data(0)
        self.rng = np.random.default_rng(7)
        self.on_epoch_end()

    @property
    def num_batches(self):
        return 3

    def on_epoch_end(self):
        self.order = self.rng.permutation(60)

    def __getitem__(self, index):
        rows = self.order[20 * index : 20 * index + 20]
        return self.x[rows], self.y[rows]


def dataset():
    import tensorflow as tf

    # Its order follows from this seed too, as in a new process.
    keras.utils.set_random_seed(7)
    made = tf.data.Dataset.from_tensor_slices(small.data(0))
    return made.shuffle(60, seed=5).batch(20)


DATA = {"dataset": dataset, "sequence": Drawn}
