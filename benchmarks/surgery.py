# SPDX-License-Identifier: MIT
"""Time and memory of planning and surgery, and how graph time grows.

Run, alone on the machine:

    PYTHONPATH=tests/support python benchmarks/surgery.py

It writes docs/results/surgery.jsonl and surgery.md. The rivals need old or
other frameworks, so each is measured in an environment of its own and adds
its rows to the same file:

    pip install torch torchvision torch-pruning psutil rich
    python benchmarks/surgery.py --tool torch-pruning

    pip install "tensorflow==2.15.1" model-compression-toolkit psutil rich
    python benchmarks/surgery.py --tool mct

Each measurement runs in a process of its own: once to warm up, then three
times, of which the median is kept. Extra memory is the highest of the three
peaks of the resident set while planning and cutting, the smaller model
included, less what it was before; what earlier runs left is freed first.
"""

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil
from stamp import machine

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
REPEATS = 3
# Names of one architecture here and in torchvision, with the image size.
SUBJECTS = {
    "ResNet50": ("resnet50", 224),
    "EfficientNetB0": ("efficientnet_b0", 224),
    "EfficientNetV2L": ("efficientnet_v2_l", 480),
}
DEPTHS = (50, 101, 152, 200, 270, 350, 420)
BOUNDS = {"ResNet50": 1.5, "EfficientNetV2L": 8.0}
PACKAGES = {
    "tf_diet": ("tf_diet", "keras", "tensorflow"),
    "torch-pruning": ("torch-pruning", "torch"),
    "mct": ("model-compression-toolkit", "tensorflow"),
}


@contextmanager
def peak() -> Iterator[Callable[[], float]]:
    """Watches the resident set; gives its growth in MB so far."""
    gc.collect()
    if sys.platform == "linux":
        # Else growth into what was freed but not given back would not show.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    process = psutil.Process()
    before = process.memory_info().rss
    seen = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: (max(seen) - before) / 1e6
    finally:
        done.set()
        thread.join()


def tf_diet(name: str) -> dict:
    """Magnitude, global, half of the parameters."""
    import keras

    import tf_diet

    model = getattr(keras.applications, name)(weights=None)

    def once() -> None:
        tf_diet.prune(model, rate=0.5, criterion="magnitude")

    return _measured(once, model.count_params())


def torch_pruning(name: str) -> dict:
    """Half of the channels by global L1, classifier kept."""
    import copy

    import torch
    import torch_pruning as tp
    import torchvision

    other, size = SUBJECTS[name]
    original = getattr(torchvision.models, other)(weights=None).eval()
    example = torch.randn(1, 3, size, size)

    def once() -> None:
        model = copy.deepcopy(original)
        head = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
        tp.pruner.BasePruner(
            model,
            example,
            importance=tp.importance.MagnitudeImportance(p=1),
            global_pruning=True,
            pruning_ratio=0.5,
            ignored_layers=head[-1:],
        ).step()

    parameters = sum(p.numel() for p in original.parameters())
    return _measured(once, parameters)


def mct(name: str) -> dict:
    """Half of the weight bytes by the label-free Hessian, one sample."""
    import model_compression_toolkit as toolkit
    import numpy as np
    import tensorflow as tf

    _, size = SUBJECTS[name]

    def renamed(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        config = layer.get_config()
        return type(layer).from_config(
            {**config, "name": config["name"].replace("k", "K")}
        )

    # MCT 2.6.1 finds kernels by the letter k, which "block" has as well.
    model = tf.keras.models.clone_model(
        getattr(tf.keras.applications, name)(weights=None),
        clone_function=renamed,
    )
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, size, size, 3)).astype("float32")

    def once() -> None:
        toolkit.pruning.keras_pruning_experimental(
            model,
            toolkit.core.ResourceUtilization(
                weights_memory=model.count_params() * 4 * 0.5
            ),
            lambda: iter([[image]]),
            pruning_config=toolkit.pruning.PruningConfig(
                num_score_approximations=1
            ),
        )

    return _measured(once, model.count_params(), repeats=1, warm=False)


def _measured(
    once: Callable[[], None],
    parameters: int,
    repeats: int = REPEATS,
    warm: bool = True,
) -> dict:
    if warm:
        once()
    seconds, extra = [], []
    for _ in range(repeats):
        with peak() as grown:
            started = time.perf_counter()
            once()
            seconds.append(time.perf_counter() - started)
            extra.append(grown())
    return {
        "parameters": parameters,
        "seconds": statistics.median(seconds),
        "extra_mb": max(extra),
        "weights_mb": parameters * 4 / 1e6,
    }


