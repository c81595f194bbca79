# SPDX-License-Identifier: MIT
"""Sound: features, notes, synthesis and the losses that compare sounds."""

from tf_diet.lazy_exports import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
