# SPDX-License-Identifier: MIT
"""From Keras to step models, TFLite, TFLite Micro and C arrays."""

from tf_diet.lazy_exports import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
