# SPDX-License-Identifier: MIT
"""When, on what and with what a benchmark was run."""

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    """Returns the processor and the number of cores."""
    name = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        lines = facts.read_text("utf-8").splitlines()
        found = [line for line in lines if line.startswith("model name")]
        name = found[0].split(":")[1].strip() if found else name
    return f"{name}, {platform.machine()}, {os.cpu_count()} cores"


def versions(*packages: str) -> str:
    """Returns Python, ours, Keras with its backend, numpy and `packages`."""
    # Not above: rivals are measured where there is no Keras.
    import keras

    backend = keras.backend.backend()
    names = dict.fromkeys(("tf_diet", "keras", backend, "numpy", *packages))
    numbers = [f"{name} {version(name)}" for name in names]
    return ", ".join([f"Python {platform.python_version()}", *numbers])


def stamp(*packages: str) -> str:
    """Returns date, machine and versions, for the foot of a page."""
    return f"{date.today()}, {machine()}, {versions(*packages)}"
