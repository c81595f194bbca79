# SPDX-License-Identifier: MIT
"""What a sweep came to: one table and one plot, seeds put together."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_diet.files import replacing
from tf_diet.lottery.sweep import Sweep
from tf_diet.optional import require
from tf_diet.report.tables import plain_table

Rows = Sequence[Mapping[str, Any]]


def sweep_table(sweep: Sweep, *, markdown: bool = False) -> str:
    """Returns a line for every combination of settings.

    Args:
        sweep: finished or not.
        markdown: for a file, not for a terminal.

    Returns:
        A table of what sets the trials apart, the weights left and the error
        multiplier after the last round that all seeds have finished (mean,
        and the standard deviation over seeds), that of the same widths from
        scratch, and the fewest weights that keep the mean error within that
        of the full model. Best first.
    """
    lines: list[tuple[float, dict[str, Any]]] = []
    groups = _groups(sweep)
    told = _told_apart(list(groups))
    for settings, group in groups.items():
        curve = _curve(group)
        left, mean, spread = curve[-1]
        within = [left for left, mean, _ in curve if mean <= 1.0]
        scratch = [r["error_multiplier"] for r in group if r["scratch"]]
        line = {
            **{name: v for name, v in settings if name in told},
            "seeds": len({row["trial"] for row in group}),
            "weights left": f"{left:.1%}",
            "error x": f"{mean:.3f}",
            "+-": f"{spread:.3f}",
            "from scratch": f"{np.mean(scratch):.3f}" if scratch else "-",
            "fewest within x 1": f"{min(within):.1%}",
        }
        lines.append((mean, line))
    lines.sort(key=lambda pair: pair[0])
    return plain_table([line for _, line in lines], markdown=markdown)


def sweep_plot(path: str | os.PathLike[str], sweep: Sweep) -> Path:
    """Plots the error multiplier of every combination of settings.

    Args:
        path: the PNG or SVG to write.
        sweep: finished or not.

    Returns:
        The path. A line is the mean over seeds, its band one standard
        deviation to either side; a cross is the widths from scratch.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="plot")
    matplotlib.use("Agg")
    plt = require("matplotlib.pyplot", extra="plot")
    groups = _groups(sweep)
    told = _told_apart(list(groups))
    figure, axes = plt.subplots(
        figsize=(7, 4.2 + 0.12 * len(groups)), layout="constrained"
    )
    for settings, group in groups.items():
        left, mean, spread = np.array(_curve(group)).T
        label = ", ".join(str(v) for k, v in settings if k in told) or "all"
        (line,) = axes.plot(100 * (1 - left), mean, marker="o", label=label)
        axes.fill_between(
            100 * (1 - left),
            mean - spread,
            mean + spread,
            color=line.get_color(),
            alpha=0.15,
        )
        scratch = [row for row in group if row["scratch"]]
        if scratch:
            axes.plot(
                100 * (1 - np.mean([r["weights_left"] for r in scratch])),
                np.mean([r["error_multiplier"] for r in scratch]),
                "x",
                color=line.get_color(),
            )
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("weights removed (%)")
    axes.set_ylabel("error / error of the full model")
    figure.legend(loc="outside lower center", fontsize="small", ncols=2)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)
    return Path(path)


def _groups(sweep: Sweep) -> dict[tuple[tuple[str, str], ...], Rows]:
    """Returns the rows of each combination of settings but the seed."""
    groups: dict[tuple[tuple[str, str], ...], list[Mapping[str, Any]]] = {}
    for row in sweep.rows():
        settings = tuple(
            (name, str(value))
            for name, value in sweep.settings[row["trial"]].items()
            if name != "seed"
        )
        groups.setdefault(settings, []).append(row)
    return dict(groups)


def _curve(group: Rows) -> list[tuple[float, float, float]]:
    """Returns weights left, mean error and its spread, a round each.

    Of the rounds that all trials have finished.
    """
    rounds: dict[int, list[Mapping[str, Any]]] = {}
    for row in group:
        if not row["scratch"]:
            rounds.setdefault(row["round"], []).append(row)
    trials = len({row["trial"] for row in group})
    return [
        (
            float(np.mean([row["weights_left"] for row in several])),
            float(np.mean([row["error_multiplier"] for row in several])),
            float(np.std([row["error_multiplier"] for row in several])),
        )
        for _, several in sorted(rounds.items())
        if len(several) == trials
    ]


def _told_apart(groups: Sequence[Sequence[tuple[str, Any]]]) -> set[str]:
    """Returns the settings that are not the same everywhere."""
    values: dict[str, set[Any]] = {}
    for settings in groups:
        for name, value in settings:
            values.setdefault(name, set()).add(value)
    return {name for name, several in values.items() if len(several) > 1}
