# SPDX-License-Identifier: MIT
"""The lottery end to end on a small regression: rounds, files, resume."""

import json

import keras
import numpy as np
import pytest
from small_lottery import data, fit, target

from tf_diet.errors import InputError, RunFolderError
from tf_diet.lottery.diet import LotteryDiet
from tf_diet.lottery.resets import Rewind, fresh_copy, resets
from tf_diet.lottery.rounds import Rounds
from tf_diet.lottery.run import Run
from tf_diet.lottery.schedules import ConstantRate
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.limits import Limits

pytestmark = pytest.mark.slow


class Epochs(keras.utils.PyDataset):
    """Batches that depend on epoch and index alone."""

    def __init__(self):
        super().__init__()
        self.epoch = 0

    @property
    def num_batches(self):
        return 4

    def __getitem__(self, index):
        rng = np.random.default_rng([self.epoch, index])
        x = rng.normal(size=(16, 6)).astype("float32")
        return x, target(x)

    def on_epoch_end(self):
        self.epoch += 1


def held_out(seed):
    return data(seed, size=200)


def model(width=24):
    keras.utils.set_random_seed(3)
    net = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(width, "relu", name="a"),
            keras.layers.Dense(width, "relu", name="b"),
            keras.layers.Dense(1, name="out"),
        ]
    )
    net.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(1e-2, 6 * 4)
        ),
        "mse",
    )
    return net


def run(folder, rounds=3, resume=False, train=None, net=None, **settings):
    diet = LotteryDiet(ConstantRate(0.3, rounds), **settings)
    return diet.fit(
        net or model(),
        train or Epochs(),
        epochs=6,
        validation_data=held_out(1),
        test_data=held_out(2),
        folder=folder,
        resume=resume,
    )


def figures(run):
    return [
        (t.line.parameters, t.line.validation_error, t.line.test_error)
        for t in run.tickets
    ]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A run of three rounds; tests look at it and leave it alone."""
    return run(tmp_path_factory.mktemp("three") / "run")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Likewise, of one round."""
    return run(tmp_path_factory.mktemp("one") / "run", rounds=1)


def test_every_round_removes_its_share_and_is_on_disk(three):
    done = three
    lines = [t.line for t in done.tickets]
    assert [line.round for line in lines] == [0, 1, 2, 3]
    for number, line in enumerate(lines):
        assert line.weights_left <= 0.7**number + 1e-9
        assert line.weights_left > 0.7**number - 0.05
        assert line.error_multiplier == line.test_error / lines[0].test_error
    for ticket in done.tickets:
        net = ticket.load()
        assert net.count_params() == ticket.line.parameters
        error = net.evaluate(*held_out(2), verbose=0)
        assert error == pytest.approx(ticket.line.test_error)
    assert (done.folder.folder / "run.json").exists()
    assert done.tickets[2].plan().widths["a"] == lines[1].widths["a"]


def test_survivors_start_from_their_early_weights(one):
    early = keras.models.load_model(one.folder.early_path(0))
    start = keras.models.load_model(one.folder.early_path(1))
    kept = one.tickets[1].plan().kept(early)
    assert int(start.optimizer.iterations) == 2 * 4
    for old, new in zip(early.weights, start.weights, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(old.value)[np.ix_(*kept[old.path])],
            keras.ops.convert_to_numpy(new.value),
        )


def values(net):
    return {
        w.path: np.array(keras.ops.convert_to_numpy(w.value))
        for w in net.weights
    }


def slots(net):
    return [
        np.array(keras.ops.convert_to_numpy(v.value))
        for v in net.optimizer.variables
    ]


