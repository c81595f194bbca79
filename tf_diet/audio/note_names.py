# SPDX-License-Identifier: MIT
"""Names of notes, such as A4 or Bb2, and the MIDI numbers behind them."""

import re

_NOTE = re.compile(r"(?<![A-Za-z])([A-Ga-g])([#sb♯♭]?)(-?\d)(?!\d)")
_SEMITONES = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
_ALTERATIONS = {"": 0, "#": 1, "s": 1, "♯": 1, "b": -1, "♭": -1}


def note_number(text: str) -> int | None:
    """Returns the MIDI number of the first note named in a text.

    Args:
        text: such as "violin_A4", "Fs3" or "Bb2"; C4 is 60.

    Returns:
        The number, or None if no note is named.
    """
    return named_note(text)[1]


def named_note(text: str) -> tuple[str, int | None]:
    """Returns what stands before the first note named in a text, and that.

    Args:
        text: such as "violin_A4".

    Returns:
        "violin" and 69; "" and None if no note is named.
    """
    match = _NOTE.search(text)
    if match is None:
        return "", None
    letter, alteration, octave = match.groups()
    semitone = _SEMITONES[letter.upper()] + _ALTERATIONS[alteration]
    before = text[: match.start()].strip(" _-.")
    return before, 12 * (int(octave) + 1) + semitone