def graph(name: str) -> dict:
    """Seconds to build the channel graph of a ResNet-RS."""
    import zoo

    from tf_diet.graph.build import build

    # Keras walks a model by recursion when it is made.
    sys.setrecursionlimit(20_000)
    model = zoo.make(name, 64)
    build(model)
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        built = build(model)
        seconds.append(time.perf_counter() - started)
    return {
        "calls": len(built.walk.calls),
        "seconds": statistics.median(seconds),
    }


MEASURES = {
    "tf_diet": tf_diet,
    "torch-pruning": torch_pruning,
    "mct": mct,
    "graph": graph,
}


def apart(tool: str, name: str, limit: float) -> dict:
    """Runs one measurement in a process of its own, so many seconds."""
    command = [sys.executable, __file__, "--tool", tool, "--one", name]
    row = {"tool": tool, "model": name}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {**row, "failed": f"not done after {limit:.0f} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it was killed"]
        return {**row, "failed": lines[-1][:200]}
    return {**row, **json.loads(done.stdout.splitlines()[-1])}


def stamp(tool: str) -> dict:
    """Says where and with what a row was measured."""
    packages = PACKAGES.get(tool, PACKAGES["tf_diet"])
    return {
        "date": str(date.today()),
        "machine": machine(),
        "versions": ", ".join(f"{p} {version(p)}" for p in packages),
    }


def page(rows: list[dict]) -> str:
    """Returns the tables."""
    lines = [
        "# Planning and surgery: time and memory",
        "",
        "Half of the parameters (tf_diet, MCT) or of the channels "
        "(Torch-Pruning) go; tf_diet and Torch-Pruning rank by magnitude over "
        "the whole model, MCT by its Hessian score. Extra memory is beyond "
        "the model itself. MCT ran beside other work on the same two cores.",
        "",
        "| model | tool | seconds | bound | extra MB | weights MB |",
        "|---|---|---|---|---|---|",
    ]
    tools = [r for r in rows if r["tool"] != "graph"]
    for name in SUBJECTS:
        for row in (r for r in tools if r["model"] == name):
            bound = BOUNDS.get(name, "-") if row["tool"] == "tf_diet" else "-"
            cells = (
                f"fails: {row['failed']} | {bound} | - | -"
                if "failed" in row
                else f"{row['seconds']:.2f} | {bound} | "
                f"{row['extra_mb']:.0f} | {row['weights_mb']:.0f}"
            )
            lines.append(f"| {name} | {row['tool']} | {cells} |")
    lines += [
        "",
        "## Graph time against the number of calls",
        "",
        "| model | calls | seconds | microseconds a call |",
        "|---|---|---|---|",
    ]
    for row in (r for r in rows if r["tool"] == "graph" and "calls" in r):
        each = 1e6 * row["seconds"] / row["calls"]
        lines.append(
            f"| {row['model']} | {row['calls']} | {row['seconds']:.3f} | "
            f"{each:.0f} |"
        )
    lines += ["", "Measured by `benchmarks/surgery.py`:", ""]
    said = {r["tool"]: r for r in rows}
    lines += [
        f"- {tool}: {row['date']}, {row['machine']}, {row['versions']}"
        for tool, row in said.items()
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tool", choices=MEASURES, default="tf_diet")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument(
        "--missing", action="store_true", help="keep rows that did not fail"
    )
    parser.add_argument(
        "--limit", type=float, default=600, help="seconds for each model"
    )
    options = parser.parse_args()
    if options.one:
        print(json.dumps(MEASURES[options.tool](options.one)))
        return
    store = RESULTS / "surgery.jsonl"
    rows = {}
    if store.exists():
        for line in store.read_text("utf-8").splitlines():
            row = json.loads(line)
            rows[row["tool"], row["model"]] = row
    wanted = [(options.tool, name) for name in SUBJECTS]
    if options.tool == "tf_diet":
        wanted += [("graph", f"ResNetRS{depth}") for depth in DEPTHS]
    for tool, name in wanted:
        if options.missing and "seconds" in rows.get((tool, name), {}):
            continue
        found = apart(tool, name, options.limit)
        rows[tool, name] = {**found, **stamp(tool)}
        print(json.dumps(rows[tool, name]), flush=True)
    text = "".join(json.dumps(row) + "\n" for row in rows.values())
    store.write_text(text, "utf-8")
    (RESULTS / "surgery.md").write_text(page(list(rows.values())), "utf-8")


if __name__ == "__main__":
    main()
