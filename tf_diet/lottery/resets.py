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


@register_reset("lr_rewind")
def lr_rewind(
    plan: PruningPlan, trained: keras.Model, early: keras.Model
) -> keras.Model:
    """Survivors keep their trained weights; the optimizer is rewound.

    Its step and its slots are those of the early epoch, so a learning-rate
    schedule repeats itself.

    Source:
        Renda et al., "Comparing Rewinding and Fine-tuning in Neural Network
        Pruning", ICLR 2020, section 3.
    """
    model = plan.apply(early)
    model.set_weights(plan.apply(trained).get_weights())
    return model


@register_reset("none")
def none(
    plan: PruningPlan, trained: keras.Model, early: keras.Model
) -> keras.Model:
    """Survivors and the optimizer go on as they were: fine-tuning.

    A learning-rate schedule goes on where it ended, which may be at zero.
    """
    return plan.apply(trained)


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
