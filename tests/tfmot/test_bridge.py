# SPDX-License-Identifier: MIT
"""tfmot beside Keras 3, each in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SUPPORT = Path(__file__).parents[1] / "support"
needs_tfmot = pytest.mark.skipif(
    find_spec("tensorflow_model_optimization") is None,
    reason="the extra tfmot is not installed",
)

START = """
import sys
sys.path.insert(0, sys.argv[1])
import warnings
import keras
import numpy as np
import tf_diet
"""


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", START + script, str(SUPPORT), *arguments],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_importing_tf_diet_leaves_keras_alone():
    out = run(
        """
import os
import tf_diet.tfmot
import tensorflow as tf
print("TF_USE_LEGACY_KERAS" in os.environ, tf.keras.__version__[0])
print([name for name in ("tf_keras", "tensorflow_model_optimization")
       if name in sys.modules])
"""
    )
    assert out.split("\n")[:2] == ["False 3", "[]"]


@needs_tfmot
def test_a_twin_is_exact_to_the_last_bit():
    run(
        """
from tf_diet import tfmot
from tf_diet.testing import randomise
from keras import layers

def net(x, *made):
    h = x
    for layer in made:
        h = layer(h)
    return keras.Model(x, h)

two = keras.Input((12, 6))
branch = layers.Dense(6, "relu")(two)
models = [
    net(keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3)),
    net(keras.Input((12, 6)), layers.Conv1D(8, 3, padding="causal",
        dilation_rate=2, activation="tanh"), layers.BatchNormalization()),
    net(keras.Input((12, 6)), layers.GRU(7, return_sequences=True),
        layers.GRU(5)),
    net(keras.Input((12, 6)), layers.GRU(7, reset_after=False)),
    keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dropout(0.5),
        keras.Sequential([layers.Dense(3)])]),
    keras.Model(two, layers.Concatenate()([layers.Add()([two, branch]), two])),
]
for model in models:
    randomise(model)
    shape = model.inputs[0].shape[1:]
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype("float32")
    before = model.predict(x, verbose=0)
    twin = tfmot.twin(model)
    assert type(twin).__module__.startswith("tf_keras"), type(twin)
    after = twin.predict(x, verbose=0)
    np.testing.assert_array_equal(after, before, err_msg=str(model.layers))
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
"""
    )


@needs_tfmot
def test_what_has_no_twin_is_named():
    run(
        """
from tf_diet import tfmot
x = keras.Input((6,))
model = keras.Model(x, keras.ops.tanh(keras.layers.Dense(4)(x)))
try:
    tfmot.twin(model)
except tf_diet.DietError as error:
    assert "tanh" in str(error).lower(), error
else:
    raise AssertionError
"""
    )


@needs_tfmot
def test_schedules_of_tfmot_are_handed_over_as_they_are(tmp_path):
    run(
        """
import tensorflow_model_optimization as official
import small_lottery as small
from tf_diet import tfmot
from tf_diet.lottery.resets import NoReset

sparsity = official.sparsity.keras
rounds = small.fit(
    sys.argv[2] + "/rounds", callbacks=[], criterion="magnitude",
    schedule=sparsity.PolynomialDecay(0.0, 0.6, 0, 2, frequency=1),
)
left = [round(t.line.weights_left, 2) for t in rounds.tickets]
assert len(left) == 3 and left[2] <= 0.4 < left[1] < 1, left
constant = small.fit(
    sys.argv[2] + "/constant", callbacks=[], criterion="magnitude",
    schedule=sparsity.ConstantSparsity(0.5, begin_step=1, frequency=1),
)
left = [t.line.weights_left for t in constant.tickets]
assert len(left) == 2 and left[1] <= 0.5, left

ours = tfmot.GlobalMISchedule(0.6, begin_step=2, end_step=8, frequency=3)
assert isinstance(ours, sparsity.PruningSchedule)
again = tfmot.GlobalMISchedule(**ours.get_config()["config"])
assert type(again) is type(ours) and repr(again) == repr(ours)
gradual = small.fit(
    sys.argv[2] + "/gradual", callbacks=[], schedule=ours,
    reset="none", prune_every="step",
)
steps = [t.line.steps for t in gradual.tickets]
assert steps == [5, 3, 4], steps
assert gradual.tickets[-1].line.weights_left <= 0.4
""",
        str(tmp_path),
    )


@needs_tfmot
def test_masking_is_what_tfmot_does_to_the_twin(tmp_path):
    """The same weights go when both look at the same magnitudes."""
    run(
        """
import tensorflow_model_optimization as official
import small_lottery as small
from tf_diet import tfmot
from tf_diet.lottery.masking import Mask, read_masks
from tf_diet.lottery.resets import NoReset

keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.Input((6,)), keras.layers.Dense(16, name="a"),
    keras.layers.Dense(1, name="b")])
model.compile(keras.optimizers.SGD(0.0), "mse")
done = small.fit(
    sys.argv[2], net=model, callbacks=[], method=Mask("local"), epochs=1,
    schedule=lambda r: (r == 1, 0.5 * 112 / 129), reset=NoReset(epoch=0),
)
full, ticket = (t.load() for t in done.tickets)
masks = read_masks(done.folder, 1)

sparsity = official.sparsity.keras
twin = tfmot.twin(full)
pruned = sparsity.prune_low_magnitude(
    twin, pruning_schedule=sparsity.ConstantSparsity(0.5, 0, frequency=1))
import tf_keras
pruned.compile(tf_keras.optimizers.SGD(0.0), "mse")
pruned.fit(*small.data(0), epochs=1, verbose=0,
           callbacks=[sparsity.UpdatePruningStep()])
stripped = sparsity.strip_pruning(pruned)
for variable in ticket.trainable_variables:
    if len(variable.shape) == 2:
        layer = stripped.get_layer(variable.path.split("/")[-2])
        theirs = layer.get_weights()[0] != 0
        np.testing.assert_array_equal(theirs, masks[variable.path])
""",
        str(tmp_path),
    )
