# SPDX-License-Identifier: MIT
"""Models that were saved by earlier versions open."""

import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from tf_diet.models import (
    DDSPConfig,
    SINGConfig,
    WaveNetConfig,
    ddsp,
    sing_autoencoder,
    static_envelope,
    wavenet,
)

pytestmark = pytest.mark.slow

# Where the layers stood, by the first of the modules that they are in now.
BEFORE = {
    "tf_diet.models.ddsp_network": "tf_diet.models.ddsp",
    "tf_diet.models.wavenet_network": "tf_diet.models.wavenet",
}
LOADS = """
import sys
import keras
import tf_diet.models
for path in sys.argv[1:]:
    print(type(keras.models.load_model(path)).__name__)
"""


def renamed(value, found):
    """Puts back the modules that a configuration names."""
    if isinstance(value, list):
        return [renamed(item, found) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: renamed(item, found) for key, item in value.items()}
    if made.get("module") in BEFORE:
        found.add(made["registered_name"])
        made["module"] = BEFORE[made["module"]]
    return made


def aged(path, old):
    """Writes a `.keras` file as the modules were named before."""
    found = set()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(old, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "config.json":
                config = renamed(json.loads(data), found)
                data = json.dumps(config).encode()
            copy.writestr(name, data)
    return found


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    tiny = DDSPConfig.preset("tiny", instruments=2, latent=4, reverb=200)
    models = {
        "ddsp": ddsp(tiny),
        "static": static_envelope(tiny),
        "wavenet": wavenet(WaveNetConfig.preset("tiny", instruments=2)),
        "sing": sing_autoencoder(
            SINGConfig(channels=8, latent=4, samples=2048)
        ),
    }
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
    found = {
        name: aged(folder / f"{name}.keras", folder / f"old_{name}.keras")
        for name in models
    }
    assert found["ddsp"] == {"tf_diet>PitchScale", "tf_diet>LevelScale"}
    assert "tf_diet>StaticControls" in found["static"]
    assert found["wavenet"] == {"tf_diet>CodeWaves"}
    return folder, models


def test_files_that_name_modules_of_before_open(saved):
    folder, models = saved
    for name, model in models.items():
        old = keras.models.load_model(folder / f"old_{name}.keras")
        for one, other in zip(model.weights, old.weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_importing_the_models_is_enough(saved):
    folder, models = saved
    paths = [str(folder / f"old_{name}.keras") for name in models]
    done = subprocess.run(
        [sys.executable, "-c", LOADS, *paths],
        env=os.environ | {"KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["Functional"] * 4
