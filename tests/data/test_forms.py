# SPDX-License-Identifier: MIT
"""Every form of data at every door: one meaning, or one message."""

import os
import subprocess
import sys

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf

import tf_diet
from tf_diet.errors import InputError
from tf_diet.lottery.diet import LotteryDiet, loss_of
from tf_diet.lottery.resets import NoReset
from tf_diet.lottery.schedules import ConstantRate

pytestmark = pytest.mark.slow

SIZE, BATCH = 48, 16
RNG = np.random.default_rng(5)
X = RNG.normal(size=(SIZE, 6)).astype("float32")
Y = np.tanh(X[:, :1] - X[:, 1:2]).astype("float32")
ONES = np.ones(SIZE, "float32")
STARTS = range(0, SIZE, BATCH)


class Sequence(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return len(STARTS)

    def __getitem__(self, index):
        rows = slice(index * BATCH, index * BATCH + BATCH)
        return X[rows], Y[rows]


class Iterable:
    def __iter__(self):
        return pairs()


def pairs():
    return ((X[i : i + BATCH], Y[i : i + BATCH]) for i in STARTS)


def slices(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if parts[1:] else parts[0])


FORMS = {
    "pair": lambda: (X, Y),
    "triple": lambda: (X, Y, ONES),
    "pair in a list": lambda: [X, Y],
    "triple in a list": lambda: [X, Y, ONES],
    "dict by name": lambda: ({"x": X}, Y),
    "dict by name in a list": lambda: [{"x": X}, Y],
    "list of inputs": lambda: ([X], Y),
    "tensors": lambda: tuple(map(keras.ops.convert_to_tensor, (X, Y))),
    "numbers in lists": lambda: (X.tolist(), Y.tolist()),
    "tables": lambda: (pandas.DataFrame(X), pandas.DataFrame(Y)),
    "tf.data": lambda: slices(X, Y).batch(BATCH),
    "tf.data with weights": lambda: slices(X, Y, ONES).batch(BATCH),
    "tf.data by name": lambda: slices({"x": X}, Y).batch(BATCH),
    "tf.data, not batched": lambda: slices(X, Y),
    "PyDataset": Sequence,
    "list of batches": lambda: list(pairs()),
    "list of examples": lambda: list(zip(X, Y, strict=True)),
    "iterable": Iterable,
    "function": lambda: pairs,
    "generator": pairs,
    "generator of examples": lambda: zip(X, Y, strict=True),
    "array": lambda: X,
    "dict of inputs": lambda: {"x": X},
    "tf.data of inputs": lambda: slices(X).batch(BATCH),
    "representative_dataset": lambda: lambda: ([row[None]] for row in X),
    "list of calls": lambda: [{"x": row[None]} for row in X],
    "nothing in batches": lambda: [],
    "a name": lambda: "data.npz",
    "a number": lambda: 3,
    "too many": lambda: (X, Y, ONES, ONES),
    "a set beside targets": lambda: (Sequence(), Y),
    "other inputs": lambda: ({"z": X}, Y),
    "no pair": lambda: ([X, X, X], Y),
}
ONCE = {"generator", "generator of examples"}
BARE = {
    *("array", "dict of inputs", "tf.data of inputs"),
    *("representative_dataset", "list of calls"),
}
DRAWN = {"tf.data of inputs", "representative_dataset"}
WRONG = {
    "nothing in batches": "is empty. Received: .* (Give|Pass)",
    "a name": r"must be \(x, y\).* Received: str. Pass",
    "a number": r"must be \(x, y\).* Received: int. Pass",
    "too many": r"must be a pair \(x, y\). Received: a tuple of 4. Put",
    "a set beside targets": "its own targets. Received: a Sequence .* Pass",
    "other inputs": "lacks the input 'x'. Received: 'z'. The model takes 'x'",
    "no pair": "has 1 inputs: x. Received: .* for 3. Pass",
}


def model():
    keras.utils.set_random_seed(2)
    x = keras.Input((6,), name="x")
    h = keras.layers.Dense(8, "relu", name="a")(x)
    net = keras.Model(x, keras.layers.Dense(1, name="out")(h))
    net.compile("adam", "mse", run_eagerly=keras.backend.backend() != "jax")
    return net


def plan(data, folder):
    made = tf_diet.plan(model(), data, rate=0.3)
    return [unit for kept in made.kept_units.values() for unit in kept]


def gradients(data, folder):
    made = tf_diet.plan(model(), data, rate=0.3, criterion="taylor")
    return [unit for kept in made.kept_units.values() for unit in kept]


def prune(data, folder):
    small = tf_diet.prune(model(), data, rate=0.3, repair="least_squares")
    return np.concatenate([v.ravel() for v in small.get_weights()]).tolist()


def fit(folder, **given):
    looks = "mutual_information" if "calibration" in given else "magnitude"
    diet = LotteryDiet(ConstantRate(0.3, 1), looks, reset=NoReset(epoch=1))
    settings = {"validation_data": (X, Y), "folder": folder, "x": (X, Y)}
    run = diet.fit(
        model(), epochs=2, shuffle=False, batch_size=BATCH, **settings | given
    )
    return [ticket.line.validation_error for ticket in run.tickets]


def train(data, folder):
    return fit(folder, x=data)


def validate(data, folder):
    return fit(folder, validation_data=data)


def calibrate(data, folder):
    return fit(folder, calibration=data)


def everywhere(data, folder):
    return fit(
        folder, x=data, validation_data=data, test_data=data, calibration=data
    )


def loss(data, folder):
    return loss_of(model(), data)


def convert(data, folder):
    lite = tf_diet.to_tflite(model(), "int8", data)
    return [lite.inputs[0].scale, lite.outputs[0].scale]


FITS = (train, validate, calibrate)
NEED_TARGETS = (plan, gradients, prune, *FITS, loss)
DOORS = [*NEED_TARGETS, everywhere]
if keras.backend.backend() == "tensorflow":
    DOORS.append(convert)


def refusal(form, door):
    """What a door says to a form that it cannot take."""
    if form in ONCE and door in (train, validate, everywhere):
        return "again. Received: (generator|zip), .* Pass arrays"
    if form in BARE and door in NEED_TARGETS:
        return r"lacks targets. Received: inputs alone. Pass data=\(x, y\)"
    return WRONG.get(form)


# A run takes seconds: where all is well, one goes through all of its doors.
CASES = [
    pytest.param(form, door, id=f"{form}-{door.__name__}")
    for form in FORMS
    for door in DOORS
    if door is not everywhere or form not in {*BARE, *WRONG}
    if door not in FITS or form in ONCE or refusal(form, door)
]


@pytest.fixture(scope="module")
def meant(tmp_path_factory):
    """What each door makes of a plain pair."""
    return {
        door: door((X, Y), tmp_path_factory.mktemp(door.__name__))
        for door in DOORS
    }


@pytest.mark.parametrize(("form", "door"), CASES)
def test_every_form_at_every_door(form, door, meant, tmp_path):
    data, message = FORMS[form](), refusal(form, door)
    if message:
        with pytest.raises(InputError, match=f"(?s){message}"):
            door(data, tmp_path)
        # What is read in batches is not drawn from before its time.
        assert form in DRAWN or not list(tmp_path.iterdir())
    else:
        found = door(data, tmp_path)
        assert found == pytest.approx(meant[door], rel=2e-3, abs=1e-5)


def test_what_one_generator_gives_is_kept(tmp_path):
    """Ranking and repair look at it, and every round."""
    seen = []

    def batches():
        for batch in pairs():
            seen.append(len(batch[0]))
            yield batch

    prune(batches(), tmp_path)
    assert len(seen) == len(STARTS)
    LotteryDiet(ConstantRate(0.3, 2), reset="none").fit(
        model(),
        (X, Y),
        epochs=3,
        validation_data=(X, Y),
        calibration=batches(),
        folder=tmp_path / "run",
    )
    assert len(seen) == 2 * len(STARTS)


def test_y_and_weights_may_stand_beside_x():
    net = model()
    meant = tf_diet.plan(net, (X, Y, ONES), rate=0.3)
    assert tf_diet.plan(net, X, Y, ONES, rate=0.3).kept_units == (
        meant.kept_units
    )
    for beside in ((0.5,), (Y, 0.5), (Y, ONES, ONES)):
        with pytest.raises(InputError, match=r"by their names. Received: .*"):
            tf_diet.plan(net, X, *beside, rate=0.3)


def two(targets=1):
    """A model that takes a dict of two inputs."""
    keras.utils.set_random_seed(2)
    inputs = {
        "one": keras.Input((6,), name="one"),
        "other": keras.Input((1,), name="other"),
    }
    h = keras.layers.Concatenate()(list(inputs.values()))
    h = keras.layers.Dense(8, "relu", name="h")(h)
    outs = [keras.layers.Dense(1, name=f"y{i}")(h) for i in range(targets)]
    net = keras.Model(inputs, outs[0] if targets == 1 else outs)
    net.compile("adam", "mse" if targets == 1 else ["mse"] * targets)
    return net


COLUMN = X[:, 0]
PAIRS = {
    "dict": lambda: ({"other": COLUMN[:, None], "one": X}, Y),
    "list": lambda: ([X, COLUMN[:, None]], Y),
    "list of both": lambda: [[X, COLUMN[:, None]], Y],
    "a column": lambda: ({"one": X, "other": pandas.Series(COLUMN)}, Y),
    "examples": lambda: (
        ({"one": x, "other": c}, y)
        for x, c, y in zip(X, COLUMN, Y, strict=True)
    ),
    "batches": lambda: [
        ((X[i : i + BATCH], COLUMN[i : i + BATCH, None]), Y[i : i + BATCH])
        for i in STARTS
    ],
}


@pytest.mark.parametrize("form", PAIRS)
def test_inputs_are_found_by_name_and_place(form):
    net = two()
    meant = tf_diet.plan(net, PAIRS["dict"](), rate=0.3).kept_units
    assert tf_diet.plan(net, PAIRS[form](), rate=0.3).kept_units == meant
    if keras.backend.backend() == "tensorflow":
        scales = [
            [
                spec.scale
                for spec in tf_diet.to_tflite(net, "int8", made()).inputs
            ]
            for made in (PAIRS["dict"], PAIRS[form])
        ]
        assert scales[0] == pytest.approx(scales[1])


def test_inputs_inside_one_another(tmp_path):
    keras.utils.set_random_seed(2)
    sizes = {"a": 6, "b": 1, "two": 1}
    a, b, c = (keras.Input((n,), name=name) for name, n in sizes.items())
    h = keras.layers.Concatenate()([a, b, c])
    h = keras.layers.Dense(8, "relu", name="h")(h)
    net = keras.Model({"one": [a, b], "two": c}, keras.layers.Dense(1)(h))
    net.compile("adam", "mse")
    column = COLUMN[:, None]
    data = ({"one": [X, column], "two": column}, Y)
    assert tf_diet.plan(net, data, rate=0.3).reached >= 0.3
    assert tf_diet.plan(net, rate=0.3, criterion="magnitude").reached >= 0.3
    kept = tf_diet.plan(net, iter([data]), rate=0.3).kept_units
    assert kept == tf_diet.plan(net, data, rate=0.3).kept_units
    assert loss_of(net, [data]) == pytest.approx(loss_of(net, data), rel=1e-4)


def test_arrays_for_each_input_are_no_targets():
    with pytest.raises(InputError, match="lacks targets"):
        tf_diet.plan(two(), [X, COLUMN[:, None]], rate=0.3)


def test_several_outputs_are_pruned_as_the_message_says(tmp_path):
    x = {"one": X, "other": COLUMN[:, None]}

    def run(folder, **given):
        return LotteryDiet(ConstantRate(0.3, 1)).fit(
            two(2),
            x,
            [Y, -Y],
            epochs=3,
            validation_data=(x, [Y, -Y]),
            folder=tmp_path / folder,
            **given,
        )

    with pytest.raises(InputError, match=r"list of 2.*calibration=\(x, y\)"):
        run("refused")
    assert not (tmp_path / "refused").exists()
    both = np.concatenate([Y, -Y], axis=-1)
    done = run("run", calibration=(x, both))
    assert done.tickets[1].line.weights_left < 0.75


def test_weights_count_in_the_loss():
    net = model()
    first = np.zeros(SIZE, "float32")
    first[:BATCH] = SIZE / BATCH
    meant = loss_of(net, (X[:BATCH], Y[:BATCH]))
    for data in ((X, Y, first), slices(X, Y, first), [X, Y, first]):
        assert loss_of(net, data) == pytest.approx(meant, rel=1e-4)


def test_endless_data_is_refused_where_all_of_it_counts(tmp_path):
    endless = slices(X, Y).batch(BATCH).repeat()
    for door in (train, validate, loss):
        with pytest.raises(InputError, match=r"must end.*Leave out repeat"):
            door(endless, tmp_path)
    assert plan(endless, tmp_path)


SCRIPT = """
import sys
import keras, numpy as np, tf_diet
from tf_diet.lottery.diet import loss_of
x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
y = x[:, :1] * x[:, 1:2]
net = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"),
                        keras.layers.Dense(1)])
net.compile("adam", "mse")
batches = [(x[i:i + 16], y[i:i + 16]) for i in range(0, 64, 16)]
for data in ((x, y), batches, iter(batches), lambda: iter(batches)):
    tf_diet.plan(net, data, rate=0.3)
    loss_of(net, data if not hasattr(data, "__next__") else batches)
print("tensorflow" in sys.modules)
"""


def test_no_form_brings_tensorflow():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
