# SPDX-License-Identifier: MIT
"""Memory of ranking a WaveNet of 40 layers on one-second clips.

Run `python benchmarks/observing.py --width 32`. One process measures
one width: the most that it ever had resident is what is reported, Keras and
its backend included. Appends a row to docs/results/observing.jsonl and writes
observing.md beside it.
"""

import argparse
import json
import resource
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from stamp import machine, versions

from tf_diet.criteria import MutualInformation, observation, rank
from tf_diet.files import write_text
from tf_diet.graph.build import build
from tf_diet.models.wavenet_network import WaveNetConfig, wavenet

RESULTS = Path(__file__).parents[1] / "docs/results/observing.jsonl"
RATE, HOP = 16000, 160


def clips(number, classes, features):
    rng = np.random.default_rng(0)
    codes = rng.integers(classes, size=(number, RATE + 1), dtype=np.int32)
    inputs = {"codes": codes[:, :-1]}
    if features:
        shape = (number, RATE // HOP, features)
        inputs["conditioning"] = rng.random(shape, dtype=np.float32)
    return inputs, codes[:, 1:]


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(arguments):
    config = WaveNetConfig(
        cycles=4,
        layers=10,
        channels=arguments.width,
        skip_channels=2 * arguments.width,
        conditioning=80,
        hop=HOP,
    )
    model = wavenet(config)
    graph = build(model)
    data = clips(arguments.clips, config.classes, config.conditioning)
    before = resident()
    # Fewer clips are run where time is short; as many positions are kept.
    observation.EXAMPLES = arguments.run
    start = time.perf_counter()
    scores = rank(model, graph, data, MutualInformation())
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "layers": config.cycles * config.layers,
        "width": config.channels,
        "parameters": model.count_params(),
        "clips": arguments.clips,
        "clips_run": min(arguments.run, arguments.clips),
        "units": sum(map(len, scores.values.values())),
        "gib_before": round(before, 2),
        "gib_peak": round(resident(), 2),
        "seconds": round(time.perf_counter() - start),
        "machine": machine(),
        "versions": versions(),
    }


def page(rows):
    """Returns the table."""
    lines = [
        "# Memory of observation",
        "",
        "Mutual information of every unit of a WaveNet of 40 layers, on "
        "clips of one second with one code a sample. As many positions are "
        "kept from few clips as from many, so fewer are run where time is "
        "short. GiB resident in all, the backend included; the goal is 2. "
        "Written by `benchmarks/observing.py`.",
        "",
        "| width | parameters | units | clips run | before | peak | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['width']} | {row['parameters']:,} | {row['units']:,} | "
            f"{row['clips_run']} of {row['clips']:,} | {row['gib_before']} | "
            f"**{row['gib_peak']}** | {row['seconds'] / 60:.0f} |"
        )
    said = dict.fromkeys(
        f"{row['date']}, {row['machine']}, {row['versions']}" for row in rows
    )
    return "\n".join([*lines, "", *(f"- {text}" for text in said), ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--run", type=int, default=512)
    row = measure(parser.parse_args())
    rows = []
    if RESULTS.exists():
        rows = map(json.loads, RESULTS.read_text("utf-8").splitlines())
    rows = [*rows, row]
    text = "".join(json.dumps(each) + "\n" for each in rows)
    write_text(RESULTS, text)
    write_text(RESULTS.with_suffix(".md"), page(rows))
    print(json.dumps(row))
