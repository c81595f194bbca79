# SPDX-License-Identifier: MIT
import re

import numpy as np
import pytest

from tf_diet.criteria import (
    Criterion,
    Magnitude,
    MutualInformation,
    criteria,
    get,
    register_criterion,
)
from tf_diet.criteria.criterion import without_data
from tf_diet.errors import InputError
from tf_diet.registry import snake_case

SHIPPED = [
    "activation",
    "geometric_median",
    "gradient",
    "gradient_min",
    "information_gain",
    "input_information",
    "l2",
    "lamp",
    "magnitude",
    "mutual_information",
    "normalisation",
    "obd",
    "random",
    "taylor",
]


def test_what_ships():
    assert criteria.names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_names_are_those_of_the_classes(name):
    kind = criteria.get(name)
    assert name == snake_case(kind.__name__)
    assert isinstance(get(name), kind)
    assert get(name).name == name


def test_an_instance_is_as_good_as_a_name():
    mine = Magnitude(reduce="max")
    assert get(mine) is mine
    assert repr(mine) == "Magnitude(reduce='max')"
    with_function = MutualInformation(target_features=np.abs, method="gaussian")
    assert with_function.settings() == {
        "reduce": "max",
        "method": "gaussian",
        "target_features": "absolute",
        "lags": "(0,)",
    }


def test_which_criteria_need_no_data():
    assert without_data() == [
        "geometric_median",
        "l2",
        "lamp",
        "magnitude",
        "normalisation",
        "random",
    ]


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("mutual_infomation", "Did you mean 'mutual_information'"),
        ("tailor", "Known: activation, geometric_.*Did you mean 'taylor'"),
        (3, "registered name or an instance.*Received: 3"),
    ],
)
def test_unknown_criteria(identifier, message):
    with pytest.raises(InputError, match=message):
        get(identifier)


@pytest.mark.parametrize(
    "identifier",
    [
        "magnitude",
        Magnitude,
        Magnitude(),
        {"class_name": "Magnitude"},
        {"class_name": "magnitude", "config": {}},
    ],
)
def test_what_stands_for_a_criterion(identifier):
    assert repr(get(identifier)) == repr(Magnitude())


def test_scores_of_several_places_become_one():
    parts = [
        (np.array([0, 1, 1, -1]), np.array([1.0, 2.0, 4.0, 100.0])),
        (np.array([1, 0]), np.array([6.0, -3.0])),
    ]
    sums = Magnitude(reduce="sum").combine(parts, 3)
    np.testing.assert_array_equal(sums, [-2.0, 12.0, 0.0])
    means = Magnitude(reduce="mean").combine(parts, 3)
    np.testing.assert_array_equal(means, [-1.0, 4.0, 0.0])
    largest = Magnitude(reduce="max").combine(parts, 3)
    np.testing.assert_array_equal(largest, [1.0, 6.0, 0.0])
    np.testing.assert_array_equal(Magnitude().combine([], 2), [0.0, 0.0])
    with pytest.raises(InputError, match=r"reduce='median'.*sum, mean, max"):
        Magnitude(reduce="median").combine(parts, 3)


def test_own_criteria_are_filed_beside_the_shipped_ones():
    try:

        @register_criterion()
        class WidestPeak(Criterion):
            needs = frozenset({"activations"})

            def score(self, group, seen):
                peaks = [(s.units, s.x.max(axis=0)) for s in seen.sites]
                return self.combine(peaks, group.n_units)

        assert isinstance(get("widest_peak"), WidestPeak)
        assert "widest_peak" not in without_data()
        with pytest.raises(InputError, match=re.escape("widest_peak")):
            get("narrowest_peak")
    finally:
        criteria._entries.pop("widest_peak", None)
