# SPDX-License-Identifier: MIT
"""How fast a model runs here, and whether it fits on a board."""

from tf_diet.lazy_exports import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
