# SPDX-License-Identifier: MIT
"""What was asked of conversion, held against the figures of `conversion.py`."""

from collections.abc import Iterator, Sequence
from typing import Any

from conversion_cells import MICRO, STEPS

from tf_diet.convert.fidelity import NOTABLE

Row = dict[str, Any]
EXACT = 1e-6
# Below this many multiply-accumulates a call, overhead is most of the time.
HEAVY = 100_000
# What a step of a WaveNet for amplifiers may need; issue of the project.
AMPLIFIER = "NAM standard WaveNet"
AMPLIFIER_BYTES, AMPLIFIER_OPERATORS, AMPLIFIER_LOAD = 45_000, 200, 0.1


def cell(row: Row, quantize: str, stage: str = "full") -> Row:
    """Returns one conversion; empty where it was not run."""
    return row["cells"].get(quantize, {}).get(stage, {})


def ratios(row: Row, quantize: str = "float32") -> tuple[float, float] | None:
    """Returns by how much fewer MAC a pruned model has, and its speed-up."""
    full, small = (cell(row, quantize, s) for s in ("full", "pruned"))
    if not small.get("macs") or not full.get("us") or not small.get("us"):
        return None
    return full["macs"] / small["macs"], full["us"] / small["us"]


def load_of(row: Row, quantize: str, stage: str) -> float | None:
    """Returns the time of a call over that of its sound, where known."""
    us = cell(row, quantize, stage).get("us")
    if us is None:
        return None
    return us * 1e-6 * row["sample_rate"] / row["hop"]


def _listed(names: Sequence[str]) -> str:
    return f": {'; '.join(names)}" if names else ""


def goals(
    rows: Sequence[Row], whole: Sequence[Row], steps: Sequence[Row]
) -> Iterator[str]:
    """Yields what was asked for and how far it is met, missed ones named."""
    meant = [row for row in rows if row["meant_as"] == "stream"]
    far = [r["name"] for r in steps if not r["stream"]["error"] <= EXACT]
    right = sum(row["refusal_is_right"] for row in meant)
    lost = [
        row["name"]
        for row in meant
        if "refused" in row["stream"] and not row["refusal_is_right"]
    ]
    worst = max((r["stream"]["error"] for r in steps), default=0.0)
    yield (
        f"- Step models (36 of 48 asked for): {len(steps)} of {len(meant)} "
        f"accepted; {right} of the others cannot stream, whatever is done, "
        f"and say why; refused although they could: {len(lost)}"
        f"{_listed(lost)}."
    )
    yield (
        f"- Each within 1e-6 of the model of whole sequences, over {STEPS:,} "
        "steps or as many as attention sees: "
        f"{len(steps) - len(far)} of {len(steps)}, the worst "
        f"{worst:.1e}{_listed(far)}."
    )
    made_whole = [row for row in whole if row["meant_as"] == "whole"]
    yield _converted(made_whole, "int8", "Whole models", "all asked for")
    yield _converted(
        made_whole, "int16x8", "Whole models", "all but one asked for"
    )
    for quantize in ("int8", "int16x8"):
        yield _converted(steps, quantize, "Step models", "no number asked for")
    yield _smaller(rows)
    for quantize in MICRO:
        lost = [
            r["name"]
            for r in rows
            if _right(r, quantize) and "arena" not in _on_micro(r, quantize)
        ]
        ran = sum(_right(r, quantize) for r in rows)
        yield (
            f"- TFLite Micro runs {ran - len(lost)} of {ran} files in "
            f"{quantize}{_listed(lost)}."
        )
    yield from _apart(rows)
    yield _realised(rows)
    yield from _amplifier(rows)


def _converted(
    rows: Sequence[Row], quantize: str, which: str, wanted: str
) -> str:
    run = [row for row in rows if cell(row, quantize)]
    lost = [row["name"] for row in run if not _right(row, quantize)]
    poor = [
        f"{row['name']} ({cell(row, quantize)['rms']:.2f})"
        for row in run
        if cell(row, quantize).get("rms", 0) > NOTABLE
    ]
    return (
        f"- {which} in {quantize} ({wanted}): {len(run) - len(lost)} of "
        f"{len(run)}{_listed(lost)}. Errors above {NOTABLE:.0%}: "
        f"{'; '.join(poor) or 'none'}."
    )


def _right(row: Row, quantize: str) -> bool:
    return "rms" in cell(row, quantize)


def _on_micro(row: Row, quantize: str) -> Row:
    return cell(row, quantize).get("micro", {})


def _smaller(rows: Sequence[Row]) -> str:
    pairs = [
        (f"{row['name']}{', pruned' * (stage == 'pruned')}", *sizes)
        for row in rows
        for stage in ("full", "pruned")
        if None
        not in (
            sizes := tuple(
                cell(row, q, stage).get("bytes") for q in ("float32", "int8")
            )
        )
    ]
    larger = [
        f"{name} ({small:,} B for {large:,})"
        for name, large, small in pairs
        if small >= large
    ]
    return (
        "- The int8 file is smaller than the float32 file (asked for in every "
        f"case): {len(pairs) - len(larger)} of {len(pairs)}, pruned ones "
        f"counted{_listed(larger)}."
    )


def _apart(rows: Sequence[Row]) -> Iterator[str]:
    found = []
    for quantize in MICRO:
        gaps = {
            r["name"]: _on_micro(r, quantize)["difference"]
            for r in rows
            if "difference" in _on_micro(r, quantize)
        }
        if gaps:
            worst = max(gaps, key=gaps.__getitem__)
            found.append(f"{quantize} {gaps[worst]:.1e} ({worst})")
    yield (
        f"- Largest difference of TFLite Micro from LiteRT: {'; '.join(found)}."
    )


def _realised(rows: Sequence[Row]) -> str:
    heavy = {
        row["name"]: both[1] / both[0]
        for row in rows
        if (both := ratios(row)) and cell(row, "float32")["macs"] > HEAVY
    }
    slow = [f"{name} ({r:.2f})" for name, r in heavy.items() if r < 0.5]
    return (
        "- Realised speed-up of at least half of the MAC ratio, above "
        f"{HEAVY:,} MAC a call: {len(heavy) - len(slow)} of {len(heavy)}"
        f"{_listed(slow)}."
    )


def _amplifier(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        int8 = cell(row, "int8", "pruned")
        if not row["name"].startswith(AMPLIFIER) or "us" not in int8:
            continue
        loads = [load_of(row, q, "pruned") for q in ("float32", "int8")]
        met = (
            int8["bytes"] <= AMPLIFIER_BYTES
            and int8["operators"] <= AMPLIFIER_OPERATORS
            and min(load for load in loads if load) <= AMPLIFIER_LOAD
        )
        said = ", ".join("-" if x is None else f"{x:.3f}" for x in loads)
        yield (
            f"- {row['name']}, pruned to {row['parameters']['pruned']:,} "
            f"parameters (at most {AMPLIFIER_BYTES:,} B in int8, "
            f"{AMPLIFIER_OPERATORS} operators and a real-time factor of "
            f"{AMPLIFIER_LOAD} asked for): {int8['bytes']:,} B, "
            f"{int8['operators']} operators, real-time factor {said} in "
            f"float32 and int8: {'met' if met else 'missed'}."
        )
