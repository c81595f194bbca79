"""Memory of ranking a WaveNet of 40 layers on one-second clips.

Run `python tests/benchmarks/observing.py --width 32`. One process measures
one width: the most that it ever had resident is what is reported, Keras and
its backend included. Appends a row to docs/results/observing.jsonl.
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
from tf_diet.graph.build import build
from tf_diet.models.wavenet import WaveNetConfig, wavenet

RESULTS = Path(__file__).parents[2] / "docs/results/observing.jsonl"
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--run", type=int, default=512)
    row = measure(parser.parse_args())
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))
