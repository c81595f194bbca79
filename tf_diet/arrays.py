# SPDX-License-Identifier: MIT
"""Names for the types of arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
# Of audio, in single precision.
Floats32 = NDArray[np.float32]
Ints32 = NDArray[np.int32]
# Of Keras; what it is and what it can do depends on the backend.
BackendTensor = Any
