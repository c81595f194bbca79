# SPDX-License-Identifier: MIT
"""What the commands have to know of each kind of model.

`tf-diet train`, `evaluate` and `generate` speak to models through this; a kind
of your own is one class and one registration.
"""

# Each registers itself.
from tf_diet.models.families import ddsp, sing, wavenet  # noqa: F401
from tf_diet.models.families.base import (
    Family,
    Playing,
    Stage,
    families,
    register_family,
)

__all__ = ["Family", "Playing", "Stage", "families", "register_family"]
