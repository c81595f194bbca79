# SPDX-License-Identifier: MIT
"""What repair promises whatever the model: who changes, what is refused."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet.errors import InputError, PlanError
from tf_diet.graph.rule_table import rule_for
from tf_diet.pruning.repair import methods
from tf_diet.pruning.repair.methods import LeastSquares, Repair
from tf_diet.pruning.repair.repair import repair
from tf_diet.rules.dense import DenseForm, DenseRule
from tf_diet.rules.recurrent_forms import InputForm
from tf_diet.rules.windows import ConvolutionForm
from tf_diet.testing import randomise

pytestmark = pytest.mark.slow


def small_net(last=None):
    """Every kind of consumer, with noise and statistics to disturb."""
    inputs = keras.Input((12, 5))
    x = layers.Conv1D(8, 3, padding="same", name="conv")(inputs)
    x = layers.GaussianNoise(0.1, seed=3)(x)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv1D(3, padding="same", name="depthwise")(x)
    x = layers.Dropout(0.2, seed=4)(x)
    x = layers.GRU(6, return_sequences=True, seed=5, name="gru")(x)
    x = (last or layers.Dense(3, name="dense"))(x)
    return keras.Model(inputs, x)


@pytest.fixture
def model():
    made = small_net()
    randomise(made)
    return made


@pytest.fixture
def x():
    draw = np.random.default_rng(5).normal(size=(40, 12, 5))
    return draw.astype("float32")


@pytest.fixture
def plan(model):
    return tf_diet.plan(model, rate=0.5, criterion="magnitude")


def values(variables):
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables]


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def distance(model, small, x):
    one, other = (keras.ops.convert_to_numpy(m(x)) for m in (model, small))
    return np.mean((one - other).astype(np.float64) ** 2)


@pytest.mark.parametrize("method", ["bias", "least_squares"])
def test_the_small_models_weights_change_and_nothing_else(
    model, x, plan, method
):
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    for slot in model.optimizer.variables[2:]:
        slot.assign(slot + 1)
    small = plan.apply(model)
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    full = values(model.variables)
    slots = values(small.optimizer.variables)
    fixed = values(small.non_trainable_variables)
    before = values(small.trainable_variables)
    data = x.copy()
    repair(model, small, plan, data, method)
    assert equal(full, values(model.variables))
    assert equal(slots, values(small.optimizer.variables))
    assert equal(fixed, values(small.non_trainable_variables))
    assert not equal(before, values(small.trainable_variables))
    assert nodes == [len(layer._inbound_nodes) for layer in model.layers]
    assert np.array_equal(data, x)


@pytest.mark.parametrize("method", ["bias", "least_squares"])
def test_the_same_seed_gives_the_same_bits(model, x, plan, method):
    made = []
    for _ in range(2):
        small = plan.apply(model)
        repair(model, small, plan, x, method, seed=3)
        made.append(values(small.variables))
    assert equal(*made)


@pytest.mark.parametrize("ridge", [1e-9, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    "last",
    [
        lambda: layers.Dense(3),
        lambda: layers.Dense(3, use_bias=False),
        lambda: layers.Conv1D(3, 3, strides=2, padding="same"),
        lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, use_bias=False),
    ],
    ids=["dense", "no bias", "convolution", "depthwise"],
)
def test_squares_on_the_calibration_data_never_grow(last, ridge, x):
    inputs = keras.Input((12, 5))
    h = layers.Dense(8, name="wide", activation="tanh")(inputs)
    # Drifts where units go, so that also depthwise kernels have to follow.
    h = layers.Dense(6, activation="relu", name="middle")(h)
    model = keras.Model(inputs, last()(h))
    randomise(model)
    plan = tf_diet.plan(model, rate=0.4, criterion="magnitude")
    small, rough = plan.apply(model), plan.apply(model)
    # Only the last layer: those before stay as they are.
    repair(model, rough, plan, x, LeastSquares(ridge=1e9))
    for one, other in zip(small.layers, rough.layers, strict=True):
        if one is not small.layers[-1]:
            other.set_weights(one.get_weights())
    before = distance(model, small, x)
    repair(model, small, plan, x, _Last(ridge))
    after = distance(model, small, x)
    assert after <= before * (1 + 1e-5)
    if ridge < 1:
        assert after < 0.999 * before


class _Last(LeastSquares):
    """Refits the last consumer alone."""

    def __call__(self, consumers, stream):
        super().__call__([max(consumers, key=lambda c: c.level)], stream)


PLANTED = {
    "taps turned round": (
        ConvolutionForm,
        "rows",
        lambda old: (
            lambda self, layer, x, at: old(self, layer, x, at)[..., ::-1]
        ),
    ),
    "constant of one tap": (
        ConvolutionForm,
        "constant",
        lambda old: (
            lambda self, layer, means: (
                old(self, layer, means) / layer.kernel_size[0]
            )
        ),
    ),
    "channels turned round": (
        DenseForm,
        "rows",
        lambda old: (
            lambda self, layer, x, at: old(self, layer, x, at)[..., ::-1]
        ),
    ),
    "bias of the state": (
        InputForm,
        "bias_place",
        lambda old: lambda self, layer: (1,),
    ),
}


@pytest.mark.parametrize("bug", [None, *PLANTED])
def test_planted_bugs_show(bug, monkeypatch, x):
    if bug:
        kind, name, change = PLANTED[bug]
        monkeypatch.setattr(kind, name, change(getattr(kind, name)))
    wrong = 0.0
    for reader in (layers.Dense(3), layers.Conv1D(3, 3), layers.GRU(3)):
        forms = rule_for(reader).linear_forms(reader)
        if bug and PLANTED[bug][0] not in map(type, forms):
            continue
        inputs = keras.Input((12, 5))
        h = layers.Dense(8, name="wide")(inputs)
        model = keras.Model(inputs, layers.Dense(2, name="last")(reader(h)))
        randomise(model)
        wide = model.get_layer("wide")
        # Units 4 to 7 are constant, so that both repairs must be exact.
        wide.kernel.assign(wide.kernel * (np.arange(8) < 4))
        widths = tf_diet.plan(model, rate=0.2, criterion="magnitude")
        kept = {n: tuple(range(w)) for n, w in widths.widths.items()}
        kept["wide"] = (0, 1, 2, 3)
        plan = dataclasses.replace(widths, kept_units=kept)
        for method in ("bias", LeastSquares(ridge=1e-10)):
            small = plan.apply(model)
            repair(model, small, plan, x, method)
            wrong = max(wrong, distance(model, small, x))
    assert (wrong > 1e-6) == (bug is not None)


def test_a_consumer_that_is_too_wide_is_named(
    model, x, plan, monkeypatch, caplog
):
    monkeypatch.setattr(methods, "MOST_COLUMNS", 2)
    small = plan.apply(model)
    repair(model, small, plan, x)
    assert "dense is left as it is: least squares over" in caplog.text


class Doubled(layers.Dense):
    """A subclass, which has neither rule nor form of its own accord."""

    def call(self, x):
        return 2 * super().call(x)


class WithoutForms(DenseRule):
    """Says which units go, and not how sums follow from them."""

    def linear_forms(self, call):
        return ()


def test_owners_of_a_layer_and_of_a_repair_register_their_own(x):
    tf_diet.register_rule(Doubled)(WithoutForms)
    inputs = keras.Input((12, 5))
    h = layers.Dense(8, name="wide")(inputs)
    model = keras.Model(inputs, Doubled(2, name="last")(h))
    randomise(model)
    wide = model.get_layer("wide")
    wide.kernel.assign(wide.kernel * (np.arange(8) < 4))
    plan = tf_diet.plan(model, rate=0.4, criterion="magnitude")
    plan = dataclasses.replace(plan, kept_units={"wide": (0, 1, 2, 3)})
    small = plan.apply(model)
    assert distance(model, small, x) > 0.01
    repair(model, small, plan, x, "bias")
    assert distance(model, small, x) > 0.01
    tf_diet.register_rule(Doubled)(DenseRule)
    repair(model, small, plan, x, "bias")
    assert distance(model, small, x) < 1e-10


def test_a_repair_of_ones_own_is_used_by_name(model, x, plan):
    seen = []

    @methods.register_repair("noting")
    class Noting(Repair):
        def __call__(self, consumers, stream):
            seen.extend(c.name for c in consumers)

    kept = {"conv": (0, 2), "gru": (1, 2, 3)}
    plan = dataclasses.replace(plan, kept_units=kept)
    repair(model, plan.apply(model), plan, x, "noting")
    assert seen == ["depthwise", "gru", "gru.recurrent_kernel", "dense"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"data": None}, InputError, "data=None"),
        ({"method": "least_square"}, InputError, "mean 'least_squares'"),
        ({"method": LeastSquares(ridge=0)}, InputError, "ridge=0"),
        ({"data": np.zeros((4, 12))}, InputError, "must have shape"),
        ({"data": np.full((4, 12, 5), np.nan)}, InputError, "finite"),
    ],
)
def test_bad_input_is_one_clear_error(model, x, plan, changes, error, words):
    given = {"data": x, "method": "least_squares"} | changes
    with pytest.raises(error, match=words):
        repair(model, plan.apply(model), plan, **given)


def test_models_that_do_not_belong_together_are_refused(model, x, plan):
    other = tf_diet.plan(model, rate=0.2, criterion="magnitude")
    with pytest.raises(PlanError, match="not what the plan makes of it"):
        repair(model, other.apply(model), plan, x)
    with pytest.raises(PlanError, match="does not come from this plan"):
        repair(model, small_net(layers.ReLU()), plan, x)


@pytest.mark.parametrize("method", ["bias", LeastSquares(ridge=1e-2)])
def test_prune_repairs_what_it_has_cut(model, x, plan, method):
    given = {"rate": 0.5, "criterion": "magnitude"}
    small = plan.apply(model)
    repair(model, small, plan, x, method, seed=2)
    ours = tf_diet.prune(model, x, repair=method, seed=2, **given)
    assert equal(values(small.variables), values(ours.variables))
    with pytest.raises(InputError, match="data=None"):
        tf_diet.prune(model, repair=method, **given)