@pytest.mark.parametrize("reset", ["lr_rewind", "none"])
def test_survivors_keep_their_trained_weights(tmp_path, reset):
    done = run(tmp_path / "run", rounds=1, reset=reset)
    full, ticket = done.tickets
    start = keras.models.load_model(tmp_path / "run" / "early_01.keras")
    late = ticket.plan().apply(full.load())
    for path, value in values(late).items():
        np.testing.assert_array_equal(values(start)[path], value)
    # The optimizer is that of the early epoch, or goes on.
    early = keras.models.load_model(tmp_path / "run" / "early_00.keras")
    source = early if reset == "lr_rewind" else full.load()
    expected = slots(ticket.plan().apply(source))
    for old, new in zip(expected, slots(start), strict=True):
        np.testing.assert_array_equal(new, old)
    steps = {"lr_rewind": 2 * 4, "none": 6 * 4}[reset]
    assert int(start.optimizer.iterations) == steps


def test_the_best_ticket_for_a_budget_has_the_least_error(three):
    done = three
    for number, ticket in enumerate(done.tickets):
        # Each is smaller than the one before.
        small = done.tickets[number:]
        room = Budget(parameters=ticket.line.parameters)
        least = min(small, key=lambda t: t.line.validation_error)
        assert done.best(to=room).line == least.line
    with pytest.raises(InputError, match=r"round 3, comes to .*parameters"):
        done.best(to=Budget(parameters=10))
    with pytest.raises(InputError, match="Pass one of them"):
        done.best(to=room, error_multiplier=1.0)


class Killed(Exception):
    pass


def test_killed_at_every_rounds_edge_and_resumed_is_the_unbroken_run(
    tmp_path, monkeypatch, three
):
    original = Rounds.next
    for when in (1, 2, 3):

        def dies(self, when=when):
            if len(self.folder.rounds()) == when:
                raise Killed
            return original(self)

        monkeypatch.setattr(Rounds, "next", dies)
        with pytest.raises(Killed):
            run(tmp_path / "broken", resume=True)
        assert len(Run.open(tmp_path / "broken").tickets) == when
    monkeypatch.setattr(Rounds, "next", original)
    resumed = run(tmp_path / "broken", resume=True)
    assert figures(resumed) == figures(three)
    assert figures(Run.open(tmp_path / "broken")) == figures(three)


def test_another_criterion_takes_over_the_full_training(tmp_path, one):
    first = one
    diet = LotteryDiet(ConstantRate(0.3, 1), criterion="random")
    second = diet.fit(
        model(),
        Epochs(),
        epochs=6,
        validation_data=held_out(1),
        test_data=held_out(2),
        folder=tmp_path / "second",
        full=first,
    )
    assert figures(second)[0] == figures(first)[0]
    assert figures(second)[1] != figures(first)[1]


def test_best_is_the_smallest_that_is_good_enough(three):
    done = three
    lines = [t.line for t in done.tickets]
    bound = 1.2 * lines[0].validation_error
    good = [x for x in lines if x.validation_error <= bound]
    chosen = done.best(error_multiplier=1.2).line
    assert chosen.parameters == min(x.parameters for x in good)
    assert done.best(error_multiplier=0.0).line.round == 0


def test_arrays_and_no_test_data(tmp_path):
    done = LotteryDiet(ConstantRate(0.3, 1), reset=Rewind(epoch=1)).fit(
        model(),
        held_out(5),
        epochs=3,
        validation_data=held_out(1),
        folder=tmp_path / "run",
    )
    full, small = (t.line for t in done.tickets)
    assert small.test_error is None
    assert small.error_multiplier == (
        small.validation_error / full.validation_error
    )


def test_run_ends_when_nothing_is_left_to_remove(tmp_path):
    done = LotteryDiet(
        ConstantRate(0.8, 9),
        criterion="magnitude",
        reset=Rewind(epoch=1),
    ).fit(
        model(),
        held_out(5),
        epochs=2,
        validation_data=held_out(1),
        folder=tmp_path / "run",
    )
    assert len(done.tickets) < 9
    assert set(done.tickets[-1].line.widths.values()) == {2}


