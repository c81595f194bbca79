# SPDX-License-Identifier: MIT
"""Nothing is removed silently less than asked, and what is offered works."""

import functools
import re
import warnings

import graphs
import keras
import numpy as np
import pytest
import strategies
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

import tf_diet
from tf_diet import Budget, Limits
from tf_diet.errors import InputError
from tf_diet.pruning.budget import most_parameters, nearest_rate


def net():
    x = keras.Input((10,))
    h = layers.Dense(24, "relu", name="a")(x)
    h = layers.Dense(15, "relu", name="b")(h)
    return keras.Model(x, layers.Dense(3, name="head")(h), name="net")


@keras.saving.register_keras_serializable("tests.shortfall")
class Affine(layers.Layer):
    """One factor for all channels, and no rule."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return ops.cumsum(x * self.factor, axis=-1)


def closed():
    """A model in which no unit may go."""
    x = keras.Input((16,))
    h = Affine(name="first")(layers.Dense(64, "relu", name="a")(x))
    h = Affine(name="second")(layers.Dense(64, "relu", name="b")(h))
    return keras.Model(x, layers.Dense(3, name="head")(h), name="closed")


def prune(model, **settings):
    return tf_diet.prune(model, **{"criterion": "magnitude", **settings})


def offered(error):
    """Returns the rate that a message says to pass."""
    return float(re.search(r"Pass rate=([\d.]+), ", str(error))[1])


def least_of(error):
    """Returns the parameters of the budget that a message says to pass."""
    return int(re.search(r"Pass to=Budget\(parameters=(\d+)\)", str(error))[1])


def test_nothing_to_prune_is_said_with_who_holds_it():
    with pytest.raises(InputError) as caught:
        # Nothing is ranked, so that data is not missed either.
        tf_diet.prune(closed(), rate=0.5)
    text = str(caught.value)
    assert "none can go: there is no removable group" in text
    assert "Received: rate=0.5 for the model 'closed'" in text
    # 64 units of 64 weights and a bias, 64 of 16, and a factor each.
    assert re.search(r"'second' \(Affine\): [^;]*\(4,161 parameters\)", text)
    assert re.search(r"'first' \(Affine\): [^;]*\(1,089 parameters\)", text)
    assert "it is an output of the model (195 parameters)" in text
    assert "register_rule" in text
    assert "\n" not in text
    same = prune(closed(), rate=0.5, allow_less=True)
    assert same.count_params() == closed().count_params()


def test_a_plan_says_so_in_its_first_line():
    plan = tf_diet.plan(closed(), rate=0.5, criterion="magnitude")
    first, second, *_ = plan.summary().splitlines()
    assert first == f"not reached: {plan.not_reached}"
    assert "asked to remove 50% of the parameters, none can go" in first
    assert second == repr(plan)
    assert plan.nearest_rate is None
    assert sum(h.parameters for h in plan.held) == plan.counted
    assert "held: 4,161 parameters: 'second' (Affine): " in plan.summary()
    reached = tf_diet.plan(net(), rate=0.5, criterion="magnitude")
    assert reached.summary().splitlines()[0] == repr(reached)
    assert reached.held == ()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "every group keeps 2 units at least"),
        ({"keep": ["a"]}, r"limits: keep \("),
        ({"round_to": 8}, r"limits: round_to=8 \("),
        ({"round_to": 99}, r"none can go.*limits: round_to=99 \("),
        ({"max_rate": 0.5}, r"limits: max_rate \("),
        ({"max_rate": {"b": 0.2}}, r"limits: max_rate \("),
        ({"min_width": {"a": 9}}, r"limits: min_width \("),
    ],
)
def test_limits_that_are_in_the_way_are_named(limits, words):
    with pytest.raises(InputError, match=words):
        prune(net(), rate=0.9999, limits=Limits(**limits))


def test_the_floor_that_nobody_asked_for_is_named():
    x = keras.Input((5,))
    h = layers.Dense(300, name="wide")(x)
    model = keras.Model(x, layers.Dense(2)(h))
    with pytest.raises(InputError, match=r"2% of every group stay by default"):
        prune(model, rate=0.9999)
    with pytest.raises(InputError) as caught:
        prune(model, rate=0.9999)
    rate = offered(caught.value)
    lifted = prune(model, rate=rate + 0.005, limits=Limits(max_rate=1.0))
    assert lifted.count_params() < prune(model, rate=rate).count_params()


def test_units_that_the_criterion_cannot_score_are_named():
    x = keras.Input((6, 4))
    h = layers.MultiHeadAttention(4, 3, name="mha")(x, x)
    model = keras.Model(x, layers.Dense(1)(layers.Flatten()(h)))
    data = np.ones((8, 6, 4), "float32"), np.arange(8.0)
    with pytest.raises(InputError, match="the criterion cannot score them"):
        tf_diet.prune(model, data, rate=0.99)
    with pytest.raises(InputError, match="cannot score them") as caught:
        tf_diet.prune(model, "not looked at", to=Budget(parameters=5))
    least = least_of(caught.value)
    small = tf_diet.prune(model, data, to=Budget(parameters=least))
    assert small.count_params() == least


@functools.cache
def drawn(seed):
    with warnings.catch_warnings():
        # Keras says of some that masks are lost.
        warnings.simplefilter("ignore", UserWarning)
        return strategies.seeded(seed).model()


LIMITS = st.builds(
    Limits,
    max_rate=st.sampled_from([0.98, 0.3, 1.0]),
    min_width=st.sampled_from([2, 3]),
    round_to=st.sampled_from([1, 2, 4]),
    exact=st.booleans(),
)


@pytest.mark.slow
@given(
    number=st.integers(0, 15),
    limits=LIMITS,
    scope=st.sampled_from(["global", "local", "isomorphic"]),
    criterion=st.sampled_from(["random", "magnitude", "normalisation"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_rate_that_is_offered_works_and_is_the_largest(
    number, limits, scope, criterion, seed
):
    model = drawn(number)
    how = {
        "limits": limits,
        "scope": scope,
        "criterion": criterion,
        "seed": seed,
    }
    plan = tf_diet.plan(model, rate=0.999999, **how)
    assert plan.not_reached
    assert plan.counted == sum(h.parameters for h in plan.held) + (
        plan.cost_before.parameters - plan.cost_after.parameters
    )
    with pytest.raises(InputError) as caught:
        tf_diet.prune(model, rate=0.999999, **how)
    if plan.nearest_rate is None:
        assert "none can go" in str(caught.value)
        return
    rate = offered(caught.value)
    assert rate == plan.nearest_rate
    again = tf_diet.plan(model, rate=rate, **how)
    assert not again.not_reached
    assert again.reached >= rate
    # A digit more is too much.
    digits = len(repr(rate).partition(".")[2])
    more = round(rate + 10.0 ** -max(digits, 4), max(digits, 4))
    assert more >= 1 or tf_diet.plan(model, rate=more, **how).not_reached


@pytest.mark.slow
@given(
    number=st.integers(0, 15),
    limits=LIMITS,
    bounds=st.sets(
        st.sampled_from(["parameters", "flops", "disk_bytes", "ram_bytes"]),
        min_size=1,
    ),
    criterion=st.sampled_from(["random", "magnitude", "normalisation"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_budget_that_is_offered_works(
    number, limits, bounds, criterion, seed
):
    model = drawn(number)
    how = {"limits": limits, "criterion": criterion, "seed": seed}
    budget = Budget(**dict.fromkeys(bounds, 1))
    with pytest.raises(InputError, match="below the least") as caught:
        tf_diet.plan(model, to=budget, **how)
    said = re.search(r"Pass to=(Budget\([^)]*\)), ", str(caught.value))[1]
    numbers = {n: int(v) for n, v in re.findall(r"(\w+)=(\d+)", said)}
    assert set(numbers) == bounds
    plan = tf_diet.plan(model, to=Budget(**numbers), **how)
    assert plan.spent == numbers
    name = min(bounds)
    if name == "parameters":
        lower = Budget(**(numbers | {name: numbers[name] - 1}))
        with pytest.raises(InputError, match="below the least"):
            tf_diet.plan(model, to=lower, **how)


def test_units_that_differ_in_cost_do_not_fail_a_budget_that_can_be_met():
    """Of two halves of a group the cheap one may score lower."""
    x, wide = keras.Input((2,)), keras.Input((90,))
    halves = [
        layers.Dense(6, name="cheap")(x),
        layers.Dense(6, name="dear")(wide),
    ]
    h = layers.Concatenate()(halves) + layers.Dense(12, name="whole")(x)
    model = keras.Model([x, wide], layers.Dense(3)(h))
    for layer in model.layers:
        if layer.name == "cheap":
            layer.set_weights([1e-3 * w for w in layer.get_weights()])
    with pytest.raises(InputError) as caught:
        prune(model, to=Budget(parameters=1), limits=Limits(min_width=7))
    least = least_of(caught.value)
    small = prune(
        model, to=Budget(parameters=least), limits=Limits(min_width=7)
    )
    assert small.count_params() == least


def test_less_is_allowed_where_it_is_asked_for():
    asked = {"rate": 0.9999, "to": Budget(parameters=3)}
    sizes = set()
    for name, goal in asked.items():
        with pytest.raises(InputError):
            prune(net(), **{name: goal})
        small = prune(net(), allow_less=True, **{name: goal})
        sizes.add(small.count_params())
    assert sizes == {2 * 10 + 2 + 2 * 2 + 2 + 2 * 3 + 3}


def test_data_and_repair_are_not_looked_at_before_a_rate_is_refused():
    x = np.random.default_rng(0).normal(size=(32, 10)).astype("float32")
    with pytest.raises(InputError, match=r"Pass rate=0\.\d+"):
        tf_diet.prune(net(), (x, x[:, :1]), rate=0.9999, repair="least_squares")


@pytest.mark.parametrize("criterion", ["mutual_information", "taylor"])
@pytest.mark.parametrize("scope", ["global", "local", "isomorphic"])
@pytest.mark.parametrize("limits", [None, Limits(round_to=4, max_rate=0.7)])
def test_a_rate_out_of_reach_is_refused_before_ranking(
    monkeypatch, criterion, scope, limits
):
    x = np.random.default_rng(0).normal(size=(32, 10)).astype("float32")
    model = net()
    model.compile("sgd", "mse")
    outputs = model.output_shape[-1]
    y = np.tanh(x[:, :outputs])
    how = {"criterion": criterion, "scope": scope, "limits": limits}

    def ranks(*_, **__):
        raise AssertionError("ranked for nothing")

    with monkeypatch.context() as patch:
        patch.setattr("tf_diet.pruning.planner.rank_units", ranks)
        with pytest.raises(InputError, match=r"Pass rate=0\.\d+") as caught:
            tf_diet.prune(model, (x, y), rate=0.99, **how)
    nearest = offered(caught.value)
    # What is offered can be had, and no more.
    tf_diet.prune(model, (x, y), rate=nearest, **how)
    with pytest.raises(InputError):
        tf_diet.prune(model, (x, y), rate=nearest + 1e-3, **how)
    # Whoever asks for less than the goal gets what can go.
    tf_diet.prune(model, (x, y), rate=0.99, allow_less=True, **how)


@given(gone=st.integers(0, 10**9), total=st.integers(1, 10**9))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_nearest_rate_asks_for_no_more_than_goes(gone, total):
    gone = min(gone, total)
    rate = nearest_rate(gone, total)
    assert (rate is None) == (gone == 0)
    if rate is not None:
        assert 0 < rate < 1
        assert total - most_parameters(total, rate) <= gone


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.5, "50%"),
        (0.9999, "99.99%"),
        (0.123456, "12.3456%"),
        (1e-6, "0.0001%"),
    ],
)
def test_a_rate_is_said_as_it_was_given(rate, text):
    plan = tf_diet.plan(closed(), rate=rate, criterion="magnitude")
    assert f"asked to remove {text} of" in plan.not_reached


def test_numbers_of_numpy_are_numbers():
    given = [0.3, np.float32(0.3), np.float64(0.3)]
    plans = [tf_diet.plan(net(), rate=r, criterion="random") for r in given]
    assert {plan.rate for plan in plans} == {0.3}
    with pytest.raises(InputError, match="between 0 and 1"):
        tf_diet.plan(net(), rate=np.float32(1.5), criterion="random")


@pytest.mark.slow
def test_the_command_line_refuses_and_says_what_to_pass(tmp_path, capsys):
    path, output = tmp_path / "net.keras", tmp_path / "small.keras"
    graphs.small_convnet().save(path)
    command = ("prune", path, "--criterion", "magnitude", "-o", output)
    code, text = run(capsys, *command, "--rate", "0.9999")
    assert code == 2
    assert text.startswith("not reached: asked to remove 99.99%")
    assert not output.exists()
    said = re.search(r"Pass --rate ([\d.]+), .*--allow-less", text)[1]
    code, text = run(capsys, *command, "--rate", "0.9999", "--dry-run")
    assert code == 2
    code, _ = run(capsys, *command, "--rate", said)
    assert code == 0
    size = keras.models.load_model(output).count_params()
    for goal in (("--rate", "0.9999"), ("--parameters", "5")):
        code, text = run(capsys, *command, *goal, "--allow-less", "--overwrite")
        assert code == 0
        assert text.startswith("not reached: ")
        assert keras.models.load_model(output).count_params() == size
