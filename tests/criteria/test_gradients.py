# SPDX-License-Identifier: MIT
"""Gradients of the model's own loss: right, and taken without a trace."""

import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.criteria import (
    Criterion,
    Gradient,
    GradientMin,
    Taylor,
    rank,
)
from tf_diet.criteria.gradient_statistics import accumulate
from tf_diet.errors import InputError
from tf_diet.graph.build import build

pytestmark = pytest.mark.slow

# Keras computes Dense in single precision on JAX, whatever its floatx is.
SINGLE = keras.backend.backend() == "jax"
STEP, NEAR = (3e-3, 2e-4) if SINGLE else (1e-5, 1e-8)
SAME = 1e-6 if SINGLE else 1e-12
EVERY = frozenset({"mean", "absolute", "square"})


@pytest.fixture
def float64():
    before = keras.config.floatx()
    jax = None
    if SINGLE:
        jax = pytest.importorskip("jax")
        jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)
    if jax:
        jax.config.update("jax_enable_x64", False)


def mixed():
    """A shared layer, a recurrent one, an embedding and two outputs."""
    x, code = keras.Input((4, 3), name="x"), keras.Input((4,), name="code")
    shared = layers.Dense(3, activation="tanh", name="shared")
    e = layers.Embedding(5, 3, name="codes")(code)
    h = shared(layers.Add()([shared(x), e]))
    h = layers.Dropout(0.5)(h)
    h = layers.BatchNormalization(name="norm")(h)
    h = layers.GRU(3, name="gru")(h)
    a = layers.Dense(2, name="a", kernel_regularizer="l2")(h)
    b = layers.Dense(4, activation="softmax", name="b")(h)
    model = keras.Model([x, code], [a, b])
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=["mse", "sparse_categorical_crossentropy"],
        loss_weights=[1.0, 0.3],
    )
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.5 * rng.standard_normal(variable.shape))
    return model


def mixed_data(examples=6):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((examples, 4, 3))
    code = rng.integers(5, size=(examples, 4))
    y = rng.standard_normal((examples, 2)), rng.integers(4, size=examples)
    return [x, code], list(y)


def loss(model, x, y):
    """The loss as written down in `mixed`, by hand."""
    a, b = (
        keras.ops.convert_to_numpy(v)
        for v in model([np.asarray(v) for v in x], training=False)
    )
    nats = -np.log(b[np.arange(len(b)), y[1]]).mean()
    squares = np.square(
        keras.ops.convert_to_numpy(model.get_layer("a").kernel)
    ).sum()
    return np.square(a - y[0]).mean() + 0.3 * nats + 0.01 * squares


def differences(model, variable, x, y, places, step=STEP):
    value = np.array(keras.ops.convert_to_numpy(variable.value))
    slopes = []
    for place in places:
        ends = []
        for sign in (1, -1):
            moved = value.copy()
            moved[place] += sign * step
            variable.assign(moved)
            ends.append(loss(model, x, y))
        slopes.append((ends[0] - ends[1]) / 2 / step)
    variable.assign(value)
    return np.array(slopes)


def gathered(model, data, kinds=EVERY, batch_size=6):
    graph = build(model)
    found = accumulate(
        model, graph, data, kinds=kinds, batch_size=batch_size, seed=0
    )
    return graph, found


@pytest.mark.usefixtures("float64")
def test_gradients_are_those_of_finite_differences():
    model = mixed()
    (x, code), y = mixed_data()
    graph, found = gathered(model, ([x, code], y))
    trained = {id(v) for v in model.trainable_variables}
    assert {id(graph.variables[path]) for path in found} == trained
    rng = np.random.default_rng(2)
    for path, got in found.items():
        shape = got.mean.shape
        places = [
            tuple(int(rng.integers(size)) for size in shape) for _ in range(3)
        ]
        want = differences(model, graph.variables[path], [x, code], y, places)
        have = np.array([got.mean[place] for place in places])
        np.testing.assert_allclose(have, want, rtol=1e-6, atol=NEAR)
        # One batch: the other two follow.
        np.testing.assert_allclose(got.absolute, np.abs(got.mean), rtol=1e-6)
        np.testing.assert_allclose(got.square, got.mean**2, rtol=1e-6)
    # A batch an example: the mean stays, for mean squares as well.
    _, single = gathered(model, ([x, code], y), batch_size=1)
    _, uneven = gathered(model, ([x, code], y), batch_size=4)
    rows = [
        ([x[i : i + 1], code[i : i + 1]], [v[i : i + 1] for v in y])
        for i in range(len(x))
    ]
    each = [gathered(model, row)[1] for row in rows]
    for path, got in found.items():
        np.testing.assert_allclose(single[path].mean, got.mean, atol=SAME)
        np.testing.assert_allclose(uneven[path].mean, got.mean, atol=SAME)
        alone = np.stack([one[path].mean for one in each])
        np.testing.assert_allclose(
            single[path].absolute, np.abs(alone).mean(axis=0), atol=SAME
        )
        np.testing.assert_allclose(
            single[path].square, (alone**2).mean(axis=0), atol=SAME
        )


