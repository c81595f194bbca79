# SPDX-License-Identifier: MIT
"""The scores of a model's units."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tf_diet.arrays import Floats

UNSEEN = "no tensor shows them"


@dataclass(frozen=True, eq=False)
class Scores:
    """How much every unit of a model matters.

    Args:
        criterion: the name of the criterion.
        settings: what it was made with.
        values: for each group, a number a unit; infinite where it cannot be
            seen, and so must stay.
        alignment: for each group, what its units were compared with.
        reason: why some units could not be seen, if any.
    """

    criterion: str
    settings: Mapping[str, Any]
    values: Mapping[str, Floats]
    alignment: Mapping[str, str]
    reason: str = UNSEEN

    @cached_property
    def unseen(self) -> Mapping[str, int]:
        """The number of units that could not be seen, of groups with any."""
        counts = {n: int(np.isinf(v).sum()) for n, v in self.values.items()}
        return {name: count for name, count in counts.items() if count}

    def __repr__(self) -> str:
        rows = [
            f"  {name}: {len(v)} units, {v.min():.4g} to {v.max():.4g}"
            for name, v in self.values.items()
        ]
        units = sum(map(len, self.values.values()))
        title = f"<Scores of {units} units by {self.criterion}"
        return "\n".join([title, *rows]) + ">"
