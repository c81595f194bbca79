# SPDX-License-Identifier: MIT
"""Models and plans that are carried to another process."""

import hashlib
import json
import subprocess
import sys

import graphs
import keras
import numpy as np
import pytest

import tf_diet
from tf_diet.testing import randomise

pytestmark = pytest.mark.slow

# First without tf_diet, which must not be needed to open what it made.
SCRIPT = """
import hashlib, json, pathlib, sys
import numpy as np

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tf_diet":
            raise ImportError("tf_diet is blocked")

sys.meta_path.insert(0, Blocked())
import keras

folder = pathlib.Path(sys.argv[1])
small = keras.models.load_model(folder / "small.keras")
x = np.load(folder / "x.npy")
np.save(folder / "y.npy", keras.ops.convert_to_numpy(small(x)))
small.fit(x, np.zeros((len(x), 4), "float32"), verbose=0)
assert not any(name.startswith("tf_diet") for name in sys.modules)
del sys.meta_path[0]

import tf_diet

model = keras.models.load_model(folder / "full.keras")
plan = tf_diet.PruningPlan.from_json((folder / "plan.json").read_text())
again = plan.apply(model)
values = [keras.ops.convert_to_numpy(v.value) for v in again.weights]
found = [hashlib.sha256(v.tobytes()).hexdigest() for v in values]
(folder / "hashes.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    folder = tmp_path_factory.mktemp("carried")
    keras.utils.set_random_seed(0)
    model = graphs.small_convnet()
    randomise(model)
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    model.train_on_batch(x, np.zeros((4, 4), "float32"))
    plan = tf_diet.plan(
        model,
        rate=0.5,
        criterion="random",
        limits=tf_diet.Limits(round_to=2, exact=False),
        seed=3,
    )
    small = plan.apply(model)
    model.save(folder / "full.keras")
    small.save(folder / "small.keras")
    (folder / "plan.json").write_text(plan.to_json())
    np.save(folder / "x.npy", x)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, model, small, plan


def test_the_trimmed_model_opens_and_trains_without_tf_diet(carried):
    folder, _, small, _ = carried
    expected = keras.ops.convert_to_numpy(small(np.load(folder / "x.npy")))
    np.testing.assert_allclose(
        np.load(folder / "y.npy"), expected, rtol=1e-5, atol=1e-6
    )


def test_a_plan_from_json_gives_the_same_bytes_elsewhere(carried):
    folder, model, small, plan = carried
    found = json.loads((folder / "hashes.json").read_text())
    here = [keras.ops.convert_to_numpy(v.value) for v in small.weights]
    assert found == [hashlib.sha256(v.tobytes()).hexdigest() for v in here]
    again = tf_diet.PruningPlan.from_json((folder / "plan.json").read_text())
    assert again == plan
    assert again.options.exact is False
    assert again.graph(model).fingerprint == plan.fingerprint


def test_what_was_saved_keeps_the_optimizers_state(carried):
    folder, _, small, _ = carried
    again = keras.models.load_model(folder / "small.keras")
    for one, other in zip(
        small.optimizer.variables, again.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(one.value),
            keras.ops.convert_to_numpy(other.value),
        )
