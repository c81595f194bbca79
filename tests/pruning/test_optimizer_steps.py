# SPDX-License-Identifier: MIT
"""Training goes on after surgery as it would have under a mask."""

import keras
import numpy as np
import pytest
from keras import layers, optimizers

import tf_diet
from tf_diet.pruning.mask import mask, zero
from tf_diet.testing import randomise

# Tracing a step takes longer than a step.
EAGER = keras.backend.backend() == "tensorflow"
OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "clipped": lambda: optimizers.Adam(0.01, global_clipnorm=0.5),
    "averaged": lambda: optimizers.Adam(
        0.01, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=None
    ),
    # These count something of their own, from the first step on.
    "nadam": lambda: optimizers.Nadam(0.01),
    "scaled": lambda: optimizers.LossScaleOptimizer(
        optimizers.Adam(0.01), initial_scale=4.0, dynamic_growth_steps=2
    ),
    "lamb": lambda: optimizers.Lamb(0.01),
    "lion": lambda: optimizers.Lion(0.01),
    "factored": lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
}


def network():
    image = keras.Input((5, 5, 2))
    # Without a bias: its gradient is zero ahead of a batch normalisation, and
    # Adam makes whole steps of the rounding of it.
    x = layers.Conv2D(
        6,
        3,
        padding="same",
        use_bias=False,
        kernel_regularizer="l2",
        name="first",
    )(image)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Add()([x, layers.Conv2D(6, 1, name="second")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(7, activation="tanh", name="third")(x)
    return keras.Model(image, layers.Dense(2, name="head")(x), name="steps")


def batch(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(8, 5, 5, 2)).astype("float32")
    return x, rng.normal(size=(8, 2)).astype("float32")


def slots(model):
    """The slots of each weight, by its path and the slot's kind."""
    found = {}
    for weight in model.trainable_variables:
        prefix = weight.path.replace("/", "_") + "_"
        for slot in model.optimizer.variables:
            if slot.name.startswith(prefix):
                found[weight.path, slot.name[len(prefix) :]] = slot
    return found


def own(model):
    """What an optimizer keeps for no weight in particular."""
    kept = {id(slot) for slot in slots(model).values()}
    return [v for v in model.optimizer.variables if id(v) not in kept]


def masked_model(model, plan):
    """The full model with everything dead at zero, momentum too."""
    graph = plan.graph(model)
    alive = graph.alive(plan.kept_units)
    masked = mask(model, graph, alive)
    kind = type(model.optimizer)
    masked.compile(
        kind.from_config(model.optimizer.get_config()), "mse", run_eagerly=EAGER
    )
    masked.optimizer.build(masked.trainable_variables)
    both = own(masked), own(model)
    assert len(both[0]) == len(both[1])
    for mine, theirs in zip(*both, strict=True):
        mine.assign(keras.ops.convert_to_numpy(theirs.value))
    for key, slot in slots(masked).items():
        value = keras.ops.convert_to_numpy(slots(model)[key].value)
        slot.assign(zero(value, graph.axes[key[0]], alive))
    return masked


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_after_trimming_is_the_masked_models_step(name):
    model = network()
    randomise(model)
    model.compile(OPTIMIZERS[name](), "mse", run_eagerly=EAGER)
    for seed in range(2):
        model.train_on_batch(*batch(seed))
    plan = tf_diet.plan(model, rate=0.5, criterion="random", seed=1)
    small = plan.apply(model)
    masked = masked_model(model, plan)
    assert set(slots(small)) == set(slots(masked))
    before, full = small.get_weights(), model.get_weights()
    losses = [m.train_on_batch(*batch(9)) for m in (small, masked)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert any(
        (a != b).any() for a, b in zip(before, small.get_weights(), strict=True)
    )
    kept = plan.kept(model)
    pairs = [
        (one.path, one, other)
        for one, other in zip(small.variables, masked.variables, strict=True)
    ]
    both = slots(small), slots(masked)
    pairs += [(key[0], both[0][key], both[1][key]) for key in both[0]]
    for path, one, other in pairs:
        whole = keras.ops.convert_to_numpy(other.value)
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(one.value),
            whole[np.ix_(*kept[path])],
            rtol=2e-4,
            atol=2e-5,
            err_msg=f"{path} {one.name}",
        )
    for one, other in zip(own(small), own(masked), strict=True):
        assert float(one.value) == float(other.value), one.name
    inner = getattr(small.optimizer, "inner_optimizer", small.optimizer)
    assert int(inner.iterations) == 3
    # Nothing is shared: the full model is as it was and can be trained on.
    for old, new in zip(full, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.train_on_batch(*batch(3))


def test_forgotten_slots_would_be_seen():
    model = network()
    model.compile(OPTIMIZERS["adam"](), "mse", run_eagerly=EAGER)
    model.train_on_batch(*batch(0))
    plan = tf_diet.plan(model, rate=0.5, criterion="random")
    small = plan.apply(model)
    fresh = keras.models.clone_model(small)
    fresh.set_weights(small.get_weights())
    fresh.compile(OPTIMIZERS["adam"](), "mse", run_eagerly=EAGER)
    small.train_on_batch(*batch(9))
    fresh.train_on_batch(*batch(9))
    distance = max(
        np.abs(a - b).max()
        for a, b in zip(small.get_weights(), fresh.get_weights(), strict=True)
    )
    assert distance > 1e-3


def test_slots_of_weights_with_one_path_are_told_apart():
    x = keras.Input((4,))
    y = keras.Input((4,))
    inner = keras.Model(y, layers.Dense(4, name="same")(y), name="inner")
    h = layers.Dense(8, name="same")(inner(x))
    model = keras.Model(x, layers.Dense(2, name="out")(h))
    paths = [weight.path for weight in model.trainable_variables]
    assert len(set(paths)) < len(paths)
    model.compile(OPTIMIZERS["adam"](), "mse", run_eagerly=EAGER)
    rng = np.random.default_rng(0)
    model.train_on_batch(rng.normal(size=(8, 4)), rng.normal(size=(8, 2)))
    plan = tf_diet.plan(model, rate=0.4, criterion="random", seed=2)
    small = plan.apply(model)
    kept = list(plan.kept(model).values())
    pairs = zip(
        model.optimizer._momentums,
        small.optimizer._momentums,
        kept,
        strict=True,
    )
    for old, new, positions in pairs:
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(new.value),
            keras.ops.convert_to_numpy(old.value)[np.ix_(*positions)],
        )
