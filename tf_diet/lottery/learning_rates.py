"""Learning rates of another height, or over another length."""

from typing import Any

import keras

from tf_diet.errors import InputError

# What Keras' schedules call their rates, and what they count in steps.
_RATES = ("initial_learning_rate", "end_learning_rate", "warmup_target")
_STEPS = ("decay_steps", "warmup_steps", "first_decay_steps")
_LISTED = {"values": True, "boundaries": False}


def slowed(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Multiplies the learning rate, or all rates of its schedule.

    Args:
        optimizer: changed in place.
        factor: below 1 for a lower rate.

    Raises:
        InputError: the schedule is not one of Keras' own.
    """
    _scale(optimizer, factor, 1.0)


def stretched(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Makes the learning-rate schedule, if there is one, take longer.

    Args:
        optimizer: changed in place.
        factor: above 1 for a longer training.

    Raises:
        InputError: the schedule is not one of Keras' own.
    """
    _scale(optimizer, 1.0, factor)


def _scale(optimizer: Any, height: float, length: float) -> None:
    config = optimizer.get_config()
    if "inner_optimizer" in config:
        _scale(optimizer.inner_optimizer, height, length)
        return
    held = config["learning_rate"]
    if not isinstance(held, dict):
        if height != 1:
            optimizer.learning_rate = float(held) * height
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
            settings[key] = value * height
        elif key in _STEPS:
            settings[key] = max(1, round(value * length))
        elif key in _LISTED:
            factor = height if _LISTED[key] else length
            whole = all(isinstance(item, int) for item in value)
            scaled = [item * factor for item in value]
            settings[key] = list(map(round, scaled)) if whole else scaled
    optimizer.learning_rate = type(schedule).from_config(settings)
