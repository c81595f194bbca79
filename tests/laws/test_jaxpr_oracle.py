# SPDX-License-Identifier: MIT
"""Rules and jaxpr must part the weights in the same units."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"


@pytest.fixture(scope="module")
def told():
    """What the oracle says, in a process of its own: it needs JAX."""
    folders = [str(SUPPORT), str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "jaxpr_labels.py")],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": os.pathsep.join(folders),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_jaxpr_parts_weights_as_the_rules_do(told):
    bug = told.pop("rolled_beta")
    assert bug["wrong"]
    assert all("beta" in place for place in bug["wrong"])
    assert {name: said["wrong"] for name, said in told.items()} == {
        name: [] for name in told
    }


def test_it_has_seen_enough(told):
    assert told["mobilenet"]["units"] == 9128
    assert len(told) > 80
    assert sum(said["units"] > 0 for said in told.values()) > 0.85 * len(told)
