# SPDX-License-Identifier: MIT
import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.criteria import (
    L2,
    GeometricMedian,
    Lamp,
    Magnitude,
    Normalisation,
    Obd,
    Taylor,
    rank,
)
from tf_diet.errors import InputError
from tf_diet.graph.build import build


def randomised(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.standard_normal(variable.shape))
    return model


def absolute(variable):
    return np.abs(keras.ops.convert_to_numpy(variable))


def test_magnitude_counts_what_produces_a_unit():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, name="first"),
            layers.Dense(3, name="second"),
            layers.Dense(2, name="last"),
        ]
    )
    randomised(model)
    scores = rank(model, build(model), None, "magnitude")
    assert list(scores.values) == ["first", "second"]
    for name, values in scores.values.items():
        layer = model.get_layer(name)
        expected = absolute(layer.kernel).sum(axis=0) + absolute(layer.bias)
        # The mean of what kernel and bias say.
        np.testing.assert_allclose(values, expected / 2, rtol=1e-5)
        assert not values.flags.writeable


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_magnitude_keeps_the_gates_of_a_recurrent_unit_together(reduce):
    model = keras.Sequential(
        [
            keras.Input((7, 3)),
            layers.GRU(4, return_sequences=True, name="gru"),
            layers.Dense(2),
        ]
    )
    randomised(model)
    (values,) = rank(
        model, build(model), None, Magnitude(reduce=reduce)
    ).values.values()
    cell = model.get_layer("gru").cell
    columns = [
        absolute(cell.kernel).sum(axis=0).reshape(3, 4),
        absolute(cell.recurrent_kernel).sum(axis=0).reshape(3, 4),
        absolute(cell.bias).sum(axis=0).reshape(3, 4),
    ]
    places = np.concatenate(columns)
    expected = getattr(np, reduce)(places, axis=0)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_magnitude_leaves_moving_statistics_out():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2),
        ]
    )
    randomised(model)
    graph = build(model)
    before = rank(model, graph, None, "magnitude").values["first"]
    norm = model.get_layer("norm")
    norm.moving_variance.assign(1e6 * np.ones(4))
    norm.moving_mean.assign(1e6 * np.ones(4))
    after = rank(model, graph, None, "magnitude").values["first"]
    np.testing.assert_array_equal(before, after)
    norm.gamma.assign(1e6 * np.ones(4))
    louder = rank(model, graph, None, "magnitude").values["first"]
    assert (louder > 1e5).all()


def test_random_scores_depend_on_seed_and_name_alone():
    def model(width):
        return keras.Sequential(
            [
                keras.Input((5,)),
                layers.Dense(width, name="before"),
                layers.Dense(30, name="one"),
                layers.Dense(30, name="two"),
                layers.Dense(2),
            ]
        )

    small, large = model(4), model(9)
    a = rank(small, build(small), None, "random", seed=1).values
    b = rank(large, build(large), None, "random", seed=1).values
    c = rank(small, build(small), None, "random", seed=2).values
    np.testing.assert_array_equal(a["one"], b["one"])
    assert (a["one"] != a["two"]).all()
    assert (a["one"] != c["one"]).all()


def dense(kernel, bias):
    """A layer of given weights, between an input and an output."""
    model = keras.Sequential(
        [
            keras.Input((len(kernel),)),
            layers.Dense(len(bias), name="units"),
            layers.Dense(2),
        ]
    )
    model.get_layer("units").set_weights([np.array(kernel), np.array(bias)])
    return model


def units(model, criterion):
    return rank(model, build(model), None, criterion).values["units"]


def test_l2_is_the_norm_of_what_produces_a_unit():
    model = dense([[3.0, 1.0, 0.0], [0.0, 2.0, 0.0]], [4.0, 2.0, -1.0])
    whole = units(model, L2(reduce="sum"))
    np.testing.assert_allclose(whole, [5.0, 3.0, 1.0])
    # The same but for a factor where all units have as many weights.
    mean = units(model, L2(reduce="mean"))
    np.testing.assert_allclose(mean, np.divide([5.0, 3.0, 1.0], np.sqrt(2)))
    largest = units(model, "l2")
    np.testing.assert_allclose(largest, [4.0, np.sqrt(5), 1.0])


def test_lamp_is_a_share_of_those_that_are_not_smaller():
    # Squared norms 1, 4, 9, 4 and 0.
    model = dense([[1.0, 2.0, 3.0, -2.0, 0.0]], [0.0] * 5)
    shares = [1 / 18, 4 / 17, 1.0, 4 / 17, 0.0]
    np.testing.assert_allclose(units(model, "lamp"), shares, rtol=1e-6)
    # It does not depend on the scale of a layer, and orders as the norm does.
    scaled = dense([[1e3, 2e3, 3e3, -2e3, 0.0]], [0.0] * 5)
    np.testing.assert_allclose(units(scaled, "lamp"), shares, rtol=1e-6)
    nothing = dense([[0.0] * 3], [0.0] * 3)
    np.testing.assert_array_equal(units(nothing, "lamp"), [0.0] * 3)


