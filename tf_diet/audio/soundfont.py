# SPDX-License-Identifier: MIT
"""Which recording of a SoundFont is heard at a key: what notes share.

Neighbouring keys and most velocities play one recording at another speed and
level. A set that is split into parts must keep those together.
"""

import contextlib
import logging
import os
import re
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_diet import optional
from tf_diet.errors import InputError

DEFAULT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
INSTALL = "apt-get install fluidsynth fluid-soundfont-gm"
_SIDE = re.compile(r"\s*[-(_ ]?\(?[LR]\)?$")


@dataclass(frozen=True)
class Program:
    """One instrument of General MIDI.

    Args:
        number: from 0.
        name: snake case.
        family: of NSynth.
        lowest: the lowest key that the instrument plays.
        highest: the highest.
    """

    number: int
    name: str
    family: str
    lowest: int
    highest: int


def programs() -> dict[int, Program]:
    """Returns the instruments that `tf-diet render-notes` knows."""
    path = Path(__file__).with_name("general_midi.toml")
    return {
        int(number): Program(
            int(number), row["name"], row["family"], *row["range"]
        )
        for number, row in tomllib.loads(path.read_text("utf-8")).items()
    }


class Font:
    """The zones of a SoundFont.

    Args:
        path: of the file.
        font: what was read from it.
    """

    def __init__(self, path: Path, font: Any) -> None:
        self.path = path
        self.font = font

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Font":
        """Reads a SoundFont.

        Raises:
            InputError: the file is none.
            MissingDependencyError: the extra `render` is not installed.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(
                f"There is no SoundFont here. Received: {path}. Install one "
                f"({INSTALL}), or name another with --soundfont."
            )
        with warnings.catch_warnings():
            # Of a module that leaves Python's library in 3.13.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = optional.require("sf2utils.sf2parse", extra="render")
        with path.open("rb") as file, _quiet():
            try:
                font = module.Sf2File(file)
                # What is behind a zone is read when it is asked for.
                for preset in font.presets:
                    list(getattr(preset, "bags", ()))
                for instrument in font.instruments:
                    list(getattr(instrument, "bags", ()))
            except Exception as error:
                raise InputError(
                    "The file is no SoundFont that can be read. Received: "
                    f"{path}: {error!r}. Name an .sf2 file."
                ) from error
        return cls(path, font)

    def recordings(
        self, program: int, keys: Iterable[tuple[int, int]]
    ) -> dict[tuple[int, int], str]:
        """Returns the recording behind each key and velocity of a program.

        Args:
            program: of bank 0.
            keys: pairs of key and velocity.

        Returns:
            A name for each pair. Pairs that share a recording, also by way
            of a third, have one name; pairs that nothing is recorded for are
            left out.

        Raises:
            InputError: the font lacks the program.
        """
        found = [
            preset
            for preset in self.font.presets
            if getattr(preset, "bank", None) == 0
            and getattr(preset, "preset", None) == program
        ]
        if not found:
            raise InputError(
                f"The SoundFont has no program {program} in bank 0. Received: "
                f"{self.path}. Leave the program out."
            )
        with _quiet():
            heard = {
                pair: sorted(set(self._samples(found[0], *pair)))
                for pair in keys
            }
        return _joined({pair: names for pair, names in heard.items() if names})

    def _samples(self, preset: Any, key: int, velocity: int) -> Iterator[str]:
        """Yields the names of all samples that sound, sides put together."""
        for zone in _matching(preset.bags, key, velocity):
            if zone.instrument is None:
                continue
            for inner in _matching(zone.instrument.bags, key, velocity):
                if inner.sample is not None:
                    name = str(inner.sample.name)
                    yield _SIDE.sub("", name).strip() or name


def _matching(zones: Sequence[Any], key: int, velocity: int) -> list[Any]:
    return [
        zone
        for zone in zones
        if _within(key, zone.key_range)
        and _within(velocity, zone.velocity_range)
    ]


def _within(value: int, bounds: Sequence[int] | None) -> bool:
    return bounds is None or bounds[0] <= value <= bounds[1]


def _joined(
    heard: Mapping[tuple[int, int], Sequence[str]],
) -> dict[tuple[int, int], str]:
    """Gives all that hang together one name."""
    head: dict[str, str] = {}

    def first(name: str) -> str:
        while head.setdefault(name, name) != name:
            name = head[name]
        return name

    for names in heard.values():
        lowest, *others = sorted({first(name) for name in names})
        for name in others:
            head[name] = lowest
    return {pair: first(names[0]) for pair, names in heard.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the reader from remarking on loops that it finds odd."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
