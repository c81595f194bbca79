# SPDX-License-Identifier: MIT
"""The order of calibration examples, made to depend on their content alone.

What is subsampled, and which examples share a batch, is then the same however
the data was shuffled.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from tf_diet.arrays import Array, Ints
from tf_diet.data.reader import MOST_BYTES, MOST_EXAMPLES

# So many examples are kept, however large one is.
_FEWEST = 512


def by_content(arrays: Sequence[Array], seed: int) -> Ints:
    """Returns the examples to use, in an order that looks random.

    Args:
        arrays: inputs and targets, one example a row.
        seed: of the order.

    Returns:
        Indices of at most 5,000 examples, and of no more than 512 MiB as long
        as that leaves 512 examples.
    """
    key = int(seed).to_bytes(16, "little", signed=True)
    names = [_digest(arrays, row, key) for row in range(len(arrays[0]))]
    order = sorted(range(len(names)), key=names.__getitem__)
    each = sum(array[:1].nbytes for array in arrays)
    most = int(np.clip(MOST_BYTES // max(each, 1), _FEWEST, MOST_EXAMPLES))
    return np.array(order[:most], np.int64)


def _digest(arrays: Sequence[Array], row: int, key: bytes) -> bytes:
    """A number that depends on an example alone, not on its precision."""
    digest = hashlib.blake2b(digest_size=16, key=key)
    for array in arrays:
        value = np.asarray(array[row])
        if value.dtype.kind == "f":
            value = value.astype(np.float32)
        digest.update(value.tobytes())
    return digest.digest()
