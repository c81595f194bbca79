# SPDX-License-Identifier: MIT
"""What a lottery's trainings can do beside training."""

import json

import keras
import numpy as np
import pytest
import small_lottery as small

from tf_diet.errors import DivergedError, InputError
from tf_diet.lottery.resets import LrRewind, NoReset, Reinit, Rewind
from tf_diet.lottery.run import Run
from tf_diet.lottery.schedules import ConstantRate, Listed, UntilError
from tf_diet.training.learning_rates import scale
from tf_diet.training.view import TrainingView

pytestmark = pytest.mark.slow


def weights(net):
    return [np.array(value) for value in net.get_weights()]


def test_the_callers_model_is_not_touched(tmp_path):
    net = small.model()
    before = weights(net)
    small.fit(tmp_path / "run", rounds=1, net=net)
    for old, new in zip(before, weights(net), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(net.optimizer.iterations) == 0


@pytest.mark.parametrize(
    ("reset", "steps"),
    [
        (Rewind(epoch=1), 3),
        (Rewind(epoch=1.67), 5),
        (Rewind(step=4), 4),
        (Rewind(share=1 / 3), 2),
        (LrRewind(step=2), 2),
        (Rewind(epoch=0), 0),
    ],
    ids=repr,
)
def test_retraining_starts_at_the_early_moment(tmp_path, reset, steps):
    done = small.fit(
        tmp_path / "run", rounds=1, reset=reset, callbacks=[], epochs=2
    )
    early = keras.models.load_model(tmp_path / "run" / "early_00.keras")
    assert int(early.optimizer.iterations) == steps
    # Six batches are a whole training.
    assert [t.line.steps for t in done.tickets] == [6, 6 - steps]
    final = done.tickets[1].load()
    assert int(final.optimizer.iterations) == 6


def test_an_epoch_in_two_parts_is_the_epoch(tmp_path):
    """Nothing is seen twice and nothing left out."""
    seen = []

    class Watch(keras.layers.Layer):
        def call(self, x, training=None):
            if training:
                seen.append(np.array(x))
            return x

        def get_config(self):
            return super().get_config()

    keras.saving.register_keras_serializable("test")(Watch)
    keras.utils.set_random_seed(3)
    net = keras.Sequential(
        [
            keras.Input((6,)),
            Watch(),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dense(1),
        ]
    )
    net.compile("adam", "mse", run_eagerly=True)
    small.fit(
        tmp_path / "run",
        rounds=1,
        net=net,
        epochs=2,
        reset=Rewind(step=4),
        callbacks=[],
        criterion="magnitude",
    )
    x = np.sort(small.data(0)[0], axis=0)
    first, second, rest = seen[:3], seen[3:6], seen[6:]
    for epoch in (first, second):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch), 0), x)
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    # The retraining goes on with the same second epoch where it left.
    for old, new in zip(second[1:], rest, strict=True):
        np.testing.assert_array_equal(old, new)


def test_reinit_trains_fresh_weights_for_a_whole_training(tmp_path):
    done = small.fit(tmp_path / "run", rounds=1, reset="reinit", callbacks=[])
    assert done.tickets[1].line.steps == 12
    early = keras.models.load_model(tmp_path / "run" / "early_01.keras")
    assert int(early.optimizer.iterations) == 0


@pytest.mark.parametrize(
    ("every", "schedule", "spans"),
    [
        ("epoch", Listed([0.0001, 0.3, 0.5]), [3, 3, 3, 3]),
        ("step", lambda step: (step in (2, 7), step / 20), [2, 5, 5]),
    ],
)
def test_gradual_pruning_is_one_training_that_is_trimmed_as_it_goes(
    tmp_path, every, schedule, spans
):
    done = small.fit(
        tmp_path / "run",
        schedule=schedule,
        reset="none",
        prune_every=every,
        callbacks=[],
    )
    lines = [ticket.line for ticket in done.tickets]
    assert [line.steps for line in lines] == spans
    sizes = [line.parameters for line in lines]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)
    for ticket, upto in zip(done.tickets, np.cumsum(spans), strict=True):
        # The optimizer goes on with the slots of those that are left.
        assert int(ticket.load().optimizer.iterations) == upto


