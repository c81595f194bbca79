# SPDX-License-Identifier: MIT
"""Mutual information of many units with one target, in nats.

Numpy, scipy and Numba only. Register your own with `register_estimator`: a
function of x (samples, units) and y that returns nats (units,). Both come to
it checked: finite, of one length, x as float32 or float64.
"""

from tf_diet.lazy_exports import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
