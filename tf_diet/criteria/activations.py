# SPDX-License-Identifier: MIT
"""Criteria that look at what units do, not at what for."""

import numpy as np

from tf_diet.arrays import Floats
from tf_diet.criteria.criterion import Criterion, Seen
from tf_diet.extensions import register_criterion
from tf_diet.graph.groups import Group


@register_criterion()
class Activation(Criterion):
    """The mean absolute activation of a unit over the calibration data.

    Args:
        reduce: "sum", "mean" or "max" over the tensors that carry the unit.

    Source:
        Esling et al., "Diet deep generative audio models with structured
        lottery", DAFx-20, section 3.
    """

    needs = frozenset({"activations"})

    def score(self, group: Group, seen: Seen) -> Floats:
        """Scores the units of a group; see `Criterion.score`."""
        parts = [
            (site.units, np.abs(site.x).astype(np.float64).mean(axis=0))
            for site in seen.sites
        ]
        return self.combine(parts, group.n_units)
