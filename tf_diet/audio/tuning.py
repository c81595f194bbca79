# SPDX-License-Identifier: MIT
"""Pitches in equal temperament, A4 at 440 Hz."""

from typing import overload

import numpy as np
from numpy.typing import NDArray

from tf_diet.arrays import Floats


@overload
def hertz(pitch: float) -> float: ...
@overload
def hertz(
    pitch: NDArray[np.floating] | NDArray[np.integer],
) -> Floats: ...
def hertz(
    pitch: float | NDArray[np.floating] | NDArray[np.integer],
) -> float | Floats:
    """Returns the frequency of a MIDI pitch, a number or an array."""
    return 440 * 2 ** ((pitch - 69) / 12)
