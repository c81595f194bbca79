# SPDX-License-Identifier: MIT
"""How much sound one call of a model stands for, where it is about sound."""

from typing import Any

from tf_diet.errors import InputError


def of_model(
    model: Any, hop: int | None = None, sample_rate: int | None = None
) -> tuple[int | None, int | None]:
    """Returns samples a call and samples a second; None where unknown.

    Args:
        model: a step model or a converted one; what it says of itself counts
            where the caller says nothing.
        hop: samples of audio that one call stands for.
        sample_rate: samples of audio a second.

    Raises:
        InputError: a number is not a whole one above 0, or one of them
            is given and nobody knows the other.
    """
    check(hop, sample_rate)
    rate = sample_rate or getattr(model, "sample_rate", None)
    step = hop or getattr(model, "hop", None)
    if step is None and rate is not None:
        # A step model of sound reads a sample a time step.
        step = getattr(model, "frame", None)
    if rate is not None and step is not None:
        return step, rate
    if hop is not None or sample_rate is not None:
        raise InputError(
            "The time that a call stands for is hop / sample_rate, and one "
            f"of them is not known. Received: hop={step}, sample_rate={rate}. "
            "Pass both, such as hop=160, sample_rate=16000, or neither where "
            "the model is not about sound."
        )
    return None, None


def check(hop: int | None, sample_rate: int | None) -> None:
    """Refuses what is no number of samples.

    Raises:
        InputError: a number is not a whole one above 0.
    """
    for name, value in (("hop", hop), ("sample_rate", sample_rate)):
        if value is None:
            continue
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise InputError(
                f"The {name} must be a whole number above 0. Received: "
                f"{value!r}. Pass that of the audio, such as 16000 and 160, "
                "or leave it out where the model is not about sound."
            )
