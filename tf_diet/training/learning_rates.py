# SPDX-License-Identifier: MIT
"""Learning rates that are lower, or take longer to fall."""

from typing import Any

import keras

from tf_diet.errors import InputError

# What Keras' schedules call their rates, and what they count in steps.
_RATES = ("initial_learning_rate", "end_learning_rate", "warmup_target")
_STEPS = ("decay_steps", "warmup_steps", "first_decay_steps")
_LISTED = {"values": True, "boundaries": False}


def scale(optimizer: Any, *, rate: float = 1.0, length: float = 1.0) -> None:
    """Multiplies the rates of an optimizer, and the steps of its schedule.

    Args:
        optimizer: a Keras optimizer, changed in place.
        rate: below 1 for a lower learning rate, or all rates of a schedule.
        length: above 1 for a longer training; without a schedule there is
            nothing to stretch.

    Raises:
        InputError: the schedule is not one of Keras' own.
    """
    config = optimizer.get_config()
    if "inner_optimizer" in config:
        scale(optimizer.inner_optimizer, rate=rate, length=length)
        return
    held = config["learning_rate"]
    if not isinstance(held, dict):
        if rate != 1:
            optimizer.learning_rate = float(held) * rate
        return
    schedule = keras.optimizers.schedules.deserialize(held)
    name = type(schedule).__name__
    known = getattr(keras.optimizers.schedules, name, None)
    if known is not type(schedule):
        raise InputError(
            "A learning-rate schedule of your own cannot be scaled. "
            f"Received: {name}. Use one of keras.optimizers.schedules, or "
            "pass the optimizer to use."
        )
    settings = schedule.get_config()
    for key, value in settings.items():
        if value is None:
            continue
        if key in _RATES:
            settings[key] = value * rate
        elif key in _STEPS:
            settings[key] = max(1, round(value * length))
        elif key in _LISTED:
            factor = rate if _LISTED[key] else length
            whole = all(isinstance(item, int) for item in value)
            scaled = [item * factor for item in value]
            settings[key] = list(map(round, scaled)) if whole else scaled
    optimizer.learning_rate = type(schedule).from_config(settings)
