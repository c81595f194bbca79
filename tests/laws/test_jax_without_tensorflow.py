# SPDX-License-Identifier: MIT
"""The core on JAX, with the import of TensorFlow blocked."""

import os
import subprocess
import sys

import graphs
import pytest

pytestmark = pytest.mark.slow

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tf_keras"):
            raise ImportError(f"{name} is blocked by this test")

sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
import graphs, keras, numpy as np, tf_diet
from tf_diet.testing import assert_law
assert keras.backend.backend() == "jax"
"""

LAW = """
for name in sys.argv[2:]:
    model = dict(graphs.SMALL, **graphs.CLAIMED)[name]()
    assert_law(model, rate=0.5)
    print("done:", name)
"""

CORE = """
from tf_diet.audio.losses import MultiScaleSpectralLoss
folder = sys.argv[2]
model = graphs.ddsp_synthesiser()
rng = np.random.default_rng(0)
x = {
    "f0": rng.uniform(200, 800, (8, 20, 1)).astype("float32"),
    "loudness": rng.uniform(-50, 0, (8, 20, 1)).astype("float32"),
    "instrument": np.eye(2, dtype="float32")[rng.integers(0, 2, (8, 20))],
}
y = rng.uniform(-0.3, 0.3, (8, 3200)).astype("float32")
model.compile("adam", MultiScaleSpectralLoss((512, 128)))
for criterion in ("mutual_information", "information_gain", "activation"):
    plan = tf_diet.plan(model, (x, y), rate=0.4, criterion=criterion)
    assert plan.reached >= 0.4
    print("done:", criterion)
run = tf_diet.LotteryDiet(
    tf_diet.ConstantRate(0.3, 1), reset=tf_diet.Rewind(epoch=1)
).fit(
    model, (x, y), epochs=2, validation_data=(x, y), folder=folder
)
full, ticket = run.tickets
assert ticket.line.weights_left <= 0.7
assert ticket.load().count_params() == ticket.line.parameters
print("done: lottery")
"""


def run(script, *arguments):
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error::UserWarning", "-c"),
            *(BLOCK + script, os.path.dirname(graphs.__file__), *arguments),
        ],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.count("done:")


@pytest.mark.parametrize(
    "names",
    [
        ("ddsp_decoder", "tiny_wavenet", "recurrent_mix"),
        ("mobilenet_v2", "resnet50"),
    ],
    ids=["audio", "images"],
)
def test_law(names):
    assert run(LAW, *names) == len(names)


def test_ranking_training_and_lottery(tmp_path):
    assert run(CORE, str(tmp_path / "run")) == 4