def test_what_the_data_cannot_do_is_said_before_any_training(tmp_path):
    endless = iter([small.data(0)])
    cases = [
        ({"x": endless}, "can be gone through once"),
        ({"reset": Rewind(epoch=1, step=3)}, "one of epoch, step and share"),
        ({"reset": Rewind(step=12)}, "before the end"),
        ({"reset": NoReset(every="round")}, "every='epoch' or 'step'"),
        ({"prune_every": "round"}, "every='epoch' or 'step'"),
        (
            {"prune_every": "step", "reset": NoReset(every="epoch")},
            "said twice",
        ),
        (
            {"prune_every": "epoch", "schedule": UntilError(1.1)},
            "does not look at errors",
        ),
        (
            {
                "schedule": lambda s: (False, 0.0),
                "reset": "none",
                "prune_every": "step",
            },
            "at no moment",
        ),
        ({"reset": "reinit", "repair": "bias"}, "nothing to repair"),
        ({"steps_per_epoch": 3}, r"take\(\) as many"),
        ({"validation_split": 0.1}, "pass validation_data"),
        ({"epoch": 3}, "It takes class_weight|it takes class_weight"),
    ]
    for number, (changes, message) in enumerate(cases):
        folder = tmp_path / str(number)
        with pytest.raises(InputError, match=message):
            small.fit(folder, **changes)
        assert not folder.exists()


def test_what_fit_takes_is_used(tmp_path):
    seen = []

    class Seen(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append("begin")

        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs)))

        def on_train_end(self, logs=None):
            seen.append("end")

    small.fit(
        tmp_path / "run",
        rounds=1,
        epochs=3,
        callbacks=[Seen()],
        validation_freq=2,
        reset=Rewind(epoch=1),
        sample_weight=np.linspace(0, 1, 60).astype("float32"),
        x=small.data(0)[0],
        y=small.data(0)[1],
    )
    bare, whole = ["loss", "mae"], ["loss", "mae", "val_loss", "val_mae"]
    # Callbacks see each training as one, though it is several calls of fit.
    assert seen == [
        *("begin", (0, bare), (1, whole), (2, bare), "end"),
        *("begin", (1, whole), (2, bare), "end"),
    ]


def test_weights_of_examples_count(tmp_path):
    x, y = small.data(0)
    heavy = np.zeros(60, "float32")
    heavy[:30] = 2.0
    runs = [
        small.fit(
            tmp_path / name,
            rounds=1,
            x=x,
            y=y if name != "other" else np.where(heavy[:, None] > 0, y, 9.0),
            sample_weight=heavy,
            callbacks=[],
            criterion="magnitude",
        )
        for name in ("one", "other")
    ]
    # What weighs nothing may be anything.
    assert small.traces(runs[0]) == small.traces(runs[1])


def test_a_net_of_the_tickets_widths_from_scratch(tmp_path):
    done = small.fit(tmp_path / "run", callbacks=[])
    ticket = done.tickets[2]
    scratch = done.scratch(2)
    assert scratch.line.widths == ticket.line.widths
    assert scratch.line.steps == sum(t.line.steps for t in done.tickets)
    assert scratch.load().count_params() == ticket.line.parameters
    path = tmp_path / "run" / "scratch_02.keras"
    before = path.stat().st_mtime_ns
    # What is done is not repeated, and is found again.
    assert done.scratch(2).line == scratch.line
    assert path.stat().st_mtime_ns == before
    opened = Run.open(tmp_path / "run")
    assert [t.line for t in opened.scratches] == [scratch.line]
    with pytest.raises(InputError, match="no data to train"):
        opened.scratch(1)
    with pytest.raises(InputError, match="Finished: 0, 1, 2"):
        done.scratch(7)


def test_a_diverging_round_is_tried_at_a_lower_rate(tmp_path):
    rates = []

    class Blow(keras.callbacks.Callback):
        """Spoils every training of round 1 at the full rate."""

        def on_epoch_begin(self, epoch, logs=None):
            rate = float(self.model.optimizer.learning_rate)
            rates.append(round(rate, 6))
            small_net = self.model.layers[0].units < 12
            if small_net and rate > 2e-3:
                layer = self.model.layers[0]
                layer.kernel.assign(layer.kernel * np.nan)

    settings = {"rounds": 2, "callbacks": lambda: [Blow()]}
    done = small.fit(tmp_path / "stopped", **settings)
    assert "Round 1 diverged" in done.stopped
    assert [t.line.round for t in done.tickets] == [0]
    done = small.fit(tmp_path / "retried", retries=2, **settings)
    assert not done.stopped
    assert [t.line.round for t in done.tickets] == [0, 1, 2]
    assert 0.0009 in rates
    assert all(
        np.isfinite(value).all()
        for ticket in done.tickets
        for value in ticket.load().get_weights()
    )


def test_a_full_model_that_diverges_is_an_error(tmp_path):
    x, y = small.data(0)
    with pytest.raises(DivergedError, match="Lower the learning rate"):
        small.fit(tmp_path / "run", x=(x, y * np.nan))


