# SPDX-License-Identifier: MIT
"""What a trimmed model keeps of the full one, and that the full one stays."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tf_diet
from tf_diet.graph.composite import sublayers
from tf_diet.testing import randomise


@keras.saving.register_keras_serializable("tests.kept")
class Shrunk(keras.constraints.Constraint):
    def __call__(self, w):
        return w * 0.5


@keras.saving.register_keras_serializable("tests.kept")
class Block(layers.Layer):
    """A composite layer, which surgery opens."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.one = layers.Dense(width, name="one")
        self.two = layers.Dense(width, name="two")

    def build(self, shape):
        self.one.build(shape)
        self.two.build((*shape[:-1], self.width))

    def call(self, x):
        return self.two(ops.relu(self.one(x)))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def detailed():
    """Everything that a layer can carry beside its weights."""
    x = keras.Input((5,), name="x")
    h = layers.Dense(
        8,
        activation="relu",
        kernel_initializer=keras.initializers.HeNormal(seed=3),
        kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02),
        bias_constraint=Shrunk(),
        name="rich",
    )(x)
    h = layers.Dropout(0.3, seed=11, name="drop")(h)
    h = layers.Dense(8, dtype="mixed_float16", name="half")(h)
    h = layers.Dense(7, trainable=False, name="frozen")(h)
    inner_x = keras.Input((7,))
    inner = layers.Dense(6, name="deep_free")(inner_x)
    inner = layers.Dense(6, name="deep_frozen")(inner)
    nested = keras.Model(inner_x, inner, name="nested")
    nested.get_layer("deep_frozen").trainable = False
    h = Block(6, name="block")(nested(h))
    return keras.Model(
        x, layers.Dense(2, name="head", dtype="float32")(h), name="detailed"
    )


@pytest.fixture(scope="module")
def pruned():
    model = detailed()
    randomise(model)
    # Advance the state of the seed generator.
    model(np.ones((2, 5), "float32"), training=True)
    plan = tf_diet.plan(model, rate=0.4, criterion="magnitude")
    return model, plan.apply(model), plan


def leaves(model):
    """Layers that are no models nor composites, by name."""
    return {
        layer.name: layer
        for outer in model.layers
        for layer in sublayers(outer)
        if len(sublayers(layer)) == 1 and layer.name != "drop"
    }


def test_names_of_model_layers_inputs_and_outputs(pruned):
    _, small, _ = pruned
    assert small.name == "detailed"
    assert [tensor.name for tensor in small.inputs] == ["x"]
    assert small.output_names == ["head"]
    made = set(leaves(small))
    for name in ("rich", "half", "frozen", "deep_free", "one", "two", "head"):
        assert name in made


def test_policies_trainability_and_settings(pruned):
    model, small, _ = pruned
    full, cut = leaves(model), leaves(small)
    for name in set(full) & set(cut) - {"x"}:
        old, new = full[name], cut[name]
        assert new.trainable == old.trainable, name
        assert new.dtype_policy.name == old.dtype_policy.name, name
        before, after = old.get_config(), new.get_config()
        changed = {k for k in before if before[k] != after[k]}
        assert changed <= {"units"}, name
    assert cut["deep_frozen"].trainable is False
    assert cut["frozen"].trainable is False
    assert cut["deep_free"].trainable is True
    assert len(small.trainable_variables) == len(model.trainable_variables)
    assert isinstance(cut["rich"].bias_constraint, Shrunk)
    assert cut["rich"].units < 8


def test_state_of_random_numbers(pruned):
    model, small, _ = pruned
    old, new = (m.get_layer("drop").seed_generator for m in (model, small))
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(g.state.value) for g in (old, new))
    )
    assert small.get_layer("drop").seed == 11