def test_the_unit_in_the_middle_has_the_least_geometric_median():
    kernel = [[0.0, 3.0, -3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0, -4.0]]
    # Biases are no part of it.
    values = units(dense(kernel, [9.0, 0, 0, 0, 0]), "geometric_median")
    middle, side, top = (3 + 3 + 4 + 4) / 4, (3 + 6 + 10) / 4, (4 + 8 + 10) / 4
    np.testing.assert_allclose(values, [middle, side, side, top, top])
    # Moving all of them changes nothing; the norm would choose another.
    moved = np.add(kernel, [[50.0], [70.0]])
    again = units(dense(moved, [0.0] * 5), "geometric_median")
    np.testing.assert_allclose(again, values, rtol=1e-4)


def test_geometric_median_of_many_units_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((4, 300))
    values = units(dense(kernel, np.zeros(300)), "geometric_median")
    kernel = kernel.astype(np.float32).T
    gaps = np.linalg.norm(kernel[:, None] - kernel, axis=2)
    np.testing.assert_allclose(values, gaps.sum(axis=1) / 299, rtol=1e-5)
    gates = keras.Sequential(
        [keras.Input((7, 3)), layers.GRU(4, name="units"), layers.Dense(2)]
    )
    cell = randomised(gates).get_layer("units").cell
    vectors = np.concatenate(
        [
            keras.ops.convert_to_numpy(w).reshape(-1, 3, 4).transpose(2, 0, 1)
            for w in (cell.kernel, cell.recurrent_kernel)
        ],
        axis=1,
    ).reshape(4, -1)
    gaps = np.linalg.norm(vectors[:, None] - vectors, axis=2).sum(axis=1)
    np.testing.assert_allclose(
        units(gates, "geometric_median"), gaps / 3, rtol=1e-5
    )


def normalised():
    x = keras.Input((6, 3))
    h = layers.Conv1D(4, 1, name="first")(x)
    h = layers.BatchNormalization(name="norm")(h)
    g = layers.Dense(3, name="bare")(h)
    return keras.Model(x, layers.Dense(2)(g))


def test_normalisation_is_the_factor_and_others_cannot_be_judged():
    model = normalised()
    model.get_layer("norm").gamma.assign([0.5, -2.0, 0.0, 1.0])
    scores = rank(model, build(model), None, "normalisation")
    np.testing.assert_allclose(scores.values["first"], [0.5, 2.0, 0.0, 1.0])
    assert np.isinf(scores.values["bare"]).all()
    assert scores.unseen == {"bare": 3}
    assert "these units stay whole" in scores.alignment["bare"]
    assert "first" not in scores.alignment
    # Without its blindness declared, infinity is a broken promise.

    class Sure(Normalisation):
        blind = ""

    with pytest.raises(InputError, match=r"'sure' must give one .*3 not"):
        rank(model, build(model), None, Sure())


def test_units_of_which_some_meet_a_normalisation():
    x = keras.Input((3,))
    a, b = layers.Dense(4, name="a")(x), layers.Dense(2, name="b")(x)
    a = layers.BatchNormalization()(a)
    both = layers.Concatenate()([a, b])
    model = keras.Model(x, layers.Dense(2)(layers.ReLU()(both)))
    values = rank(model, build(model), None, "normalisation").values
    assert np.isfinite(values["a"]).all()
    assert np.isinf(values["b"]).all()


def chain(copies):
    """A stem and copies of it, which meet in one residual sum."""
    x = keras.Input((3,))
    made = [layers.Dense(4, name=f"copy{i}")(x) for i in range(copies)]
    total = layers.Add()(made) if copies > 1 else made[0]
    model = keras.Model(x, layers.Dense(1)(total))
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((3, 4)), rng.standard_normal(4)
    last = rng.standard_normal((4, 1)), np.zeros(1)
    for layer in model.layers[1:]:
        if layer.name.startswith("copy"):
            layer.set_weights(weights)
    model.layers[-1].set_weights(last)
    # Linear in the output: gradients do not depend on how large it is.
    model.compile("sgd", lambda y, z: keras.ops.mean(y * z, axis=-1))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    "kind", [Magnitude, L2, Lamp, GeometricMedian, Taylor, Obd]
)
def test_copies_of_a_layer_in_a_residual_sum(kind, reduce):
    rng = np.random.default_rng(2)
    data = rng.standard_normal((8, 3)), rng.standard_normal((8, 1))
    one, three = (
        rank(model, build(model), data, kind(reduce=reduce)).values["copy0"]
        for model in (chain(1), chain(3))
    )
    times = 3.0 if reduce == "sum" else 1.0
    if kind is L2:
        times **= 0.5
    if kind is Lamp:
        times = 1.0
    np.testing.assert_allclose(three, times * one, rtol=1e-4)
