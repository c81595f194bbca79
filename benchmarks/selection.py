# SPDX-License-Identifier: MIT
"""Time of planning: tens of thousands of units, every scope and scaling.

Run, alone on the machine, on one core:

    OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests/support \
        python benchmarks/selection.py

It writes docs/results/selection.md. Times are of the processor, the best of
three: of a whole `tf_diet.plan`, graph and magnitude included. Below stands
what share of an architecture's parameters can go at most with the default
floor, where 99 % is asked for.
"""

import argparse
import time
from pathlib import Path

import keras
import zoo
from keras import layers
from stamp import stamp

import tf_diet
from tf_diet.graph.build import build
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.scaling import scalings
from tf_diet.pruning.selection import scopes

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results/selection.md"
REPEATS = 3
DEPTH, WIDTH = 100, 500
BOUND = 10.0
ARCHITECTURES = (
    "ConvNeXtTiny",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "RegNetY200",
    "ResNet50",
    "VGG16",
)


def deep() -> keras.Model:
    """A hundred layers of 500 units."""
    x = keras.Input((WIDTH,))
    h = x
    for number in range(DEPTH):
        h = layers.Dense(
            WIDTH,
            activation="relu",
            kernel_initializer="ones",
            name=f"d{number}",
        )(h)
    return keras.Model(x, layers.Dense(10)(h))


def seconds(model: keras.Model, **how: object) -> float:
    """Processor seconds of a plan, the best of a few."""
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        tf_diet.plan(model, criterion="magnitude", **how)
        found.append(time.process_time() - started)
    return min(found)


def main() -> None:
    """Measures, prints and writes the page."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    model = deep()
    graph = build(model)
    units = sum(group.n_units for group in graph.groups)
    whole = graph.cost()
    budget = Budget(
        parameters=whole.parameters // 4,
        flops=whole.flops // 4,
        disk_bytes=whole.parameters,
        ram_bytes=whole.peak_activation_bytes,
    )
    cases = [
        (f"rate=0.8, {scope}", {"rate": 0.8, "scope": scope})
        for scope in scopes.names()
    ]
    cases += [
        (f"rate=0.8, {name}", {"rate": 0.8, "scaling": name})
        for name in scalings.names()
    ]
    cases.append(("a budget of all four bounds", {"to": budget}))
    lines = [
        "# Planning: time, and what the floor leaves",
        "",
        f"A plan for {units:,} units in {len(graph.groups)} groups "
        f"({whole.parameters:,} parameters), magnitude, one core. The bound "
        f"is {BOUND:.0f} seconds.",
        "",
        "| plan | seconds |",
        "|---|---|",
    ]
    for said, how in cases:
        lines.append(f"| {said} | {seconds(model, **how):.2f} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        "Asked to remove 99 % of the parameters, with at least 2 % of the "
        "units of every group left and without that floor (two units stay):",
        "",
        "| architecture | with the floor | without |",
        "|---|---|---|",
    ]
    for name in ARCHITECTURES:
        model = zoo.make(name, zoo.FAMILIES[name])
        shares = [
            tf_diet.plan(
                model,
                rate=0.99,
                criterion=zoo.Uneven(),
                scaling="none",
                limits=limits,
            ).reached
            for limits in (None, tf_diet.Limits(max_rate=1.0))
        ]
        lines.append(f"| {name} | {shares[0]:.4f} | {shares[1]:.4f} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        f"Measured by `benchmarks/selection.py`: {stamp()}, one core used.",
        "",
    ]
    PAGE.write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
