# SPDX-License-Identifier: MIT
"""Copies what a demo measured into the README and docs/results.

    make demo
    .venv/bin/python tools/publish_demo.py demo_output

Rewrites the block between the two demo marks of README.md from
summary.json, and keeps the summary and the plot in docs/results.
"""

import argparse
import json
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results"
# Absolute, so that the package index shows it too.
RAW = "https://raw.githubusercontent.com/tf-diet/tf_diet/main"
START, END = "<!-- demo: start -->", "<!-- demo: end -->"


def table(summary: dict) -> str:
    """Returns the rounds and baselines as a Markdown table."""
    full = summary["full"]
    lines = [
        "| | parameters | weights left | MFLOPs / s of audio "
        "| validation error | test error | test error x |",
        "|---|---|---|---|---|---|---|",
    ]

    def row(name: str, figures: dict) -> str:
        flops = figures.get("flops_per_second")
        return (
            f"| {name} | {figures['parameters']:,} "
            f"| {figures['parameters'] / full['parameters']:.1%} "
            f"| {'-' if flops is None else f'{flops / 1e6:.1f}'} "
            f"| {figures['validation_error']:.3f} "
            f"| {figures['test_error']:.3f} "
            f"| {figures['test_error'] / full['test_error']:.3f} |"
        )

    lines.append(row("full model", full))
    lines += [row(f"round {r['round']}", r) for r in summary["rounds"]]
    for criterion, rounds in summary["compared"].items():
        lines.append(row(f"last round, {criterion}", rounds[-1]))
    lines.append(row("last widths from scratch", summary["scratch_baseline"]))
    lines.append(row("same, one training", summary["scratch_once_baseline"]))
    lines.append(row("static envelope", summary["static_baseline"]))
    return "\n".join(lines)


def deployment(summary: dict) -> str:
    """Returns what the written bytes did, as a Markdown table."""
    ticket = summary["ticket"]
    micro = ticket["micro"]
    lines = [
        "| written bytes | size | largest error | one frame here "
        "| real-time factor |",
        "|---|---|---|---|---|",
    ]
    rows = [(f"LiteRT {n}", r["bytes"], r) for n, r in ticket["tflite"].items()]
    rows.append(
        (f"TFLite Micro {micro['quantize']}", micro["flash_bytes"], micro)
    )
    for name, size, row in rows:
        lines.append(
            f"| {name} | {size:,} B | {row['max_error']:.1e} "
            f"| {row['latency_us']:.0f} us | {row['real_time_factor']:.4f} |"
        )
    lines.append(
        f"\nThe TFLite Micro arena is {micro['arena_bytes']:,} bytes as "
        "measured on a 64-bit machine (an upper bound for a board); errors "
        "are relative to the largest control, over a whole note with "
        "fed-back state. The real-time factor is the time of a frame over "
        "its duration: below 1 is faster than real time."
    )
    return "\n".join(lines)


def block(summary: dict) -> str:
    """Returns everything between the marks."""
    machine = summary["machine"]
    compared = len(summary["compared"])
    flags = " DEMO_FLAGS=--compare" if compared else ""
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    return "\n\n".join(
        [
            START,
            table(summary),
            "![test error against weights removed]"
            f"({RAW}/docs/results/error_against_weights.png)",
            f"The ticket of round {summary['ticket']['round']}, converted:",
            deployment(summary),
            f"Measured {machine['date']} in {summary['seconds']:.0f} s on "
            f"{machine['cores']} cores ({machine['system']}, "
            f"{machine['processor']}; {versions}), "
            f"seed {summary['seed']}"
            + (f", all {compared + 1} criteria together" if compared else "")
            + f". Regenerate with `make demo{flags}` and "
            "`tools/publish_demo.py`.",
            END,
        ]
    )


def main() -> None:
    """Publishes one demo."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("demo_output", type=Path)
    folder = parser.parse_args().demo_output
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    text = README.read_text("utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    README.write_text(before + block(summary) + after, "utf-8")
    for name in ("summary.json", "error_against_weights.png"):
        shutil.copy(folder / name, RESULTS / name)
    print(f"published {folder} into {README.name} and docs/results/")


if __name__ == "__main__":
    main()
