# SPDX-License-Identifier: MIT
"""What earlier versions wrote is what this one reads: names are a format."""

import json

import keras
import numpy as np
import pytest

from tf_diet.errors import RunFolderError
from tf_diet.lottery.run_folder import RunFolder
from tf_diet.models.trainer import _Best, _Lines
from tf_diet.training.checkpoint import Checkpoint
from tf_diet.training.fingerprint import fingerprint

pytestmark = pytest.mark.slow

LINE = {"stage": "model", "epoch": 1, "loss": 2.5, "val_loss": 1.5}
# The facts of a state as version 0.1.0 wrote them, when all of it lay in
# tf_diet.lottery and tf_diet.cli.train.
FACTS = {
    "format": 1,
    "epoch": 2,
    "step": 1,
    "stopped": False,
    "seconds": 7.5,
    "callbacks": {
        "map": {
            "0 _Lines": {
                "map": {"stage": "model", "lines": {"list": [{"map": LINE}]}}
            },
            "1 _Best": {"map": {"least": 1.5}},
            "2 ReduceLROnPlateau": {
                "map": {"best": {"scalar": ["a5", "float32"]}, "wait": 1}
            },
            "3 History": {
                "map": {
                    "history": {"map": {"loss": {"list": [2.5]}}},
                    "epoch": {"list": [0]},
                }
            },
        }
    },
    "values": {
        "list": [
            {"array": ["a0", "float32"]},
            {"array": ["a1", "float32"]},
            {"array": ["a2", "int64"]},
            {"array": ["a3", "float32"]},
        ]
    },
    "metrics": {"list": [{"array": ["a4", "float32"]}] * 2},
}
ARRAYS = {
    "a0": np.array([[1.0], [2.0]], np.float32),
    "a1": np.array([3.0], np.float32),
    "a2": np.array(7),
    "a3": np.array(0.25, np.float32),
    "a4": np.array(4.0, np.float32),
    "a5": np.array(1.25, np.float32),
}


def state(path, **facts):
    text = np.array(json.dumps({**FACTS, **facts}))
    np.savez(path, facts=text, **ARRAYS)
    return path


def net():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.test_on_batch(np.zeros((1, 2)), np.zeros((1, 1)))
    return model


def test_a_state_inside_a_training(tmp_path):
    kept = Checkpoint.load(state(tmp_path / "state.npz"))
    assert (kept.epoch, kept.step, kept.seconds) == (2, 1, 7.5)
    model = net()
    callbacks = [
        _Lines(tmp_path / "training.jsonl", "model"),
        _Best(tmp_path / "best.weights.h5"),
        keras.callbacks.ReduceLROnPlateau(),
        keras.callbacks.History(),
    ]
    for callback in callbacks:
        callback.set_model(model)
    kept.restore(model, callbacks)
    lines, best, plateau, history = callbacks
    assert lines.lines == [LINE]
    assert best.least == 1.5
    assert (plateau.best, plateau.wait) == (1.25, 1)
    assert history.history == {"loss": [2.5]}
    kernel, bias = model.get_weights()
    np.testing.assert_array_equal(kernel, ARRAYS["a0"])
    np.testing.assert_array_equal(bias, ARRAYS["a1"])
    assert int(model.optimizer.iterations) == 7
    assert float(model.optimizer.learning_rate) == 0.25
    # And what is written now is that again.
    Checkpoint.of(model, 2, 1, callbacks, 7.5).save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as read:
        facts = json.loads(str(read["facts"]))
    assert set(facts) == set(FACTS)
    written = facts["callbacks"]["map"]
    for name, held in FACTS["callbacks"]["map"].items():
        assert set(held["map"]) <= set(written[name]["map"])
    assert written["0 _Lines"] == FACTS["callbacks"]["map"]["0 _Lines"]
    assert written["1 _Best"] == FACTS["callbacks"]["map"]["1 _Best"]


def test_a_state_of_another_layout_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="cannot be read"):
        Checkpoint.load(state(tmp_path / "state.npz", format=2))


def test_the_settings_of_a_run(tmp_path):
    record = {"settings": {"epochs": 4, "diet": {"seed": "0"}}, "keras": "3"}
    (tmp_path / "run.json").write_text(json.dumps(record), "utf-8")
    settings = {"epochs": 4, "diet": {"seed": "0"}}
    with RunFolder(tmp_path).locked():
        assert RunFolder(tmp_path).open(settings, resume=True) == settings
        with pytest.raises(RunFolderError, match="epochs: 4 there, 5 now"):
            RunFolder(tmp_path).open({**settings, "epochs": 5}, resume=True)


def test_the_fingerprints_of_data():
    x = np.arange(600, dtype=np.float32).reshape(300, 2)
    y = np.arange(300)
    assert fingerprint(None) == "none"
    assert fingerprint(x) == "1dcc28b550dba748"
    assert fingerprint((x, y)) == "652d842017cce021"
    assert fingerprint({"b": x, "a": y}) == "d1be982806924e1c"
    assert fingerprint(np.array(["one", "two"], object)) == "4e9903e269e871b3"
