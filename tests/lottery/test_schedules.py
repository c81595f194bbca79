# SPDX-License-Identifier: MIT
import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from tf_diet.errors import InputError
from tf_diet.lottery.schedules import (
    ConstantRate,
    Listed,
    Polynomial,
    Schedule,
    UntilBudget,
    UntilError,
    ask,
    schedule_of,
    schedules,
)
from tf_diet.pruning.budget import Budget


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


@dataclasses.dataclass
class Line:
    parameters: int
    validation_error: float = 1.0
    flops: int = 0
    disk_bytes: int = 0
    ram_bytes: int = 0

    @property
    def weights_left(self):
        return self.parameters / 1000


def test_until_the_error_passes_a_bound():
    schedule = UntilError(1.2, ConstantRate(0.5, 9))
    assert schedule.next([Line(1000)])[0]
    assert schedule.next([Line(1000), Line(500, 1.19)]) == (True, 0.75)
    assert not schedule.next([Line(1000), Line(500, 1.21)])[0]
    patient = UntilError(1.2, ConstantRate(0.5, 9), patience=1)
    course = [Line(1000), Line(500, 1.3)]
    assert patient.next(course)[0]
    assert patient.next([*course, Line(250, 1.1)])[0]
    assert not patient.next([*course, Line(250, 1.3)])[0]


def test_until_a_budget_is_met():
    budget = Budget(parameters=300)
    schedule = UntilBudget(budget, 0.5)
    assert schedule.next([Line(1000)]) == (True, 0.5)
    # The last round takes no more than it must.
    assert schedule.next([Line(1000), Line(500)]) == (True, budget)
    assert not schedule.next([Line(1000), Line(500), Line(300)])[0]
    second = UntilBudget(Budget(flops=100, calls_per_second=10), 0.5)
    assert second.next([Line(1000, flops=11)]) == (True, second.to)
    assert not second.next([Line(1000, flops=10)])[0]


class Constant:
    """As tfmot's, which answers in arrays and has no end."""

    def __call__(self, step):
        return np.array(step >= 1), np.array(0.4, "float32")


class Halving(Schedule):
    """Removes half of what is left as long as that lowers the error."""

    adaptive = True

    def __call__(self, step):
        return True, 1 - 0.5**step

    def next(self, history):
        better = [
            a.validation_error > b.validation_error
            for a, b in pairwise(history)
        ]
        return all(better), self(len(history))[1]


def test_a_schedule_of_ones_own_looks_at_the_rounds():
    own = schedule_of(Halving())
    assert own.adaptive
    assert own.next([Line(1000)]) == (True, 0.5)
    assert own.next([Line(1000), Line(500, 1.5)]) == (False, 0.75)
    assert own.budget() is None
    assert not ConstantRate().adaptive


def test_functions_are_schedules():
    def two_rounds(step):
        return step <= 2, step / 4

    given = schedule_of(two_rounds)
    assert not given.adaptive
    assert repr(given) == "two_rounds"
    assert [given.next([1] * n) for n in (1, 2, 3)] == [
        (True, 0.25),
        (True, 0.5),
        (False, 0.75),
    ]
    both = UntilError(1.2, two_rounds)
    assert both.adaptive
    assert both.next([Line(1000)]) == (True, 0.25)
    assert not both.next([Line(1000), Line(750), Line(500)])[0]


def test_what_has_a_next_of_its_own_is_asked_that():
    class Foreign:
        def __call__(self, step):
            raise NotImplementedError

        def next(self, history):
            return len(history) < 3, Budget(flops=5)

    foreign = schedule_of(Foreign())
    assert foreign.adaptive
    assert foreign.next([1]) == (True, Budget(flops=5))


def test_until_error_hands_its_budget_on():
    budget = Budget(flops=50)
    assert UntilError(1.2, UntilBudget(budget)).budget() == budget
    assert UntilError(1.2).budget() is None


def test_a_schedule_that_no_longer_rises_ends():
    assert ask(Constant(), [1])[0] is True
    assert ask(Constant(), [1, 2])[0] is False
    due, sparsity = ask(Polynomial(0.8, 4), [1, 2])
    assert due
    assert isinstance(sparsity, float)
