# SPDX-License-Identifier: MIT
"""What of a model runs on a board: asked of its family."""

import keras

from tf_diet.models.families.base import Deployable, families


def deployable(model: keras.Model) -> Deployable:
    """Returns what of a model runs on a board, and what belongs to it.

    Args:
        model: of a registered family, pruned or not; of any other model it
            is the model itself.
    """
    for name in families.names():
        family = families.get(name)
        if family.owns(model):
            return family().deployable(model)
    return Deployable(model)