def test_regularisers_count_what_is_left(pruned):
    model, small, plan = pruned
    kernel = ops.convert_to_numpy(model.get_layer("rich").kernel.value)
    cut = kernel[np.ix_(*plan.kept(model)["rich/kernel"])]
    expected = 0.01 * np.abs(cut).sum() + 0.02 * (cut**2).sum()
    (loss,) = small.losses
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_law_with_real_weights(pruned):
    model, small, plan = pruned
    # mixed_float16 inside sets the bound.
    assert tf_diet.verify(model, small, plan) < 1e-3


@keras.saving.register_keras_serializable("tests.kept")
def registered_loss(y, z):
    return ops.mean(ops.abs(y - z), axis=-1)


def plain_loss(y, z):
    return ops.mean(ops.square(y - z), axis=-1)


@pytest.mark.parametrize("loss", [registered_loss, plain_loss, "mse"])
def test_compile_state(loss):
    x = keras.Input((4,), name="x")
    h = layers.Dense(9, name="h")(x)
    inner_x = keras.Input((9,))
    inner = keras.Model(inner_x, layers.Dense(1, name="out")(inner_x))
    inner.name = "left"
    model = keras.Model(x, [inner(h), layers.Dense(2, name="right")(h)])
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 50)),
        loss={"left": loss, "right": "mae"},
        loss_weights={"left": 2.0, "right": 0.5},
        metrics={"right": [keras.metrics.RootMeanSquaredError(name="rms")]},
        run_eagerly=True,
    )
    rng = np.random.default_rng(0)
    data = rng.normal(size=(6, 4)), [rng.normal(size=(6, n)) for n in (1, 2)]
    model.train_on_batch(*data)
    small = tf_diet.prune(model, rate=0.4, criterion="magnitude")
    assert small.optimizer is not model.optimizer
    assert int(small.optimizer.iterations) == 1
    logs = small.evaluate(*data, verbose=0, return_dict=True)
    y, z = data[1], small(data[0])
    z = [ops.convert_to_numpy(value) for value in z]
    left = {registered_loss: 1}.get(loss, 2)
    expected = 2 * np.mean(np.abs(y[0] - z[0]) ** left)
    expected += 0.5 * np.mean(np.abs(y[1] - z[1]))
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)
    rms = [value for name, value in logs.items() if name.endswith("rms")]
    assert rms == [pytest.approx(np.sqrt(np.mean((y[1] - z[1]) ** 2)), 1e-4)]
    assert small.run_eagerly


def test_the_callers_model_is_untouched():
    model = detailed()
    # A part of it is used by another model as well.
    head = keras.Model(model.get_layer("frozen").output, model.output)
    model.compile("adam", "mse")
    layers_of = sublayers(model)
    nodes = [
        (len(layer._inbound_nodes), len(layer._outbound_nodes))
        for layer in layers_of
    ]
    weights = [ops.convert_to_numpy(v.value).copy() for v in model.variables]
    config = model.get_config()
    rng = np.random.default_rng(0)
    data = rng.normal(size=(64, 5)), rng.normal(size=(64, 2))
    for criterion in ("magnitude", "mutual_information"):
        plan = tf_diet.plan(model, data, rate=0.3, criterion=criterion)
        tf_diet.verify(model, plan.apply(model), plan)
    tf_diet.inspect(model)
    assert sublayers(model) == layers_of
    assert nodes == [
        (len(layer._inbound_nodes), len(layer._outbound_nodes))
        for layer in layers_of
    ]
    for before, variable in zip(weights, model.variables, strict=True):
        after = ops.convert_to_numpy(variable.value)
        assert before.tobytes() == after.tobytes(), variable.path
    assert model.get_config() == config
    assert not model.optimizer.built
    assert head.count_params() > 0


def test_pruning_the_pruned_goes_on():
    model = detailed()
    randomise(model)
    sizes = [model.count_params()]
    for seed in range(3):
        plan = tf_diet.plan(model, rate=0.25, criterion="random", seed=seed)
        small = plan.apply(model)
        assert tf_diet.verify(model, small, plan) < 1e-3
        assert small.count_params() == plan.cost_after.parameters
        model = small
        sizes.append(model.count_params())
    assert sizes == sorted(set(sizes), reverse=True)
