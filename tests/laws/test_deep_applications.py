# SPDX-License-Identifier: MIT
"""The law on the families of hundreds of layers, at the rates that say most.

All four rates are in the table that benchmarks/applications.py makes.
"""

import pytest
import zoo
from architectures import check_architecture

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", sorted(zoo.DEEP))
def test_law(name, tmp_path):
    check_architecture(name, tmp_path, rates=(0.5, 0.99))
