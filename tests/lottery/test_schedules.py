import numpy as np
import pytest

from tf_diet.errors import InputError
from tf_diet.lottery.schedules import (
    ConstantRate,
    Listed,
    Polynomial,
    schedules,
)


def course(schedule, steps):
    return [schedule(step) for step in range(steps)]


def test_polynomial_reaches_its_end_ever_more_slowly():
    pruned, sparsity = zip(*course(Polynomial(0.8, 4), 6), strict=True)
    assert pruned == (False, True, True, True, True, False)
    expected = [0.8 * (1 - (1 - k / 4) ** 3) for k in range(5)]
    np.testing.assert_allclose(sparsity[:5], expected)
    assert sparsity[4] == 0.8
    assert (np.diff(np.diff(sparsity[:5])) < 0).all()
    even = [s for _, s in course(Polynomial(0.8, 4, power=1), 5)]
    np.testing.assert_allclose(np.diff(even), 0.2)


def test_a_list_is_followed():
    course_of_it = course(Listed([0.5, 0.8]), 4)
    assert course_of_it == [
        (False, 0.0),
        (True, 0.5),
        (True, 0.8),
        (False, 0.8),
    ]


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantRate(rate=1.0),
        ConstantRate(rounds=0),
        Polynomial(final=1.0),
        Polynomial(rounds=0),
        Polynomial(power=0),
        Listed([]),
        Listed([0.5, 0.5]),
        Listed([0.5, 1.0]),
        Listed([-0.1]),
    ],
    ids=repr,
)
def test_impossible_schedules_say_so(schedule):
    with pytest.raises(InputError, match=r"A (listed )?schedule needs"):
        schedule(1)


def test_all_are_registered():
    assert {"constant_rate", "polynomial", "listed"} <= set(schedules.names())
