# SPDX-License-Identifier: MIT
"""Kinds of arrays that audio is made of."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Tensor: TypeAlias = Any
"""Of Keras: what it is depends on the backend."""
