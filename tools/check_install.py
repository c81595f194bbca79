# SPDX-License-Identifier: MIT
"""Installs the wheel and the sdist into fresh environments and uses them.

    python tools/check_install.py
    python tools/check_install.py --pythons python3.12 --extras none jax

Builds both, and for every Python that is there and every extra makes an
environment of its own: `none` has to say in one message what to install, the
others have to prune a model from Python and from the command line. Takes some
minutes and the network; not part of the tests.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("python3.11", "python3.12", "python3.13")
EXTRAS = ("none", "tensorflow", "jax", "audio", "convert")

BARE = """
import tf_diet
try:
    tf_diet.prune
except tf_diet.MissingDependencyError as error:
    assert "pip install 'tf_diet[tensorflow]'" in str(error), error
else:
    raise SystemExit("a backend was found")
"""
PRUNED = """
import tf_diet, keras, numpy as np
x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
inputs = keras.Input((8,))
h = keras.layers.Dense(16, activation="relu")(inputs)
model = keras.Model(inputs, keras.layers.Dense(2)(h))
small = tf_diet.prune(model, (x, x[:, :2]), rate=0.5)
assert small.count_params() <= model.count_params() // 2
model.save("model.keras")
"""
AUDIO = """
from tf_diet.audio import features
import numpy as np
print(features.loudness(np.zeros(16000, "float32"), 16000, 160).shape)
"""
CONVERTED = """
import numpy as np, tf_diet
import keras
inputs = keras.Input((8,))
model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
print(tf_diet.to_tflite(model))
"""
SCRIPTS = {
    "none": BARE,
    "tensorflow": PRUNED,
    "jax": PRUNED,
    "audio": AUDIO,
    "convert": CONVERTED,
}


def check(python: str, source: Path, extra: str, folder: Path) -> str:
    """Returns what went wrong, empty if nothing did."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    bin_ = folder / ("Scripts" if os.name == "nt" else "bin")
    wanted = str(source) + ("" if extra == "none" else f"[{extra}]")
    line: list[list[str]] = [
        [str(bin_ / "pip"), "install", "--quiet", wanted],
        [str(bin_ / "tf-diet"), "--version"],
        [str(bin_ / "tf-diet"), "--help"],
        [str(bin_ / "tf-diet"), "profile", "--boards"],
        [str(bin_ / "python"), "-c", SCRIPTS[extra]],
    ]
    if SCRIPTS[extra] == PRUNED:
        line.append(
            f"{bin_ / 'tf-diet'} prune model.keras --rate 0.5 "
            "--criterion magnitude -o small.keras".split()
        )
    environment = {k: v for k, v in os.environ.items() if "KERAS" not in k}
    environment |= {"KERAS_HOME": str(folder / "keras")}
    for words in line:
        done = subprocess.run(
            words,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return f"{' '.join(words[:3])}: {done.stderr[-1500:]}"
    return ""


def main() -> int:
    """Checks every pair and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pythons", nargs="+", default=PYTHONS)
    parser.add_argument("--extras", nargs="+", default=EXTRAS, choices=EXTRAS)
    args = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        dist = Path(temporary) / "dist"
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", dist, ROOT],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
        for python in args.pythons:
            if not shutil.which(python):
                print(f"{python}: not on this machine")
                continue
            for extra in args.extras:
                source = sdist if extra == "none" else wheel
                folder = Path(temporary) / "environment"
                wrong = check(python, source, extra, folder)
                print(f"{python} {extra}: {wrong or 'good'}", flush=True)
                failed += bool(wrong)
                shutil.rmtree(folder)
    return failed


if __name__ == "__main__":
    sys.exit(main())
