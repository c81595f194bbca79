# SPDX-License-Identifier: MIT
"""Registries: what ships is what they say, and what stands for what."""

import importlib
import os
import pkgutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

import tf_diet
from tf_diet import extensions
from tf_diet.errors import InputError
from tf_diet.registry import Registry

pytestmark = pytest.mark.slow

REGISTRIES = {
    name: thing
    for name, thing in vars(extensions).items()
    if isinstance(thing, Registry)
}


@pytest.fixture(scope="module", autouse=True)
def _everything_is_imported():
    for module in pkgutil.walk_packages(tf_diet.__path__, "tf_diet."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.mark.parametrize("name", REGISTRIES)
def test_the_names_that_ship_are_those_that_modules_register(name):
    registry = REGISTRIES[name]
    shipped = {
        key
        for key, entry in registry._entries.items()
        if str(getattr(entry, "__module__", "")).startswith("tf_diet")
    }
    assert shipped == set(registry.shipped)
    for key, module in registry.shipped.items():
        kind = registry.get(key)
        assert getattr(kind, "__module__", module) == module


@dataclass(frozen=True)
class Base:
    size: int = 3


@dataclass(frozen=True)
class Needy(Base):
    name: str = ""

    def __init__(self, name):
        object.__setattr__(self, "name", name)


def filled():
    registry = Registry("thing")
    registry.register()(Base)
    registry.register()(Needy)
    registry.register("double")(lambda x: 2 * x)
    return registry


def test_what_stands_for_an_instance():
    things = filled()
    for given in (
        "base",
        Base,
        Base(),
        {"class_name": "Base"},
        {"class_name": "base", "config": {"size": 3}},
    ):
        assert things.resolve(given, Base) == Base()
    assert things.resolve(
        {"class_name": "Base", "config": {"size": 5}}, Base
    ) == Base(5)
    assert things.resolve("double")(4) == 8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("bace", "Did you mean 'base'"),
        (3, "registered name or an instance"),
        (int, "registered name or an instance"),
        (None, "Known names: base"),
        ("needy", "Pass an instance: Needy(name)"),
        (Needy, "Pass an instance: Needy(name)"),
        ({"class_name": "Base", "config": {"sise": 1}}, "sise"),
        ({"size": 3}, "registered name or an instance"),
    ],
)
def test_what_stands_for_nothing(given, said):
    with pytest.raises(InputError) as caught:
        filled().resolve(given, Base)
    assert said in str(caught.value)


USERS = """
import keras
import tf_diet
from tf_diet.graph.rule_table import rule_for

@tf_diet.register_rule(keras.layers.Dense)
class Mine(tf_diet.Rule):
    def signature(self, call, inputs, fresh):
        raise NotImplementedError

@tf_diet.register_criterion("magnitude")
class Own(tf_diet.Criterion):
    needs = frozenset({"weights"})

    def score(self, group, seen):
        raise NotImplementedError

import tf_diet.criteria.weights
print(tf_diet.criteria.criteria.get("magnitude").__name__)
print(type(rule_for(keras.layers.Dense(3))).__name__)
print(type(rule_for(keras.layers.Conv1D(3, 3))).__name__)
"""


def test_what_users_register_before_ours_is_needed_stays():
    done = subprocess.run(
        [sys.executable, "-c", USERS],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["Own", "Mine", "ConvolutionRule"]


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        (0.2, tf_diet.ConstantRate(0.2)),
        ("polynomial", tf_diet.Polynomial()),
        (tf_diet.Polynomial, tf_diet.Polynomial()),
        (
            {"class_name": "Polynomial", "config": {"final": 0.5}},
            tf_diet.Polynomial(final=0.5),
        ),
    ],
)
def test_a_diet_takes_numbers_and_names_for_schedules(given, schedule):
    from tf_diet.lottery.schedules import schedule_of

    assert schedule_of(given) == schedule
