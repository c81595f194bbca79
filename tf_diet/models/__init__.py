# SPDX-License-Identifier: MIT
"""Audio synthesisers to put on a diet."""

from tf_diet.lazy_exports import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
