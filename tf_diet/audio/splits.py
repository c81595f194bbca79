# SPDX-License-Identifier: MIT
"""Dealing what must stay together out to the parts of a set."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tf_diet.errors import InputError


def held_out(groups: int, share: float) -> int:
    """Returns how many groups a share is: one at least, or none of nothing."""
    return max(1, round(groups * share)) if share else 0


def dealt(
    groups: Sequence[str],
    valid: float,
    test: float,
    random: np.random.Generator,
) -> dict[str, str]:
    """Returns the part of each group: "valid", "test" or "train".

    Args:
        groups: what stays together, by name; sorted, for the same deal again.
        valid: the share that is held out for choosing.
        test: the share that is held out for judging.
        random: draws the order.
    """
    held = [held_out(len(groups), share) for share in (valid, test)]
    order = random.permutation(len(groups))
    parts = ["valid"] * held[0] + ["test"] * held[1]
    parts += ["train"] * (len(groups) - sum(held))
    return {groups[i]: part for i, part in zip(order, parts, strict=True)}


def dealt_within_range(
    pitches: Mapping[str, Sequence[int]],
    valid: float,
    test: float,
    random: np.random.Generator,
    instrument: str,
) -> dict[str, str]:
    """Returns the part of each recording of an instrument.

    Its lowest and its highest pitch are trained on; what is held out is
    spread over those between.

    Args:
        pitches: the MIDI numbers in each recording.
        valid: the share that is held out for choosing.
        test: the share that is held out for judging.
        random: draws which are held out.
        instrument: its name, for the error.

    Raises:
        InputError: there are too few recordings between the lowest and the
            highest pitch.
    """
    every = {pitch for some in pitches.values() for pitch in some}
    ends = {min(every), max(every)}
    inner = sorted(
        (name for name, some in pitches.items() if not ends & set(some)),
        key=lambda name: (min(pitches[name]), name),
    )
    counts = [held_out(len(pitches), share) for share in (valid, test)]
    if sum(counts) > len(inner):
        raise InputError(
            f"Too few recordings of {instrument} to hold some out. Received: "
            f"{len(pitches)} recordings, {len(inner)} of them between the "
            f"lowest and the highest pitch, for {counts[0]} of validation and "
            f"{counts[1]} of test. Add recordings, or pass smaller shares (0 "
            "for none)."
        )
    parts = dict.fromkeys(pitches, "train")
    parts.update(_spread(inner, counts, random))
    return parts


def _spread(
    inner: Sequence[str], counts: Sequence[int], random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Yields recordings and their parts, both parts from low to high."""
    places = [
        ((i + 0.5) / count, tie, part)
        for part, count, tie in zip(
            ("valid", "test"), counts, random.permutation(2), strict=True
        )
        for i in range(count)
    ]
    ranges = np.array_split(inner, max(1, len(places)))
    for (_, _, part), candidates in zip(sorted(places), ranges, strict=False):
        yield str(random.choice(candidates)), part
