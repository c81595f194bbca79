# SPDX-License-Identifier: MIT
"""The truths that estimators are held against, found in a second way."""

import numpy as np
import pytest
from information_panel import panel

pytestmark = pytest.mark.slow


def test_truths_are_means_of_the_density_ratio():
    wrong = {}
    for name, case in panel().items():
        if case.ratio is None:
            assert case.nats == 0
            continue
        x, y = case.draw(np.random.default_rng(7), 400_000)
        each = case.ratio(x, y)
        error = each.std() / np.sqrt(len(each))
        if abs(case.nats - each.mean()) > 4 * error + 1e-5:
            wrong[name] = case.nats, each.mean(), error
    assert not wrong
