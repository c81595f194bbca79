# SPDX-License-Identifier: MIT
"""Pitches in equal temperament, A4 at 440 Hz."""

from typing import overload

import numpy as np
from numpy.typing import NDArray


@overload
def hertz(pitch: float) -> float: ...
@overload
def hertz(
    pitch: NDArray[np.floating] | NDArray[np.integer],
) -> NDArray[np.float64]: ...
def hertz(
    pitch: float | NDArray[np.floating] | NDArray[np.integer],
) -> float | NDArray[np.float64]:
    """Returns the frequency of a MIDI pitch, a number or an array."""
    return 440 * 2 ** ((pitch - 69) / 12)
