# SPDX-License-Identifier: MIT
"""What every registered criterion must do, whoever wrote it."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import tf_diet
from tf_diet.criteria import criteria, get, rank
from tf_diet.graph.build import build

pytestmark = pytest.mark.slow

EXAMPLES = 24
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "criteria.md"


def residual():
    image = keras.Input((4, 4, 2))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Add()([x, layers.Conv2D(4, 1, name="branch")(x)])
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(image, layers.Dense(2)(x))


def recurrent():
    x = keras.Input((5, 3))
    h = layers.GRU(4, return_sequences=True, name="gru")(x)
    h = layers.GRU(3, name="last")(layers.Dropout(0.5)(h))
    return keras.Model(x, layers.Dense(2)(h))


def nested():
    inner_in = keras.Input((5,))
    h = layers.Dense(4, activation="tanh", name="hidden")(inner_in)
    inner = keras.Model(inner_in, layers.Dense(3)(h), name="inner")
    x = keras.Input((5,))
    return keras.Model(x, layers.Dense(2)(layers.ReLU()(inner(x))))


def made(make):
    model = make()
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        noise = rng.standard_normal(variable.shape)
        variable.assign(0.5 * noise + ("gamma" in variable.path))
    model.compile("adam", "mse")
    shape = model.inputs[0].shape[1:]
    x = rng.standard_normal((EXAMPLES, *shape)).astype("float32")
    y = rng.standard_normal((EXAMPLES, 2)).astype("float32")
    y += x.reshape(EXAMPLES, -1)[:, :2]
    return model, build(model), x, y


MODELS = {f.__name__: f for f in (residual, recurrent, nested)}


@pytest.fixture(scope="module", params=MODELS, ids=list(MODELS))
def case(request):
    return made(MODELS[request.param])


def values_of(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]


@pytest.mark.parametrize("name", criteria.names())
def test_every_criterion(case, name):
    model, graph, x, y = case
    before = values_of(model)
    scores = rank(model, graph, (x, y), name, seed=1)
    # The right shape, and finite where a unit can be judged.
    assert list(scores.values) == [group.name for group in graph.groups]
    for group in graph.groups:
        values = scores.values[group.name]
        assert values.shape == (group.n_units,)
        assert values.dtype == np.float64
        assert (np.isfinite(values) | np.isposinf(values)).all()
        if name != "normalisation":
            assert np.isfinite(values).all()
            assert len(np.unique(values)) > 1
    # The model is left alone.
    for one, other in zip(before, values_of(model), strict=True):
        np.testing.assert_array_equal(one, other)
    # Bit for bit the same whatever the order of the examples.
    order = np.random.default_rng(2).permutation(EXAMPLES)
    shuffled = rank(model, graph, (x[order], y[order]), name, seed=1)
    for group, values in scores.values.items():
        np.testing.assert_array_equal(values, shuffled.values[group])
    # Plain settings, a name and a repr.
    criterion = get(name)
    assert json.loads(json.dumps(criterion.settings())) == scores.settings
    assert criterion.name == scores.criterion == name
    assert repr(criterion).startswith(type(criterion).__name__ + "(reduce=")
    assert type(criterion).__doc__.count("Args:") == 1
    assert criterion.reduce in ("sum", "mean", "max")
    assert f"by {name}" in repr(scores)


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
@pytest.mark.parametrize("name", criteria.names())
def test_every_reduction(name, reduce):
    model, graph, x, y = made(nested)
    scores = rank(model, graph, (x, y), criteria.get(name)(reduce=reduce))
    assert scores.settings["reduce"] == reduce
    assert all(not np.isnan(v).any() for v in scores.values.values())


@pytest.mark.parametrize("name", criteria.names())
def test_every_criterion_makes_a_plan(name):
    model, _, x, y = made(residual)
    plan = tf_diet.plan(model, (x, y), rate=0.2, criterion=name)
    twin = tf_diet.plan(model, (x, y), rate=0.2, criterion=get(name))
    assert plan.kept_units == twin.kept_units
    assert plan.settings["criterion"] == name
    assert plan.reached >= 0.2
    assert plan.apply(model).count_params() < model.count_params()


def test_unseen_units_stay_and_the_plan_says_why():
    model = nested()
    plan = tf_diet.plan(model, rate=0.2, criterion="normalisation")
    assert not any(
        len(plan.kept_units[name]) < width
        for name, width in plan.widths.items()
    )
    assert plan.not_reached
    assert {
        "no normalisation with a factor follows them" in said
        for said in plan.alignment.values()
    } == {True}


@pytest.mark.parametrize("name", criteria.names())
def test_every_criterion_is_on_the_page(name):
    rows = [
        line for line in PAGE.read_text().splitlines() if line.startswith("|")
    ]
    (row,) = [row for row in rows if row.startswith(f"| `{name}` |")]
    needs = criteria.get(name).needs
    said = row.split("|")[2]
    assert ("nothing" in said) == (not needs)
    assert ("weights" in said) == (needs == {"weights"})
    assert ("compiled" in said) == ("gradients" in needs)
    assert ("inputs" in said) == ("activations" in needs)
    assert ("targets" in said) == bool(needs & {"gradients", "targets"})