def test_folder_of_another_run_is_refused_and_the_difference_shown(one):
    folder = one.folder.folder
    with pytest.raises(RunFolderError, match="resume=True"):
        run(folder, rounds=1)
    with pytest.raises(RunFolderError, match=r"seed: '0' there, '1' now"):
        run(folder, rounds=1, resume=True, seed=1)
    text = (folder / "rounds.jsonl").read_text()
    assert len([json.loads(line) for line in text.splitlines()]) == 2


def test_what_cannot_start(tmp_path):
    bare = keras.Sequential(model().layers)
    with pytest.raises(InputError, match="not compiled"):
        LotteryDiet().fit(
            bare,
            Epochs(),
            epochs=3,
            validation_data=held_out(1),
            folder=tmp_path / "a",
        )
    with pytest.raises(InputError, match="early moment"):
        LotteryDiet(reset=Rewind(epoch=3)).fit(
            model(),
            Epochs(),
            epochs=3,
            validation_data=held_out(1),
            folder=tmp_path / "b",
        )
    with pytest.raises(InputError, match="Did you mean 'rewind'"):
        LotteryDiet(reset="rewnd").fit(
            model(),
            Epochs(),
            epochs=3,
            validation_data=held_out(1),
            folder=tmp_path / "c",
        )
    with pytest.raises(InputError, match="rate in"):
        ConstantRate(1.2, 3)(1)
    assert not list(tmp_path.iterdir())


class Halves(keras.layers.Layer):
    """A layer made of others, which surgery opens."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(6, name="inner")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


def compiled(x, y):
    net = keras.Model(x, y)
    net.compile("adam", "mse")
    return net


def test_limits_name_layers_of_nested_models_in_every_round(tmp_path):
    y = keras.Input((6,))
    inner = keras.layers.Dense(8, name="a")
    nested = keras.Model(y, inner(y), name="nested")
    x = keras.Input((6,))
    h = keras.layers.Dense(16, "relu", name="a")(nested(x))
    net = compiled(x, keras.layers.Dense(1)(h))
    limits = Limits(keep=[inner])
    result = run(tmp_path, rounds=2, net=net, limits=limits)
    widths = [ticket.line.widths for ticket in result.tickets]
    assert [w["nested/a"] for w in widths] == [8, 8, 8]
    assert widths[2]["a"] < widths[1]["a"] < widths[0]["a"]


def test_limits_on_what_is_opened_are_refused_before_training(tmp_path):
    x = keras.Input((6,))
    net = compiled(x, keras.layers.Dense(1)(Halves(name="halves")(x)))
    with pytest.raises(InputError, match="second round"):
        run(tmp_path, net=net, limits=Limits(keep=["halves"]))
    assert not list(tmp_path.iterdir())


def test_reinit_draws_fresh_weights():
    net = model()
    x, y = held_out(0)
    net.fit(x, y, epochs=1, verbose=0)
    copy = fresh_copy(net)
    assert copy.compiled
    assert copy.count_params() == net.count_params()
    assert not np.allclose(copy.get_weights()[0], net.get_weights()[0])
    assert "reinit" in resets.names()


def test_schedule_speaks_the_protocol():
    schedule = ConstantRate(0.3, 5)
    assert schedule(0) == (False, 0.0)
    assert schedule(2) == (True, pytest.approx(1 - 0.49))
    assert not schedule(6)[0]


@pytest.mark.parametrize(
    ("field", "near"),
    [("criterion", "magnitude"), ("scope", "local"), ("scaling", "rank")],
)
def test_names_are_checked_before_any_training(tmp_path, field, near):
    with pytest.raises(InputError, match=f"Did you mean '{near}'"):
        fit(tmp_path / "run", **{field: f"{near}s"})
    assert not (tmp_path / "run").exists()


def test_each_ticket_is_shown_when_it_is_filed(tmp_path):
    seen = []

    def on_round(ticket):
        assert ticket.load().count_params() == ticket.line.parameters
        seen.append(ticket.line.round)

    fit(tmp_path / "run", on_round=on_round)
    assert seen == [0, 1, 2]
