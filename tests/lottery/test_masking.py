# SPDX-License-Identifier: MIT
"""The paper's baseline: single weights are masked, nothing goes."""

import keras
import numpy as np
import pytest
import small_lottery as small

from tf_diet.errors import InputError
from tf_diet.graph.build import build
from tf_diet.lottery.masking import Mask, read_masks, removable
from tf_diet.lottery.resets import NoReset, Rewind
from tf_diet.lottery.schedules import ConstantRate, UntilBudget
from tf_diet.pruning.budget import Budget

pytestmark = pytest.mark.slow


def kernels(net):
    return {v.path: np.array(v) for v in net.trainable_variables if v.ndim > 1}


@pytest.mark.parametrize("scope", ["global", "local"])
def test_the_smallest_weights_are_zero_and_stay_zero(tmp_path, scope):
    done = small.fit(
        tmp_path, schedule=ConstantRate(0.4, 2), method=Mask(scope)
    )
    full, first, second = done.tickets
    before = kernels(full.load())
    total = full.line.parameters
    for ticket, sparsity in ((first, 0.4), (second, 0.64)):
        net = ticket.load()
        masks = read_masks(done.folder, ticket.line.round)
        gone = sum(int((~mask).sum()) for mask in masks.values())
        assert gone == pytest.approx(sparsity * total, abs=3)
        assert ticket.line.parameters == total - gone
        assert ticket.line.widths == full.line.widths
        for path, value in kernels(net).items():
            assert (value[~masks[path]] == 0).all()
            assert (value[masks[path]] != 0).all()
            if scope == "local":
                share = (~masks[path]).mean()
                assert share == pytest.approx(gone / 228, abs=0.05)
    masks = read_masks(done.folder, 1)
    if scope == "global":
        weak = np.concatenate([np.abs(v)[~masks[p]] for p, v in before.items()])
        strong = np.concatenate(
            [np.abs(v)[masks[p]] for p, v in before.items()]
        )
        assert weak.max() <= strong.min()
    later = read_masks(done.folder, 2)
    for path, mask in later.items():
        # What is gone does not come back.
        assert not (mask & ~masks[path]).any()


def test_masked_survivors_are_rewound_or_go_on(tmp_path):
    for name, reset in (("rewind", Rewind(epoch=1)), ("none", NoReset(1))):
        done = small.fit(tmp_path / name, rounds=1, method="mask", reset=reset)
        run = done.folder
        start = keras.models.load_model(run.early_path(1))
        source = run.early_path(0) if name == "rewind" else run.model_path(0)
        masks = read_masks(run, 1)
        expected = kernels(keras.models.load_model(source))
        for path, value in kernels(start).items():
            np.testing.assert_array_equal(value, expected[path] * masks[path])


def test_units_that_are_wholly_masked_are_counted():
    net = small.model()
    graph = build(net)
    masks = {path: np.ones(v.shape, bool) for path, v in kernels(net).items()}
    assert removable(graph, masks) == 0
    masks[net.layers[0].kernel.path][:, [2, 5]] = False
    masks[net.layers[3].kernel.path][[5, 7]] = False
    masks[net.layers[3].kernel.path][3, 1] = False
    # Units 2 and 5 of the first layer are not made, 7 is not read.
    assert removable(graph, masks) == 3


def test_what_masking_cannot_do(tmp_path):
    cases = [
        ({"schedule": UntilBudget(Budget(flops=50))}, "Bound parameters alone"),
        ({"method": Mask("isomorphic")}, "globally or locally"),
        ({"repair": "bias"}, "is not removed"),
        ({"method": "maks"}, "Did you mean 'mask'"),
    ]
    for number, (changes, message) in enumerate(cases):
        with pytest.raises(InputError, match=message):
            small.fit(tmp_path / str(number), **{"method": "mask", **changes})


def test_masking_until_so_many_weights_are_left(tmp_path):
    done = small.fit(
        tmp_path,
        schedule=UntilBudget(Budget(parameters=150), 0.4),
        method="mask",
        reset=Rewind(epoch=2),
        callbacks=[],
    )
    assert done.tickets[-1].line.parameters == 150
