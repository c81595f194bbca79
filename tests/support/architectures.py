# SPDX-License-Identifier: MIT
"""The law on an architecture, ranked over the whole model.

The score of a unit is random and that of a group is too, so that groups are
cut in unequal shares, down to their minimum at the highest rates.
"""

import keras
import numpy as np
import zoo

import tf_diet
from tf_diet.graph.build import build
from tf_diet.pruning.mask import Masked
from tf_diet.testing import law_error, random_inputs, randomise

RATES = (0.1, 0.5, 0.9, 0.99)
# The stream between blocks is normalised over its channels and stays.
LEAST_SHARE = {"ConvNeXtTiny": 0.93}


def check_architecture(name, folder, rates=RATES):
    """Asserts the law at several rates, and what is removable.

    Args:
        name: of the architecture in `zoo`.
        folder: where a trimmed model may be saved.
        rates: shares of the parameters to remove; one of them 0.5.

    Returns:
        The channel graph.
    """
    model = zoo.make(name, zoo.FAMILIES[name])
    randomise(model)
    graph = build(model)
    masked = Masked(model, graph)
    assert graph.prunable_share >= LEAST_SHARE.get(name, 0.99)
    assert not graph.barriers
    x = random_inputs(model, batch=1)
    for seed, rate in enumerate(rates):
        plan = tf_diet.plan(
            model,
            rate=rate,
            criterion=zoo.Uneven(),
            scaling="none",
            seed=seed,
        )
        assert plan.reached >= rate or "minimum" in plan.not_reached
        assert law_error(model, plan.kept_units, x, graph, masked) <= 1e-5
        if rate == 0.5:
            check_trimmed(plan.apply(model), plan, graph, x, folder)
    return graph


def check_trimmed(small, plan, graph, x, folder):
    """It keeps every minimum and what was counted, saves and loads."""
    assert small.count_params() == plan.cost_after.parameters
    for group in graph.groups:
        assert len(plan.kept_units[group.name]) >= group.minimum
    small.save(folder / "small.keras")
    again = keras.models.load_model(folder / "small.keras")
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(again(x)),
        keras.ops.convert_to_numpy(small(x)),
    )
