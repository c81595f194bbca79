# SPDX-License-Identifier: MIT
"""Loops over samples and counts, compiled by Numba when they first run."""

from collections.abc import Callable
from typing import TypeVar

import numba
from absl import logging

_Loop = TypeVar("_Loop", bound=Callable[..., object])

# Sums may be taken in any order, which lets several be taken at once; it is
# the same order every time.
_ANY_ORDER = {"reassoc", "nsz"}


def compiled(loop: _Loop) -> _Loop:
    """Compiles a function of numbers and arrays, and keeps it for next time.

    What was compiled lies in `__pycache__`, where the user may not write there
    in their own cache directory. `NUMBA_CACHE_DIR` overrides both.
    """
    return _compiled(loop)


def compiled_sum(loop: _Loop) -> _Loop:
    """As `compiled`, and what is summed may be summed in any order."""
    return _compiled(loop, fastmath=_ANY_ORDER)


def _compiled(loop: _Loop, **options: object) -> _Loop:
    try:
        return numba.njit(loop, cache=True, nogil=True, **options)
    except RuntimeError as error:
        # Numba found no directory that it may write to.
        logging.warning(
            "%s is compiled anew in every process: %s. Set NUMBA_CACHE_DIR "
            "to a directory that can be written to.",
            loop.__name__,
            error,
        )
        return numba.njit(loop, nogil=True, **options)
