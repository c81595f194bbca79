# SPDX-License-Identifier: MIT
"""A run goes on under a longer schedule, and in folders of before."""

import json
import shutil

import keras
import pytest
import small_lottery as small

from tf_diet.errors import InputError, RunFolderError
from tf_diet.lottery.resets import NoReset, Rewind
from tf_diet.lottery.run import Run
from tf_diet.lottery.run_folder import RunFolder
from tf_diet.lottery.schedules import (
    ConstantRate,
    Listed,
    UntilBudget,
    UntilError,
)
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.limits import Limits
from tf_diet.training import loop as training

pytestmark = pytest.mark.slow

QUICK = {
    "epochs": 2,
    "criterion": "magnitude",
    "reset": "rewind",
    "callbacks": [],
}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A run of three rounds that was never stopped."""
    folder = tmp_path_factory.mktemp("three") / "run"
    return small.traces(small.fit(folder, rounds=3, **QUICK))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of one round."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    small.fit(folder, rounds=1, **QUICK)
    return folder


@pytest.fixture
def folder(tmp_path, finished):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


def test_a_finished_run_goes_on_to_more_rounds(folder, three):
    for rounds in (2, 3):
        again = small.fit(folder, rounds=rounds, resume=True, **QUICK)
    assert small.traces(again) == three
    facts = json.loads((folder / "run.json").read_text())
    assert facts["settings"]["diet"]["schedule"] == repr(ConstantRate(0.3, 3))
    # From here on it is the run of three rounds.
    with pytest.raises(RunFolderError, match="3 finished rounds"):
        small.fit(folder, rounds=2, resume=True, **QUICK)


@pytest.mark.parametrize(
    "schedule",
    [
        Listed((0.3, 1 - 0.7**2, 1 - 0.7**3)),
        UntilError(1e9, ConstantRate(0.3, 3)),
        lambda step: (step <= 3, 1 - 0.7**step),
    ],
    ids=["listed", "until_error", "function"],
)
def test_any_schedule_that_begins_alike_goes_on(folder, three, schedule):
    again = small.fit(folder, schedule=schedule, resume=True, **QUICK)
    assert small.traces(again) == three


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantRate(0.4, 3),
        Listed((0.2, 0.4)),
        UntilBudget(Budget(parameters=100), 0.4),
        lambda step: (False, 0.0),
    ],
    ids=["rate", "listed", "budget", "never"],
)
def test_a_schedule_that_began_otherwise_is_refused(folder, schedule):
    run = Run.open(folder)
    before = small.traces(run), run.folder.record.read_text()
    with pytest.raises(RunFolderError, match=r"there, .* now"):
        small.fit(folder, schedule=schedule, resume=True, **QUICK)
    assert (small.traces(run), run.folder.record.read_text()) == before


def test_a_round_that_was_begun_for_another_goal_is_begun_again(
    tmp_path, monkeypatch, three
):
    class Stop(BaseException):
        pass

    def stop(keeper, batch, logs=None):
        if keeper.state.name == "state_round_02.npz":
            raise Stop

    short = Listed((0.3, 0.9))
    with monkeypatch.context() as patch:
        patch.setattr(training._Keeper, "on_train_batch_end", stop)
        with pytest.raises(Stop):
            small.fit(tmp_path / "run", schedule=short, **QUICK)
    assert RunFolder(tmp_path / "run").early_path(2).exists()
    again = small.fit(tmp_path / "run", rounds=3, resume=True, **QUICK)
    assert small.traces(again) == three


def as_before(folder, reset):
    """Makes a run folder say what one of an earlier version says."""
    record = folder / "run.json"
    facts = json.loads(record.read_text())
    del facts["settings"]["diet"]["prune_every"]
    facts["settings"]["diet"]["reset"] = reset
    record.write_text(json.dumps(facts))


def test_runs_of_before_go_on(tmp_path):
    schedule = Listed([0.0001, 0.3])
    diet = {**QUICK, "schedule": schedule, "epochs": 3}
    gradual = {**diet, "reset": NoReset(), "prune_every": "epoch"}
    whole = small.traces(small.fit(tmp_path / "run", **gradual))
    as_before(
        tmp_path / "run",
        "NoReset(epoch=None, step=None, share=None, every='epoch')",
    )
    again = small.fit(tmp_path / "run", resume=True, **gradual)
    assert small.traces(again) == whole
    with pytest.warns(FutureWarning, match="prune_every='epoch'") as warned:
        again = small.fit(
            tmp_path / "run",
            resume=True,
            **{**diet, "reset": NoReset(every="epoch")},
        )
    assert warned[0].filename == small.__file__
    assert small.traces(again) == whole
    with pytest.raises(RunFolderError, match="prune_every: \"'epoch'\" there"):
        small.fit(tmp_path / "run", resume=True, **{**diet, "reset": NoReset()})


def test_the_command_lines_early_moment_of_before_goes_on(tmp_path):
    settings = {**QUICK, "epochs": 3, "rounds": 1, "reset": Rewind()}
    small.fit(tmp_path / "run", **settings)
    as_before(tmp_path / "run", "Rewind(epoch=2.0, step=None, share=None)")
    small.fit(tmp_path / "run", resume=True, **settings)


@pytest.mark.parametrize(("epochs", "early"), [(1, 0), (2, 1), (3, 2), (9, 2)])
def test_a_short_training_has_an_early_moment(epochs, early):
    for reset in (Rewind(), NoReset()):
        place = reset.place(epochs, 5)
        assert (place.epoch, place.step) == (early, 0)


@pytest.mark.parametrize("epochs", [1, 2])
def test_short_trainings_are_pruned(tmp_path, epochs):
    run = small.fit(tmp_path / "run", rounds=1, **{**QUICK, "epochs": epochs})
    assert [t.line.epochs for t in run.tickets] == [epochs, 1]


def unnamed(layers_before):
    """Returns a net that a process makes after so many other layers."""
    for _ in range(layers_before):
        keras.layers.Dense(1)
    keras.utils.set_random_seed(3)
    x = keras.Input((6,))
    h = keras.layers.Dense(12, "relu")(keras.layers.Dense(12, "relu")(x))
    net = keras.Model(x, keras.layers.Dense(1)(h))
    net.compile("adam", "mse")
    return net


def test_the_same_model_made_again_in_one_process_goes_on(tmp_path):
    made = [unnamed(count) for count in (0, 3)]
    assert made[0].layers[1].name != made[1].layers[1].name
    for rounds, net in enumerate(made, 1):
        run = small.fit(
            tmp_path / "run", rounds=rounds, net=net, resume=True, **QUICK
        )
    assert [t.line.round for t in run.tickets] == [0, 1, 2]
    wider = small.model(width=13, plain=True)
    with pytest.raises(RunFolderError, match="layers and widths"):
        small.fit(tmp_path / "run", rounds=2, net=wider, resume=True, **QUICK)
    keep = Limits(keep=[made[0].layers[1].name])
    settings = {**QUICK, "limits": keep, "rounds": 1, "resume": True}
    small.fit(tmp_path / "kept", net=made[0], **settings)
    # A limit that names a layer means the layer of that name.
    twin = keras.models.clone_model(made[0])
    twin.compile("adam", "mse")
    small.fit(tmp_path / "kept", net=twin, **settings)
    with pytest.raises(InputError, match=made[0].layers[1].name):
        small.fit(tmp_path / "kept", net=made[1], **settings)
