# SPDX-License-Identifier: MIT
"""The wheel holds everything and works far from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)),
        ],
        check=True,
        cwd=folder,
    )
    (found,) = folder.glob("*.whl")
    return found


def test_every_package_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "tf_diet").rglob("*.py"):
        assert str(path.relative_to(ROOT)) in names
    for path in (ROOT / "micro").rglob("*.[hc]*"):
        assert f"tf_diet/{path.relative_to(ROOT)}" in names
    assert sum(name.endswith(".flac") for name in names) == 62
    assert "tf_diet/audio/notes/NOTICE.md" in names


def test_it_works_from_there(wheel, tmp_path):
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    script = (
        "import tf_diet, keras, pathlib;"
        "from tf_diet.convert.sketch import library_sources;"
        "from tf_diet.audio.sources import SHIPPED;"
        "here = pathlib.Path(tf_diet.__file__);"
        f"assert here.is_relative_to({str(target)!r});"
        "assert pathlib.Path(str(library_sources()))"
        f".is_relative_to({str(target)!r});"
        "assert len(list(SHIPPED.glob('*.flac'))) == 62;"
        "x = keras.Input((4,));"
        "h = keras.layers.Dense(9)(x);"
        "m = keras.Model(x, keras.layers.Dense(2)(h));"
        "print(tf_diet.prune(m, rate=0.5, criterion='magnitude')"
        ".count_params() < m.count_params())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env=os.environ | {"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "True"
