# SPDX-License-Identifier: MIT
"""Pitches in equal temperament, A4 at 440 Hz."""

from typing import Any


def hertz(pitch: Any) -> Any:
    """Returns the frequency of a MIDI pitch, a number or an array."""
    return 440 * 2 ** ((pitch - 69) / 12)
