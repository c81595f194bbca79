# SPDX-License-Identifier: MIT
"""What the command line costs before it has work to do, in CPU seconds.

Run, best alone on the machine, with another checkout of the repository to
compare with:

    git worktree add ../before f0e4b6e
    python benchmarks/startup.py --against ../before

It writes docs/results/startup.md. Each command line is run as a process of its
own, in turn with that of the other checkout; what is given is the median of
the CPU seconds (user and system) of the process, whatever else is running.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from stamp import stamp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results" / "startup.md"
BOUND = 0.5
LINE = {
    "round": 0,
    "parameters": 1000,
    "weights_left": 1.0,
    "flops": 2000,
    "disk_bytes": 5000,
    "ram_bytes": 100,
    "validation_error": 0.5,
    "test_error": None,
    "error_multiplier": 1.0,
}
COMMANDS = (
    "--help",
    "--version",
    "demo --help",
    "inspect --help",
    "prune --help",
    "lottery --help",
    "runs --help",
    "sweep --help",
    "convert --help",
    "profile --help",
    "render-notes --help",
    "train --help",
    "generate --help",
    "evaluate --help",
    "runs run",
    "profile --boards",
)


def cpu_seconds(checkout: Path, words: list[str], folder: Path) -> float:
    """Returns the CPU seconds of one command line."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "tf_diet", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user = after.ru_utime - before.ru_utime
    return user + after.ru_stime - before.ru_stime


def commit(checkout: Path) -> str:
    """Returns the commit that a checkout stands at."""
    done = subprocess.run(
        ["git", "-C", str(checkout), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def main() -> None:
    """Measures both checkouts and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    sides = {"here": ROOT}
    if args.against:
        sides = {"before": args.against.resolve(), **sides}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run").mkdir()
        (folder / "run" / "run.json").write_text('{"settings": {}}')
        (folder / "run" / "rounds.jsonl").write_text(json.dumps(LINE) + "\n")
        for command in COMMANDS:
            found: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(args.repeats):
                for side, checkout in sides.items():
                    words = command.split()
                    found[side].append(cpu_seconds(checkout, words, folder))
            medians = [statistics.median(found[side]) for side in sides]
            cells = " | ".join(f"{seconds:.2f}" for seconds in medians)
            rows.append((medians[-1], f"| `tf-diet {command}` | {cells} |"))
            print(rows[-1][1], flush=True)
    heads = [f"{side} ({commit(path)})" for side, path in sides.items()]
    slowest = max(seconds for seconds, _ in rows)
    lines = [
        "# What the command costs before it has work to do",
        "",
        "CPU seconds, user and system, of a whole process: the median of "
        f"{args.repeats} runs, the checkouts in turn. The bound is {BOUND} s; "
        f"the slowest here takes {slowest:.2f} s.",
        "",
        f"| command | {' | '.join(heads)} |",
        "|---|" + "---|" * len(heads),
        *(row for _, row in rows),
        "",
        f"Measured by `benchmarks/startup.py`: {stamp()}.",
        "",
    ]
    PAGE.write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
