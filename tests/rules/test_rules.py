# SPDX-License-Identifier: MIT
"""Every shipped layer rule passes the check that users get."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from layer_cases import CASES, ELSEWHERE, SEQUENCE

from tf_diet.errors import InputError
from tf_diet.graph.labels import Labels
from tf_diet.graph.rule import Rule, Signature
from tf_diet.graph.rule_table import register_rule, registered, rule_for
from tf_diet.graph.timing import StepForm
from tf_diet.testing import assert_law, check_rule

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", CASES)
def test_layer(name):
    make, *shapes = CASES[name]
    check_rule(make(), *shapes)


def test_every_layer_rule_has_a_case():
    shipped = {
        kind.__name__
        for kind in registered()
        if isinstance(kind, type) and kind.__module__.startswith("keras.")
    }
    assert shipped == set(CASES) | set(ELSEWHERE)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_case_elsewhere_is_there(name):
    file = Path(__file__).with_name(ELSEWHERE[name])
    assert name in file.read_text(encoding="utf-8")


OPERATIONS = {
    "binary": lambda h: ops.maximum(h, 0.1) + ops.power(ops.abs(h), 1.5),
    "concatenate": lambda h: ops.concatenate([h, ops.tanh(h)], axis=-1),
    "time concatenate": lambda h: ops.concatenate([h, h * 2], axis=1),
    "split in time": lambda h: ops.split(h, 3, axis=1)[1],
    "uneven split": lambda h: ops.split(h, [1, 4], axis=-1)[1],
    "slice": lambda h: h[:, 1:9, 2:5],
    "ellipsis": lambda h: h[..., -4:],
    "new axis": lambda h: h[:, None, :, :],
    "one step": lambda h: h[:, -1],
    "expand": lambda h: ops.expand_dims(h, 1),
    "squeeze": lambda h: ops.squeeze(ops.expand_dims(h, 1), 1),
    "transpose": lambda h: ops.transpose(h, (0, 2, 1)),
    "repeat": lambda h: ops.repeat(h, 2, axis=1),
    "repeat channels": lambda h: ops.repeat(h, 2, axis=-1),
    "pad": lambda h: ops.pad(h, ((0, 0), (2, 0), (0, 0))),
    "reduce": lambda h: ops.max(h, axis=1),
    "sum of units": lambda h: ops.sum(h, axis=-1, keepdims=True),
    "reshape": lambda h: ops.reshape(h, (-1, 24, 3)),
    "clip": lambda h: ops.clip(h, -0.5, 0.5),
    "where": lambda h: ops.where(h > 0, h, ops.exp(h)),
    "softmax": lambda h: ops.softmax(h, axis=1),
    "broadcast one": lambda h: h * layers.Dense(1)(h),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name):
    x = keras.Input((12, 4))
    h = OPERATIONS[name](layers.Dense(6)(x))
    model = keras.Model(x, layers.Dense(2)(h))
    for seed, rate in enumerate((0.3, 0.7)):
        assert_law(model, rate=rate, seed=seed)


def test_embedding():
    x = keras.Input((12,), dtype="int32")
    h = layers.Embedding(8, 6)(x)
    assert_law(keras.Model(x, layers.Dense(2)(h)))


@keras.saving.register_keras_serializable("tests")
class Gain(layers.Layer):
    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=(shape[-1],))

    def call(self, x):
        return x * self.gain


def test_users_rule_and_a_wrong_one():
    @register_rule(Gain)
    class Wrong(Rule):
        def signature(self, call, inputs, fresh):
            (x,) = inputs
            return Signature([x], {"gain": (np.roll(x.channels, 1),)})

    with pytest.raises(AssertionError, match="differ by"):
        check_rule(Gain(), SEQUENCE)

    @register_rule(Gain)
    class Right(Rule):
        def signature(self, call, inputs, fresh):
            (x,) = inputs
            return Signature([x], {"gain": (x.channels,)})

    check_rule(Gain(), SEQUENCE)


def test_a_function_is_a_rule():
    @register_rule(Gain, pointwise_in_time=True)
    def wrong(call, inputs, fresh):
        (x,) = inputs
        return Signature([x], {"gain": (np.roll(x.channels, 1),)})

    with pytest.raises(AssertionError, match="differ by"):
        check_rule(Gain(), SEQUENCE)

    @register_rule(Gain, pointwise_in_time=True)
    def right(call, inputs, fresh):
        (x,) = inputs
        return Signature([x], {"gain": (x.channels,)})

    check_rule(Gain(), SEQUENCE)
    # The decorator gives the function back, to be used by other rules.
    assert right(None, [Labels.none(2)], None).outputs[0].rank == 2
    rule = rule_for(Gain())
    assert rule.pointwise_in_time
    assert not rule.loops_over_time

    register_rule(Gain)(right)
    assert not rule_for(Gain()).pointwise_in_time


def test_a_function_may_say_how_it_sees_time():
    def in_time(call, axes):
        return StepForm(outputs=axes, span=2, left=1)

    @register_rule(Gain, in_time=in_time)
    def rule(call, inputs, fresh):
        return Signature([inputs[0]])

    form = rule_for(Gain()).in_time(None, (1,))
    assert (form.span, form.left, form.plain) == (2, 1, False)
    with pytest.raises(InputError, match="Write a method in_time"):
        register_rule(Gain, in_time=in_time)(OwnRule)


class NoRule:
    pass


class OwnRule(Rule):
    def signature(self, call, inputs, fresh):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("rule", "pointwise", "said"),
    [
        (NoRule, False, "Received: the class NoRule"),
        ("dense", False, "Received: 'dense'"),
        (OwnRule(), False, "Pass a function"),
        (OwnRule, True, "Write pointwise_in_time = True in the class"),
    ],
)
def test_what_is_no_rule_is_refused(rule, pointwise, said):
    before = rule_for(Gain())
    with pytest.raises(InputError) as caught:
        register_rule(Gain, pointwise_in_time=pointwise)(rule)
    assert said in str(caught.value)
    assert rule_for(Gain()) is before


def test_rule_for_something_else_is_refused():
    with pytest.raises(InputError, match="layer class or a name"):
        register_rule("Dense")
