import keras
import numpy as np
import pytest
from keras import layers

from tf_diet.criteria import Magnitude, rank
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
        np.testing.assert_allclose(values, expected, rtol=1e-5)
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
