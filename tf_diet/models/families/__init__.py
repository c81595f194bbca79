# SPDX-License-Identifier: MIT
"""What the commands have to know of each kind of model.

`tf-diet train`, `evaluate` and `generate` speak to models through this; a kind
of your own is one class and one registration.
"""

from tf_diet.lazy_exports import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
