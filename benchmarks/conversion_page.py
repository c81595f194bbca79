# SPDX-License-Identifier: MIT
"""The page that `conversion.py` writes of its figures."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from conversion_cells import LITERT, MICRO, OTHER
from conversion_goals import Row, cell, goals, load_of, ratios

from tf_diet.report.tables import plain_table

QUANTIZATIONS = (*MICRO, *LITERT)


def page(rows: Sequence[Row], missing: Sequence[str]) -> str:
    """Returns the page.

    Args:
        rows: what `conversion_cells.measure` returned, each with a stamp.
        missing: architectures that were not run.
    """
    whole = [row for row in rows if row["form"] == "whole"]
    steps = [row for row in rows if row["form"] == "stream"]
    return "\n".join(
        [
            "# From Keras to LiteRT and TFLite Micro",
            "",
            f"{len(rows)} architectures, {len(whole)} of them converted as "
            f"one whole call and {len(steps)} as a step with states; weights, "
            "biases and statistics are random. Figures are of the model as it "
            "is unless a table says pruned. Sequences of unknown length that "
            f"cannot become a step are converted whole, {OTHER} steps long.",
            *_not_run(missing),
            "",
            "- Errors are root mean squares of the differences from Keras, "
            "relative to that of the output. int8 and int16x8 are calibrated "
            "on normal noise and compared on it (64 calls, or 500 of a step in "
            "a row, its states fed back), the others on 8 random calls, or "
            "32 of a step.",
            "- Bytes are those of the file for a board "
            "(`TFLiteModel.for_board`), operators those of one call, the "
            "arena the smallest that TFLite Micro runs in on this 64-bit "
            "machine; a board [needs less](board_arena.md).",
            "- float16 and dynamic are for LiteRT alone: TFLite Micro has no "
            "kernels for them.",
            '- "no" stands for a refusal, with its reason [below](#refused).',
            "- Times are medians on one thread, the full and the pruned model "
            "in turn, while another architecture was measured beside it (load "
            f"of the machine: {_load(rows)}). TFLite Micro runs its reference "
            "kernels, which boards replace: its times are good for ratios.",
            "",
            "## Whole models",
            "",
            *_section(whole),
            "",
            "## Step models",
            "",
            *_section(steps),
            "",
            "## Refused",
            "",
            *_refusals(rows),
            "",
            "## Held against the goals",
            "",
            *goals(rows, whole, steps),
            "",
            "Measured by `benchmarks/conversion.py`: "
            + "; ".join(dict.fromkeys(row["stamp"] for row in rows))
            + ". All figures, also those of pruned models in every "
            "quantization, are in `conversion.jsonl`.",
            "",
        ]
    )


def _load(rows: Sequence[Row]) -> str:
    loads = sorted(row["load"] for row in rows)
    if not loads:
        return "-"
    middle = loads[len(loads) // 2]
    return f"{middle:.1f} in the median, {loads[-1]:.1f} at most"


def _not_run(missing: Sequence[str]) -> list[str]:
    if not missing:
        return []
    return ["", f"Not run: {'; '.join(missing)}."]


def _section(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        yield "None was run."
        return
    yield "Errors beside Keras."
    yield from ("", _table([_errors(row) for row in rows]), "")
    yield (
        "Bytes, operators and arena; and the largest difference between TFLite "
        "Micro and LiteRT over 20 calls, states fed back, relative to the "
        "largest output."
    )
    yield from ("", _table([_sizes(row) for row in rows]), "")
    yield from (_table([_micro(row) for row in rows]), "")
    yield (
        "Pruned by 70 % of the parameters, or as far as the layers' smallest "
        "widths allow. MAC: multiply-accumulates of a call. Realised: the "
        "speed-up in LiteRT (float32) over the ratio of MAC."
    )
    yield from ("", _table([_pruned(row) for row in rows]), "")
    yield "Microseconds a call, full -> pruned."
    yield from ("", _table([_times(row) for row in rows]))
    timed = [row for row in rows if row.get("sample_rate")]
    if timed:
        yield ""
        yield (
            "The same as a real-time factor: the time of a call over that of "
            "the sound that it makes."
        )
        yield from ("", _table([_real_time(row) for row in timed]))


def _table(rows: Sequence[Row]) -> str:
    return plain_table(rows, markdown=True)


def _told(found: Row, key: str, form: Callable[[Any], str]) -> str:
    if "refused" in found:
        return "no"
    return form(found[key]) if key in found else "-"


def _small(value: float) -> str:
    return f"{value:.0e}" if value else "0"


def _errors(row: Row) -> Row:
    found: Row = {"model": row["name"]}
    if row["form"] == "stream":
        found["step beside offline"] = _small(row["stream"]["error"])
    for quantize in QUANTIZATIONS:
        found[quantize] = _told(cell(row, quantize), "rms", _small)
    other = row.get("other", {}).get("full", {})
    if row["form"] == "stream":
        found["whole, float32"] = _told(other, "rms", _small)
    elif "refused" in row["stream"]:
        found["as a step, float32"] = "no"
    else:
        found["as a step, float32"] = _told(other, "rms", _small)
    return found


def _sizes(row: Row) -> Row:
    found: Row = {"model": row["name"]}
    found["operators"] = _told(cell(row, "float32"), "operators", str)
    for quantize in QUANTIZATIONS:
        found[f"{quantize} B"] = _told(
            cell(row, quantize), "bytes", "{:,}".format
        )
    return found


def _micro(row: Row) -> Row:
    found: Row = {"model": row["name"]}
    for name, key, form in (
        ("arena B", "arena", "{:,}".format),
        ("apart", "difference", _small),
    ):
        for quantize in MICRO:
            full = cell(row, quantize)
            inner = full if "refused" in full else full.get("micro", {})
            found[f"{quantize} {name}"] = _told(inner, key, form)
    return found


def _pruned(row: Row) -> Row:
    full, small = (cell(row, "float32", s) for s in ("full", "pruned"))
    sizes = row["parameters"]
    found: Row = {
        "model": row["name"],
        "parameters": f"{sizes['full']:,}",
        "pruned": _told(sizes, "pruned", "{:,}".format),
        "MAC": _told(full, "macs", "{:,}".format),
        "pruned MAC": _told(small, "macs", "{:,}".format),
        "float32 B": _told(small, "bytes", "{:,}".format),
        "int8 B": _told(cell(row, "int8", "pruned"), "bytes", "{:,}".format),
        "MAC ratio": "-",
        "speed-up": "-",
        "realised": "-",
    }
    both = ratios(row)
    if both:
        found["MAC ratio"], found["speed-up"] = (f"{r:.2f}" for r in both)
        found["realised"] = f"{both[1] / both[0]:.2f}"
    return found


def _times(row: Row) -> Row:
    found: Row = {"model": row["name"]}
    for name, inner in (("LiteRT", False), ("Micro", True)):
        for quantize in MICRO:
            pair = []
            for stage in ("full", "pruned"):
                at = cell(row, quantize, stage)
                if inner and "refused" not in at:
                    at = at.get("micro", {})
                pair.append(_told(at, "us", _time))
            said = pair[:1] if pair[0] in ("no", "-") else pair
            found[f"{name} {quantize}"] = " -> ".join(said)
    return found


def _time(us: float) -> str:
    return f"{us:.1f}" if us < 100 else f"{us:,.0f}"


def _real_time(row: Row) -> Row:
    found: Row = {"model": row["name"], "Hz": row["sample_rate"]}
    for quantize in MICRO:
        for stage in ("full", "pruned"):
            load = load_of(row, quantize, stage)
            name = f"{quantize}, pruned" if stage == "pruned" else quantize
            found[name] = "-" if load is None else f"{load:.3f}"
    return found


def _refusals(rows: Sequence[Row]) -> Iterator[str]:
    """Yields each reason, with the models and quantizations that it is of."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for reason, what in _refused(row):
            of = reasons.setdefault(reason, {}).setdefault(row["name"], [])
            of += [what] * (what not in of)
    if not reasons:
        yield "Nothing."
    for reason, models in reasons.items():
        said = "; ".join(f"{m} ({', '.join(w)})" for m, w in models.items())
        yield f"- {reason.rstrip('.')}: {said}."


def _refused(row: Row) -> Iterator[tuple[str, str]]:
    """Yields the reasons of one architecture, each with what it is of."""
    if "refused" in row["stream"]:
        yield row["stream"]["refused"], "as a step"
    if "not_pruned" in row:
        yield row["not_pruned"], "pruning"
    for quantize, stages in row["cells"].items():
        for stage, found in stages.items():
            said = f"{quantize}, pruned" if stage == "pruned" else quantize
            if "refused" in found:
                yield found["refused"], said
            elif "refused" in found.get("micro", {}):
                yield found["micro"]["refused"], f"{said}, TFLite Micro"
    other = row.get("other", {}).get("full", {})
    if "refused" in other:
        form = "whole" if row["form"] == "stream" else "as a step"
        yield other["refused"], f"{form}, float32"
