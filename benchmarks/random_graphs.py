# SPDX-License-Identifier: MIT
"""Equivalence on thousands of random graphs, a chunk at a time.

Run `PYTHONPATH=tests/support nice -n 19 python benchmarks/random_graphs.py`; it
goes on where it stopped. Graph n is `strategies.seeded(n)` on every machine.
Each chunk is a line of `docs/results/random_graphs.jsonl`; the page beside it
is written anew after each.
"""

import argparse
import datetime
import json
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import keras
from stamp import versions
from strategies import seeded
from strategies_law import arrays, check

from tf_diet.testing import random_inputs

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "results"
# A fresh process now and then gives back what the backend has cached.
CHUNKS_A_PROCESS = 10


def read(path: Path) -> list[dict]:
    """Returns the finished chunks; half a line, if any, is cut off."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def run_chunk(start: int, count: int) -> dict:
    """Checks some graphs.

    Args:
        start: the number of the first.
        count: how many.
    """
    kinds, operations, barriers = Counter(), Counter(), Counter()
    failures, errors, units, refused = [], [0.0], [], []
    begun = time.perf_counter()
    for seed in range(start, start + count):
        graph = seeded(seed)
        kinds.update(graph.kinds())
        try:
            checked = check(graph, reload=seed % 5 == 0)
        except Exception as error:  # noqa: BLE001  (a failure is a result)
            if not runs(graph):
                refused.append(seed)
                continue
            kind = type(error).__name__
            # The program starts with a line of its own.
            text = str(error).split("\nimport")[0][:300]
            code = graph.code()
            failures.append(
                {"seed": seed, "error": f"{kind}: {text}", "code": code}
            )
            continue
        errors.append(checked.error)
        units.append(checked.units)
        operations += checked.operations
        barriers += checked.barriers
    return {
        "start": start,
        "count": count,
        "failures": failures,
        "refused": refused,
        "worst": max(errors),
        "units": sum(units),
        "without_units": sum(count == 0 for count in units),
        "kinds": dict(kinds),
        "operations": dict(operations),
        "barriers": dict(barriers),
        "seconds": round(time.perf_counter() - begun, 1),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def runs(graph: Any) -> bool:
    """Says whether Keras can run the model that a graph describes.

    It builds, but does not run, Softmax on masked sequences, for one.
    """
    model = graph.model()
    try:
        arrays(model, random_inputs(model, graph.seed))
    except Exception:  # noqa: BLE001  (whatever it is, it is not surgery)
        return False
    return True


def page(chunks: list[dict]) -> str:
    """Returns the results as Markdown."""
    operations, barriers = Counter(), Counter()
    for chunk in chunks:
        operations.update(chunk["operations"])
        barriers.update(chunk["barriers"])
    failures = [failure for chunk in chunks for failure in chunk["failures"]]
    count = sum(chunk["count"] for chunk in chunks)
    bare = sum(chunk["without_units"] for chunk in chunks)
    rows = [
        ("graphs", f"{count:,}"),
        ("failures", len(failures)),
        (
            "models that Keras itself builds and cannot run, left out",
            sum(len(chunk.get("refused", ())) for chunk in chunks),
        ),
        ("worst error", f"{max(chunk['worst'] for chunk in chunks):.1e}"),
        ("units per graph", f"{sum(c['units'] for c in chunks) / count:.1f}"),
        ("graphs in which nothing can go", f"{bare:,}"),
        ("layers and operations applied", f"{operations.total():,}"),
        ("seconds", f"{sum(chunk['seconds'] for chunk in chunks):,.0f}"),
        ("versions", "; ".join(sorted({c["versions"] for c in chunks}))),
        ("last chunk", chunks[-1]["date"]),
    ]
    lines = [
        "# Equivalence on random graphs",
        "",
        "Written by `benchmarks/random_graphs.py`. Each graph has random",
        "weights, statistics and inputs and loses random units at a rate of",
        "0.1 to 0.9, unequally across groups. Trimmed and masked outputs are",
        "compared relative to the largest, in float64 (bound 1e-10; 1e-6 with",
        "attention heads, whose scale Keras rounds to float32). Parameters are",
        "counted, the weights of the caller's model compared, and every fifth",
        "trimmed model is made again from its config.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "## What was in them",
        "",
        "| layer or operation | times | of them barriers |",
        "|---|---|---|",
        *(
            f"| {name} | {times:,} | {barriers[name] or ''} |"
            for name, times in sorted(operations.items())
        ),
    ]
    if failures:
        lines += ["", "## Failures", ""]
    for failure in failures:
        lines += [
            f"Graph {failure['seed']}: {failure['error']}",
            "",
            "```python",
            failure["code"].strip(),
            "```",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--chunk", type=int, default=50)
    parser.add_argument("--out", type=Path, default=FOLDER)
    flags = parser.parse_args()
    warnings.simplefilter("ignore")
    if keras.backend.backend() == "tensorflow":
        keras.config.set_floatx("float64")
    lines = flags.out / "random_graphs.jsonl"
    chunks = read(lines)
    for _ in range(CHUNKS_A_PROCESS):
        done = sum(chunk["count"] for chunk in chunks)
        if done >= flags.count:
            return
        chunk = run_chunk(done, min(flags.chunk, flags.count - done))
        with lines.open("a") as file:
            file.write(json.dumps(chunk) + "\n")
            file.flush()
            os.fsync(file.fileno())
        chunks.append(chunk)
        text = flags.out / "random_graphs.md"
        part = text.with_suffix(".part")
        part.write_text(page(chunks))
        part.replace(text)
        failed = sum(len(c["failures"]) for c in chunks)
        print(
            f"{done + chunk['count']} of {flags.count} graphs, "
            f"{failed} failures, {chunk['seconds']:.0f} s a chunk",
            flush=True,
        )
        keras.backend.clear_session()
    os.execv(sys.executable, [sys.executable, *sys.argv])


if __name__ == "__main__":
    main()
