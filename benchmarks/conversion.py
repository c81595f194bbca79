# SPDX-License-Identifier: MIT
"""From Keras to LiteRT and TFLite Micro: many architectures, measured.

Run, alone on the machine:

    PYTHONPATH=tests/support python benchmarks/conversion.py

It takes a quarter of an hour on two cores, goes on where it stopped, and
writes docs/results/conversion.jsonl and conversion.md. Every architecture is
measured in a process of its own, two at a time; what it gave is kept in
build/conversion/. With `--quick` a few of them are converted in two
quantizations, and nothing but build/conversion/quick/ is written.

Each has random weights, biases and statistics. It is converted as it is and
after pruning 70 % of its parameters by magnitude, in every quantization, and
run in both interpreters: see `conversion_cells.py`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from conversion_cells import measure, subjects
from conversion_page import page
from stamp import stamp

from tf_diet.files import write_text
from tf_diet.progress import track

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "conversion"
RESULTS = ROOT / "docs" / "results"
QUICK = ("micro_speech, tiny convolution", "GuitarML LSTM 40", "Bidirectional")
# Packages that convert and run models.
PACKAGES = ("litert-quantizer", "ai-edge-litert", "tflite-micro")


def kept(name: str, quick: bool) -> Path:
    """Returns the file in which an architecture's figures are kept."""
    folder = KEPT / "quick" if quick else KEPT
    return folder / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}.json"


def apart(name: str, quick: bool, limit: float) -> str:
    """Measures one architecture in a process of its own.

    Returns:
        What went wrong, or "".
    """
    command = [sys.executable, __file__, "--one", name]
    if quick:
        command.append("--quick")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return f"not done after {limit:.0f} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it was killed"]
        return lines[-1][:300]
    return ""


def all_apart(names: Iterable[str], quick: bool, limit: float) -> list[str]:
    """Measures what is missing, two at a time; returns what went wrong."""
    missing = [name for name in names if not kept(name, quick).exists()]
    wrong = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = {pool.submit(apart, n, quick, limit): n for n in missing}
        done = as_completed(jobs)
        for job in track(done, "architectures", total=len(jobs)):
            if job.result():
                wrong.append(f"{jobs[job]}: {job.result()}")
                print(wrong[-1], file=sys.stderr, flush=True)
    return wrong


def main() -> int:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="these alone"
    )
    parser.add_argument("--quick", action="store_true", help="a few, roughly")
    parser.add_argument(
        "--page", action="store_true", help="only write the page, of what is"
    )
    parser.add_argument("--fresh", action="store_true", help="start again")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds for each"
    )
    options = parser.parse_args()
    if options.one:
        row = measure(options.one, options.quick) | {"stamp": stamp(*PACKAGES)}
        path = kept(options.one, options.quick)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(row, indent=1))
        return 0
    known = list(subjects())
    names = options.only or (QUICK if options.quick else known)
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"unknown: {unknown}; known: {known}")
    if options.fresh:
        for name in names:
            kept(name, options.quick).unlink(missing_ok=True)
    wrong: list[str] = []
    if not options.page:
        wrong = all_apart(names, options.quick, options.limit)
    rows, missing = [], []
    for name in known:
        path = kept(name, options.quick)
        if path.exists():
            rows.append(json.loads(path.read_text("utf-8")))
        else:
            missing.append(name)
    if options.quick:
        write_text(KEPT / "quick" / "page.md", page(rows, missing))
    else:
        lines = [json.dumps(row) + "\n" for row in rows]
        write_text(RESULTS / "conversion.jsonl", "".join(lines))
        write_text(RESULTS / "conversion.md", page(rows, missing))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