def schedule_of(optimizer):
    return keras.optimizers.schedules.serialize(optimizer._learning_rate)[
        "config"
    ]


def test_schedules_are_stretched_and_slowed():
    schedules = keras.optimizers.schedules
    adam = keras.optimizers.Adam(
        schedules.CosineDecay(1e-2, 10, warmup_target=2e-2, warmup_steps=4)
    )
    scale(adam, length=2.5)
    scale(adam, rate=0.5)
    config = schedule_of(adam)
    assert (config["decay_steps"], config["warmup_steps"]) == (25, 10)
    assert config["initial_learning_rate"] == pytest.approx(5e-3)
    assert config["warmup_target"] == pytest.approx(1e-2)
    sgd = keras.optimizers.SGD(
        schedules.PiecewiseConstantDecay([4, 8], [1.0, 0.5, 0.1])
    )
    scale(sgd, length=2)
    scale(sgd, rate=0.1)
    config = schedule_of(sgd)
    assert list(config["boundaries"]) == [8, 16]
    assert config["values"] == pytest.approx([0.1, 0.05, 0.01])
    plain = keras.optimizers.SGD(0.5)
    scale(plain, length=3)
    assert float(plain.learning_rate) == 0.5
    scale(plain, rate=0.5)
    assert float(plain.learning_rate) == 0.25

    class Own(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

        def get_config(self):
            return {}

    keras.saving.register_keras_serializable("test")(Own)
    with pytest.raises(InputError, match="of your own"):
        scale(keras.optimizers.SGD(Own()), length=2)


def test_repair_between_trimming_and_retraining(tmp_path):
    runs = [
        small.fit(
            tmp_path / str(repair),
            schedule=ConstantRate(0.5, 1),
            reset="none",
            repair=repair,
            callbacks=[],
        )
        for repair in (None, "least_squares")
    ]
    x, _ = small.data(1)
    full = runs[0].tickets[0].load().predict(x, verbose=0)
    far = []
    for run in runs:
        path = run.folder.early_path(1)
        start = keras.models.load_model(path).predict(x, verbose=0)
        far.append(np.square(start - full).mean())
    assert far[1] < far[0]


def test_the_folder_says_what_the_run_is(tmp_path):
    done = small.fit(tmp_path / "run", rounds=1)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    data = facts["settings"]["data"]
    assert data["train"] != data["validation"] != data["test"]
    line = done.tickets[1].line
    assert {"planning", "trimming", "saving", "training", "evaluation"} <= set(
        line.seconds
    )
    assert line.sparsity == pytest.approx(0.3)
    assert isinstance(Reinit().place(4, 3).epoch, int)


def test_tensorboard_shows_every_round_once(tmp_path):
    board = tmp_path / "board"
    settings = {"rounds": 2, "tensorboard": board, "callbacks": []}
    small.fit(tmp_path / "run", **settings)
    done = small.fit(tmp_path / "run", resume=True, **settings)
    (written,) = board.iterdir()
    values = {}
    for event in record_loader(written):
        for value in event.summary.value:
            assert (value.tag, event.step) not in values
            values[value.tag, event.step] = value.simple_value
    for number, ticket in enumerate(done.tickets):
        line = ticket.line
        assert values["width/a", number] == line.widths["a"]
        for name in ("weights_left", "validation_error", "error_multiplier"):
            expected = pytest.approx(getattr(line, name))
            assert values[f"round/{name}", number] == expected


def record_loader(path):
    """Yields the events of a TensorBoard file."""
    from tensorboardX.proto import event_pb2

    raw = path.read_bytes()
    place = 0
    while place < len(raw):
        size = int.from_bytes(raw[place : place + 8], "little")
        yield event_pb2.Event.FromString(raw[place + 12 : place + 12 + size])
        place += 12 + size + 4


@pytest.mark.parametrize(
    ("schedule", "titles"),
    [
        (Listed((0.3, 0.5)), ["round 0", "round 1 of 2", "round 2 of 2"]),
        (UntilError(1e-9, patience=1), ["round 0", "round 1"]),
    ],
)
def test_the_view_tells_how_many_rounds_there_are(
    tmp_path, monkeypatch, schedule, titles
):
    seen = []
    begin = TrainingView.on_train_begin

    def told(view, logs=None):
        seen.append(view.title)
        begin(view, logs)

    monkeypatch.setattr(TrainingView, "on_train_begin", told)
    small.fit(tmp_path / "run", schedule=schedule, epochs=3)
    assert seen == titles
