# SPDX-License-Identifier: MIT
"""How much a unit matters: criteria, and the data that they look at."""

from tf_diet.lazy_exports import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
