# SPDX-License-Identifier: MIT
"""Audio synthesisers to put on a diet."""

from tf_diet.lazy_exports import attach

# Saved models open once this package is imported: these register their layers.
from tf_diet.models import (  # noqa: F401
    ddsp_network,
    sing_network,
    wavenet_network,
)

__getattr__, __dir__, __all__ = attach(__name__, __file__)