def state(model):
    layer = model.get_layer("gru")
    return {
        "values": [
            np.array(keras.ops.convert_to_numpy(v.value))
            for v in (*model.variables, *model.optimizer.variables)
        ],
        "nodes": [
            (len(part._inbound_nodes), len(part._outbound_nodes))
            for part in (model, *model.layers)
        ],
        "compiled": (model.optimizer, model.loss, model._compile_loss),
        "functions": (model.train_function, model.test_function),
        "losses": len(model.losses),
        "trainable": [v.trainable for v in model.variables],
        "names": [v.path for v in model.variables],
        "cell": sorted(vars(layer.cell)),
        "attributes": sorted(vars(model)),
    }


def test_the_model_is_left_as_it_was():
    model = mixed()
    (x, code), y = mixed_data(8)
    model.fit([x, code], y, batch_size=4, epochs=1, verbose=0)
    held = [v.value for v in model.variables]
    before = state(model)
    _, found = gathered(model, ([x, code], y), batch_size=4)
    after = state(model)
    values = before.pop("values")
    for one, other in zip(values, after.pop("values"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert before == after
    # Arrays that others hold were not given up.
    for value in held:
        assert np.isfinite(keras.ops.convert_to_numpy(value)).all()
    assert any(np.abs(g.mean).max() > 0 for g in found.values())
    # And it goes on to train.
    model.fit([x, code], y, batch_size=4, epochs=1, verbose=0)
    assert not np.array_equal(
        keras.ops.convert_to_numpy(model.variables[0]), values[0]
    )


def test_only_what_is_asked_for_is_kept():
    model = mixed()
    x, y = mixed_data()
    _, found = gathered(model, (x, y), kinds=frozenset({"square"}))
    for got in found.values():
        assert got.mean is None
        assert got.absolute is None
        assert got.square is not None


def linear(examples=40):
    """Three units of which the loss and its gradients are known."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, name="units"),
            layers.Dense(1, name="out"),
        ]
    )
    rng = np.random.default_rng(4)
    weights = [rng.standard_normal(v.shape) for v in model.weights]
    model.set_weights(weights)
    model.compile("sgd", "mse")
    x = rng.standard_normal((examples, 2))
    y = rng.standard_normal((examples, 1))
    kernel, bias, out, offset = weights
    error = (x @ kernel + bias) @ out + offset - y
    # Of each example: the gradient at the units, then of their weights.
    back = 2 * error * out.T
    gradients = np.einsum("ni,nu->niu", x, back), back
    return model, (x, y), (kernel, bias), gradients


def scores(model, data, criterion):
    return rank(model, build(model), data, criterion).values["units"]


def test_scores_of_a_layer_worked_out_by_hand():
    model, data, (kernel, bias), (of_kernel, of_bias) = linear()
    contribution = (kernel * of_kernel.mean(axis=0)).sum(axis=0)
    contribution += bias * of_bias.mean(axis=0)
    for size in (40, 7):
        taylor = scores(model, data, Taylor("sum", batch_size=size))
        np.testing.assert_allclose(taylor, np.abs(contribution), rtol=1e-4)
    largest = np.abs(
        [(kernel * of_kernel.mean(0)).sum(0), bias * of_bias.mean(0)]
    ).max(axis=0)
    np.testing.assert_allclose(
        scores(model, data, "taylor"), largest, rtol=1e-4
    )
    fisher = (kernel**2 * (of_kernel**2).mean(axis=0)).sum(axis=0)
    fisher += bias**2 * (of_bias**2).mean(axis=0)
    np.testing.assert_allclose(
        scores(model, data, "obd"), fisher / 2, rtol=1e-4
    )
    single = np.abs(of_kernel).mean(axis=0).sum(axis=0)
    single += np.abs(of_bias).mean(axis=0)
    np.testing.assert_allclose(
        scores(model, data, Gradient(batch_size=1)), single, rtol=1e-4
    )
    np.testing.assert_array_equal(
        scores(model, data, GradientMin(batch_size=1)),
        -scores(model, data, Gradient(batch_size=1)),
    )
    np.testing.assert_array_equal(
        scores(model, data, "gradient_min"),
        scores(model, data, Gradient(keep="smallest")),
    )


def test_taylor_is_the_slope_of_the_loss_as_a_unit_fades():
    model, (x, y), (kernel, bias), _ = linear()
    taylor = scores(model, (x, y), Taylor("sum"))
    units = model.get_layer("units")

    def faded(unit, share):
        gain = np.ones(3)
        gain[unit] = share
        units.set_weights([kernel * gain, bias * gain])
        made = keras.ops.convert_to_numpy(model(x.astype("float32")))
        return np.square(made - y).mean()

    for unit in range(3):
        slope = (faded(unit, 1.01) - faded(unit, 0.99)) / 0.02
        assert taylor[unit] == pytest.approx(abs(slope), rel=1e-3, abs=1e-4)


def test_weights_that_do_not_train_cannot_be_judged():
    x = keras.Input((2,))
    h = layers.Dense(3, name="frozen", trainable=False)(x)
    h = layers.Dense(3, name="units")(h)
    model = keras.Model(x, layers.Dense(1)(h))
    model.compile("sgd", "mse")
    _, data, _, _ = linear()
    for name in ("gradient", "gradient_min", "taylor", "obd"):
        found = rank(model, build(model), data, name)
        assert np.isinf(found.values["frozen"]).all()
        assert np.isfinite(found.values["units"]).all()
        assert found.unseen == {"frozen": 3}
        assert found.reason == "no weight that produces them trains"
        assert "stay whole" in found.alignment["frozen"]


def test_forms_of_data():
    model, (x, y), _, _ = linear()
    expected = scores(model, (x, y), "taylor")

    class Batches(keras.utils.PyDataset):
        @property
        def num_batches(self):
            return 4

        def __getitem__(self, index):
            return x[index * 10 : index * 10 + 10], y[index::4][:10]

    def pairs():
        for start in range(0, 40, 10):
            yield x[start : start + 10], y[start : start + 10]

    for data in (([x], [y]), pairs(), (x, y[:, 0]), (x, {"out": y})):
        np.testing.assert_array_equal(scores(model, data, "taylor"), expected)
    assert np.isfinite(scores(model, Batches(), "taylor")).all()


def test_examples_weigh_as_in_training():
    model, (x, y), _, (gradients, _) = linear()
    weights = np.random.default_rng(5).uniform(0, 3, 40)
    wanted = (weights[:, None, None] * gradients).mean(axis=0)

    def batches():
        for start in range(0, 40, 10):
            rows = slice(start, start + 10)
            yield x[rows], y[rows], weights[rows]

    for data in ((x, y, weights), (x, [y], [weights]), batches()):
        _, found = gathered(model, data)
        np.testing.assert_allclose(
            found["units/kernel"].mean, wanted, rtol=1e-4, atol=1e-5
        )


def test_weights_of_one_output_are_how_often_it_counts():
    model, ([x, code], y) = mixed(), mixed_data()
    often = np.array([1, 0, 3, 2, 1, 4])
    weights = [np.ones(6), often.astype(float)]
    _, found = gathered(model, ([x, code], y, weights))
    rows = np.repeat(np.arange(6), often)
    again = [x[rows], code[rows]], [value[rows] for value in y]
    _, repeated = gathered(model, again, batch_size=11)
    _, plain = gathered(model, ([x, code], y))
    got, wanted = (f["b/bias"].mean for f in (found, repeated))
    np.testing.assert_allclose(got * 6 / 11, wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        found["a/bias"].mean, plain["a/bias"].mean, rtol=1e-5
    )


def test_a_model_for_one_batch_size_gets_full_batches():
    image = keras.Input(batch_shape=(4, 2))
    model = keras.Model(
        image, layers.Dense(1)(layers.Dense(3, name="units")(image))
    )
    model.compile("sgd", "mse")
    _, (x, y), _, _ = linear(10)
    assert np.isfinite(scores(model, (x, y), "gradient")).all()
    with pytest.raises(InputError, match=r"takes 4 examples.*Received: 3"):
        scores(model, (x[:3], y[:3]), "gradient")


class Own(Criterion):
    """The largest mean gradient, by an owner of the package."""

    needs = frozenset({"weights", "gradients"})

    def score(self, group, seen):
        (largest,) = (
            np.abs(seen.gradients[m.path].mean).max(axis=0)
            for m in group.members
            if m.path == "units/kernel"
        )
        return largest


def test_own_criteria_of_gradients():
    model, data, _, (of_kernel, _) = linear()
    expected = np.abs(of_kernel.mean(axis=0)).max(axis=0)
    np.testing.assert_allclose(scores(model, data, Own()), expected, rtol=1e-4)
