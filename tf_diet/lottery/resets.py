"""What the survivors of a round start the next training from."""

from collections.abc import Callable

import keras

from tf_diet.pruning.plan import PruningPlan
from tf_diet.registry import Registry

Reset = Callable[[PruningPlan, keras.Model, keras.Model], keras.Model]

resets: Registry[Reset] = Registry("reset")
register_reset = resets.register


@register_reset("rewind")
def rewind(
    plan: PruningPlan, trained: keras.Model, early: keras.Model
) -> keras.Model:
    """Survivors get their weights of the early epoch back.

    Args:
        plan: who goes.
        trained: the model at the end of its training.
        early: the same model at the early epoch, optimizer state included.

    Source:
        Frankle et al., "Stabilizing the Lottery Ticket Hypothesis", 2019.
    """
    return plan.apply(early)


@register_reset("reinit")
def reinit(
    plan: PruningPlan, trained: keras.Model, early: keras.Model
) -> keras.Model:
    """Survivors start from fresh weights: the control of the lottery."""
    return fresh_copy(plan.apply(early))


def fresh_copy(model: keras.Model) -> keras.Model:
    """Returns the model's architecture with fresh weights.

    A compiled model gives a compiled one, with a fresh optimizer.
    """
    copy = keras.models.clone_model(model)
    if model.compiled:
        copy.compile_from_config(model.get_compile_config())
    return copy
