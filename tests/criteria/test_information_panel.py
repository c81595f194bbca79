"""The truths that estimators are held against, found in a second way."""

import numpy as np
import pytest
from information_panel import panel

PANEL = panel()


@pytest.mark.parametrize("name", PANEL)
def test_truth_is_the_mean_of_the_density_ratio(name):
    case = PANEL[name]
    if case.ratio is None:
        assert case.nats == 0
        return
    x, y = case.draw(np.random.default_rng(7), 400_000)
    each = case.ratio(x, y)
    error = each.std() / np.sqrt(len(each))
    assert case.nats == pytest.approx(each.mean(), abs=4 * error + 1e-5)
