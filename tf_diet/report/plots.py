# SPDX-License-Identifier: MIT
"""Plots, drawn without a display."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_diet.files import replacing
from tf_diet.optional import require


def error_against_weights(
    path: str | os.PathLike[str],
    lines: Mapping[str, Sequence[Mapping[str, Any]]],
    levels: Mapping[str, float],
    points: Mapping[str, tuple[float, float]],
) -> Path:
    """Plots the test error multiplier against the weights removed.

    Args:
        path: the PNG or SVG to write.
        lines: per criterion, its rounds (weights_left, error_multiplier).
        levels: baselines without a size, as error multipliers.
        points: baselines with a size: weights left and error multiplier.

    Returns:
        The path.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="plot")
    matplotlib.use("Agg")
    plt = require("matplotlib.pyplot", extra="plot")
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, rounds in lines.items():
        axes.plot(
            [100 * (1 - r["weights_left"]) for r in rounds],
            [r["error_multiplier"] for r in rounds],
            marker="o",
            label=f"lottery tickets, {name.replace('_', ' ')}",
        )
    for (name, level), style in zip(levels.items(), ("--", ":"), strict=False):
        axes.axhline(level, color="grey", linestyle=style, label=name)
    for (name, (left, level)), mark in zip(
        points.items(), ("s", "^", "x"), strict=False
    ):
        axes.plot(100 * (1 - left), level, mark, color="black", label=name)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("weights removed (%)")
    axes.set_ylabel("test error / test error of the full model")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)
    return Path(path)
