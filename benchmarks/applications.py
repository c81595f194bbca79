# SPDX-License-Identifier: MIT
"""Equivalence on every architecture of keras.applications, as a table.

Run `PYTHONPATH=tests/support python benchmarks/applications.py`; it goes on
where it stopped and writes docs/results/applications.jsonl and .md. Each model
has random weights, biases and statistics; at each rate the scores are random
and uneven over the groups. Hundreds of random layers on end may blow a rounding
up, so what is off by more than float32's bound is measured in float64 again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import zoo
from stamp import stamp

import tf_diet
from tf_diet.files import write_text
from tf_diet.graph.build import build
from tf_diet.progress import track
from tf_diet.pruning.mask import Masked
from tf_diet.testing import law_error, random_inputs, randomise

RATES = (0.1, 0.5, 0.9, 0.99)
FOLDER = Path(__file__).resolve().parents[1] / "docs" / "results"
LARGER = {"Inception": 75, "Xception": 71}
# The bound of equivalence in float32.
BOUND = 1e-5


def measure(name: str) -> dict:
    """Returns one row of the table."""
    family = next((f for f in LARGER if name.startswith(f)), "")
    model = zoo.make(name, LARGER.get(family, 32))
    randomise(model)
    graph = build(model)
    masked = Masked(model, graph)
    x = random_inputs(model, batch=1)
    errors, reached = [], []
    for seed, rate in enumerate(RATES):
        started = time.perf_counter()
        plan = tf_diet.plan(
            model,
            rate=rate,
            criterion=zoo.Uneven(),
            scaling="none",
            seed=seed,
        )
        planned = time.perf_counter()
        small = plan.apply(model)
        applied = time.perf_counter()
        if rate == 0.5:
            seconds = [planned - started, applied - planned]
            assert small.count_params() == plan.cost_after.parameters
        del small
        errors.append(law_error(model, plan.kept_units, x, graph, masked))
        reached.append(plan.reached)
    return {
        "model": name,
        "parameters": model.count_params(),
        "share": graph.prunable_share,
        "units": sum(group.n_units for group in graph.groups),
        "groups": len(graph.groups),
        "barriers": len(graph.barriers),
        "errors": errors,
        "reached": reached,
        "seconds": seconds,
    }


def rounding(name: str) -> float:
    """Returns how far a rounding of the inputs moves the masked model.

    That is the model under the mask of the smallest rate, on inputs and on
    the next floats above them, relative to its largest output. No comparison
    of two ways to compute the same can do better.
    """
    model = zoo.make(name, 32)
    randomise(model)
    graph = build(model)
    masked = Masked(model, graph)
    plan = tf_diet.plan(
        model, rate=RATES[0], criterion=zoo.Uneven(), scaling="none"
    )
    alive = graph.alive(plan.kept_units)
    x = keras.tree.map_structure(
        lambda leaf: np.asarray(leaf, keras.config.floatx()),
        random_inputs(model, batch=1),
    )
    up = keras.tree.map_structure(lambda leaf: np.nextafter(leaf, np.inf), x)
    here, there = masked.outputs(alive, x), masked.outputs(alive, up)
    return max(
        float(np.abs(a - b).max() / np.abs(a).max())
        for a, b in zip(here, there, strict=True)
    )


def in_double(function: Callable, *arguments: Any) -> Any:
    """Calls a function under the policy float64."""
    keras.backend.clear_session()
    floatx = keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        return function(*arguments)
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy("float32")
        keras.backend.clear_session()


def table(rows: list[dict]) -> str:
    """Returns the page."""
    lines = [
        "# Equivalence on keras.applications",
        "",
        "Largest difference between trimmed and masked outputs, relative to "
        "the largest output, float32, at "
        + ", ".join(f"{rate:.0%}" for rate in RATES)
        + " of the parameters removed (or as far as the limits allow: 2 units "
        "and 2 % of a group stay). Share: weight elements that lie in a "
        "removable slice. Seconds: plan and apply at 50 %, on a machine that "
        "did other work beside it, so rather too many.",
        "",
        "| model | parameters | share | units / groups | barriers | worst "
        "error | removed at most | plan s | apply s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        plan, apply = row["seconds"]
        lines.append(
            f"| {row['model']} | {row['parameters'] / 1e6:.2f} M | "
            f"{row['share']:.3f} | {row['units']} / {row['groups']} | "
            f"{row['barriers']} | {max(row['errors']):.1e} | "
            f"{max(row['reached']):.1%} | {plan:.2f} | {apply:.2f} |"
        )
    again = [
        f"| {row['model']} | {max(row['errors']):.1e} | "
        f"{row['rounding'][0]:.1e} | {max(row['errors64']):.1e} | "
        f"{row['rounding'][1]:.1e} |"
        for row in rows
        if "errors64" in row
    ]
    if again:
        lines += [
            "",
            "Hundreds of random layers on end blow a rounding up. Where "
            "float32 is off by more than 1e-5, here is what the error comes to "
            "in float64, and beside each how far the masked model's own output "
            "moves when its inputs move to the next float:",
            "",
            "| model | float32 | a rounding | float64 | a rounding |",
            "|---|---|---|---|---|",
            *again,
        ]
    return "\n".join(
        [
            *lines,
            "",
            "ResNetRS and RegNet are not in Keras 3; they are built by "
            "`tests/support/zoo.py`.",
            "",
            f"Made by `benchmarks/applications.py`: {stamp()}.",
            "",
        ]
    )


def main() -> None:
    # Keras walks a model by recursion when it is made.
    sys.setrecursionlimit(20_000)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=zoo.names())
    parser.add_argument("--fresh", action="store_true", help="start again")
    options = parser.parse_args()
    store = FOLDER / "applications.jsonl"
    rows: dict[str, dict] = {}
    if store.exists() and not options.fresh:
        for line in store.read_text("utf-8").splitlines():
            row = json.loads(line)
            rows[row["model"]] = row
    for name in track(options.names, "architectures"):
        row = dict(rows.get(name, {}))
        if not row:
            keras.backend.clear_session()
            row = measure(name)
        if max(row["errors"]) > BOUND and "errors64" not in row:
            row["errors64"] = in_double(measure, name)["errors"]
        if max(row["errors"]) > BOUND and "rounding" not in row:
            row["rounding"] = [rounding(name), in_double(rounding, name)]
        if row != rows.get(name):
            print(json.dumps(row), flush=True)
        rows[name] = row
        lines = [json.dumps(r) + "\n" for r in rows.values()]
        write_text(store, "".join(lines))
    order = [rows[name] for name in zoo.names() if name in rows]
    write_text(FOLDER / "applications.md", table(order))


if __name__ == "__main__":
    main()
