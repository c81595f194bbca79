# SPDX-License-Identifier: MIT
"""The wheel holds everything and works far from the checkout."""

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import tf_diet

pytestmark = pytest.mark.slow

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


def test_links_of_the_readme_work_on_the_package_index():
    text = (ROOT / "README.md").read_text("utf-8")
    settings = (ROOT / "setup.cfg").read_text("utf-8")
    home = re.search(r"^url = (.*)$", settings, re.MULTILINE)[1]
    raw = home.replace("github.com", "raw.githubusercontent.com")
    links = re.findall(r"\]\(([^)]+)\)", text)
    links += re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)
    used = set(re.findall(r"\]\[([^\]]+)\]", text))
    assert used == set(re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE))
    assert len(links) > 10
    for link in links:
        (base,) = (
            base
            for base in (f"{home}/blob/main/", f"{raw}/main/")
            if link.startswith(base)
        )
        assert (ROOT / link.removeprefix(base)).exists(), link


def test_one_version():
    library = (ROOT / "micro" / "library.properties").read_text("utf-8")
    assert f"version={tf_diet.__version__}\n" in library
    assert version("tf_diet") == tf_diet.__version__
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version: {tf_diet.__version__}\n" in citation


def test_every_source_says_its_licence():
    folders = ("tf_diet", "tests", "benchmarks", "tools", "examples", "micro")
    found = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".pyi", ".h", ".cpp", ".ino")
    ]
    assert len(found) > 300
    for path in found:
        first = path.read_text("utf-8").splitlines()[:2]
        assert any("SPDX-License-Identifier: MIT" in x for x in first), path


def test_every_package_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "tf_diet").rglob("*.py"):
        assert str(path.relative_to(ROOT)) in names
    for path in (ROOT / "tf_diet").rglob("*.pyi"):
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
