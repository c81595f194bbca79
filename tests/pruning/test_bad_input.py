# SPDX-License-Identifier: MIT
"""Models, plans and limits that cannot be used: one clear error each."""

import json

import graphs
import keras
import pytest
from keras import layers, ops

import tf_diet
from tf_diet import Limits
from tf_diet.errors import InputError, PlanError, UnsupportedModelError


def around(layer):
    """A model with a layer between two others that can be pruned."""
    x = keras.Input((6,), name="x")
    h = layers.Dense(8, name="front")(x)
    h = layers.Dense(9, name="back")(layer(h))
    return keras.Model(x, layers.Dense(2, name="head")(h))


def prune(model, **settings):
    return tf_diet.prune(model, rate=0.3, criterion="magnitude", **settings)


def unbuilt():
    return prune(keras.Sequential([layers.Dense(4), layers.Dense(2)]))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4)

    def call(self, x):
        return self.dense(x)


def uncalled():
    return prune(Subclassed())


class Branching(Subclassed):
    """Decides on values, so that nothing can be said of it beforehand."""

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        y = self.dense(x)
        return y if float(ops.sum(x)) > 0 else -y


def unopened():
    model = Branching()
    model(keras.ops.ones((2, 6)))
    return prune(model)


def no_keras():
    return prune("model.keras")


class NoConfig(layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


def without_config():
    return prune(around(NoConfig(ops.relu, name="bare")))


@keras.saving.register_keras_serializable("tests")
class Spare(layers.Layer):
    """Stays closed, and one of its parts was built by hand."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.spare = layers.Dense(4), layers.Dense(3)

    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=(4,))
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x) * self.gain


def spare_part():
    layer = Spare(name="odd")
    layer.spare.build((None, 2))
    return prune(around(layer), allow_less=True)


def quantised():
    model = around(layers.Activation("relu"))
    model.get_layer("back").quantize("int8")
    return prune(model)


def adapted():
    model = around(layers.Activation("relu"))
    model.get_layer("back").enable_lora(2)
    return prune(model)


def lambda_layer():
    return prune(around(layers.Lambda(lambda x: x * 2, name="twice")))


def other_plan():
    plan = tf_diet.plan(graphs.sequential(), rate=0.3, criterion="magnitude")
    return plan.apply(around(layers.Activation("relu")))


def older_plan():
    model = around(layers.Activation("relu"))
    plan = tf_diet.plan(model, rate=0.3, criterion="magnitude")
    return plan.apply(plan.apply(model))


def broken_plan():
    plan = tf_diet.plan(graphs.sequential(), rate=0.3, criterion="magnitude")
    facts = json.loads(plan.to_json())
    facts["options"]["colour"] = "blue"
    return tf_diet.PruningPlan.from_json(json.dumps(facts))


def no_such_layer():
    return prune(around(layers.ReLU()), limits=Limits(keep=["fornt"]))


def foreign_layer():
    limits = Limits(keep=[layers.Dense(8, name="elsewhere")])
    return prune(around(layers.ReLU()), limits=limits)


def contradiction():
    limits = Limits(keep="front", max_rate={"front": 0.5})
    return prune(around(layers.ReLU()), limits=limits)


def unequal_tie():
    limits = Limits(tie=[("front", "back")])
    return prune(around(layers.ReLU()), limits=limits)


TABLE = {
    unbuilt: (UnsupportedModelError, "no input shape yet", "keras.Input"),
    uncalled: (UnsupportedModelError, "not been called", "keras.Model(inputs"),
    unopened: (UnsupportedModelError, "cannot be opened", "keras.Model(inputs"),
    no_keras: (UnsupportedModelError, "not a Keras model", "keras.Model(inp"),
    without_config: (PlanError, "'bare' cannot be made again", "get_config"),
    spare_part: (PlanError, "'odd' makes other weights", "Build in build()"),
    quantised: (UnsupportedModelError, "is quantised", "before it is"),
    adapted: (UnsupportedModelError, "'back' is a LoRA layer", "merge the"),
    lambda_layer: (PlanError, "'twice' cannot be made again", "registered"),
    other_plan: (PlanError, "for another model", "Make a plan for this"),
    older_plan: (PlanError, "for another model", "Make a plan for this"),
    broken_plan: (PlanError, "not a pruning plan", "PruningPlan.to_json"),
    no_such_layer: (InputError, "points to nothing", "Did you mean 'front'"),
    foreign_layer: (InputError, "points to nothing", "Layers with weights: "),
    contradiction: (InputError, "contradict each other", "Leave one out"),
    unequal_tie: (InputError, "equally many units", "Leave one out"),
}


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.__name__)
def test_says_what_is_wrong_what_it_got_and_what_to_do(case):
    kind, problem, remedy = TABLE[case]
    with pytest.raises(kind) as caught:
        case()
    text = str(caught.value)
    assert problem in text
    assert "Received: " in text
    assert remedy in text
    assert ".." not in text.replace("...", "")
    assert "\n" not in text
