# SPDX-License-Identifier: MIT
"""The law on the families of keras.applications."""

import pytest
import zoo
from architectures import check_architecture

pytestmark = pytest.mark.slow

COUNTS = {"MobileNetV2": (9128, 25), "ResNet50": (11456, 37)}


@pytest.mark.parametrize("name", sorted(set(zoo.FAMILIES) - zoo.DEEP))
def test_law_at_every_rate(name, tmp_path):
    graph = check_architecture(name, tmp_path)
    units = sum(group.n_units for group in graph.groups)
    assert COUNTS.get(name, (units, len(graph.groups))) == (
        units,
        len(graph.groups),
    )
