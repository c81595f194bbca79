# SPDX-License-Identifier: MIT
"""Two devices in one training give what one gives, within rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import json
import keras
import small_lottery as small

def figures(run):
    return [(t.line.widths, t.line.validation_error) for t in run.tickets]

def lottery(name):
    return figures(small.fit(
        sys.argv[2] + "/" + name, rounds=1, 
        net=small.model(eager=False, plain=True),
        callbacks=[], criterion="magnitude"))
"""

JAX = """
import jax
assert len(jax.devices()) == 2
one = lottery("one")
keras.distribution.set_distribution(
    keras.distribution.DataParallel(auto_shard_dataset=False))
print(json.dumps([one, lottery("two")]))
"""

TENSORFLOW = """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
one = lottery("one")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    two = lottery("two")
print(json.dumps([one, two]))
"""


@pytest.mark.parametrize(
    ("backend", "script"), [("jax", JAX), ("tensorflow", TENSORFLOW)]
)
def test_two_devices_are_as_good_as_one(tmp_path, backend, script):
    done = subprocess.run(
        [
            *(sys.executable, "-c", SCRIPT + script),
            *(str(Path(__file__).parents[1] / "support"), str(tmp_path)),
        ],
        env=os.environ
        | {
            "KERAS_BACKEND": backend,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = json.loads(done.stdout.splitlines()[-1])
    for (widths, error), (same, near) in zip(one, two, strict=True):
        assert widths == same
        assert near == pytest.approx(error, rel=1e-3)
