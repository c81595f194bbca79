# SPDX-License-Identifier: MIT
"""A bridge to the TensorFlow Model Optimization toolkit, on request only.

Importing tfmot turns `tf.keras` into Keras 2 for the whole process, so nothing
in tf_diet imports this module, and this module imports tfmot when it is called.
What tfmot does to Keras 2 models it can do to the twin of a Keras 3 one.

    from tf_diet import tfmot

    twin = tfmot.twin(model)  # a tf_keras model with the same outputs
    schedule = tfmot.GlobalMISchedule(0.9, begin_step=200, end_step=2000)
    diet = tf_diet.LotteryDiet(schedule, reset="none", prune_every="step")
    diet.fit(...)
"""

import inspect
import sys
from typing import Any

import keras
import numpy as np

from tf_diet.errors import UnsupportedModelError
from tf_diet.graph.calls import Call, Slot, replay
from tf_diet.graph.walk import walk
from tf_diet.optional import require

# What Keras 2 makes from its own registry; the twin's weights are set anyway.
_LEFT_OUT = ("initializer", "regularizer", "constraint")


def twin(model: keras.Model) -> Any:
    """Returns a Keras 2 model that computes the same.

    Args:
        model: functional or Sequential, of layers alone that Keras 2 has too;
            nested models come out flat. It is not touched.

    Returns:
        A `tf_keras.Model` with the model's weights: its outputs are equal to
        the last bit where both run the same kernels. Not compiled, without
        regularisers and constraints.

    Raises:
        UnsupportedModelError: an operation has no counterpart.
        MissingDependencyError: tf_keras is not installed.

    Example:
        >>> pruned = tfmot.sparsity.keras.prune_low_magnitude(twin(model))
    """
    keras2 = require("tf_keras", extra="tfmot")
    walked = walk(model)
    inputs = [
        keras2.Input(
            walked.tensors[key].shape[1:],
            batch_size=walked.tensors[key].shape[0],
            dtype=walked.tensors[key].dtype,
            name=name,
        )
        for key, name in zip(walked.inputs, walked.input_names, strict=True)
    ]
    made: dict[int, Any] = {}

    def apply(call: Call, args: Any, kwargs: Any) -> Any:
        key = id(call.operation)
        if key not in made:
            made[key] = _layer(keras2, call)
        return made[key](*args, **call.told(kwargs))

    known = replay(walked, inputs, apply)

    def pack(structure: Any) -> Any:
        def value(slot: Slot) -> Any:
            return known[slot.key]

        return keras.tree.map_structure(value, structure)

    copy = keras2.Model(
        pack(walked.input_structure),
        pack(walked.output_structure),
        name=model.name,
    )
    for call in walked.calls:
        _set_weights(call, made[id(call.operation)])
    return copy


def _layer(keras2: Any, call: Call) -> Any:
    """Returns the Keras 2 layer of a call.

    Raises:
        UnsupportedModelError: there is none.
    """
    layer = call.operation
    name = type(layer).__name__
    kind = getattr(keras2.layers, name, None)
    ours = getattr(keras.layers, name, None)
    if kind is None or ours is not type(layer):
        raise UnsupportedModelError(
            f"Keras 2 has no counterpart of {call.path!r}. Received: {name}. "
            "A twin can be made of Keras' own layers alone: use Add() in "
            "place of +, Reshape() in place of ops.reshape."
        )
    config = layer.get_config()
    taken = _arguments(kind)
    settings = {
        key: value
        for key, value in config.items()
        if key in taken and not key.endswith(_LEFT_OUT)
    }
    settings["dtype"] = layer.dtype_policy.name
    if "layer" in settings:
        inner = Call(**{**vars(call), "operation": layer.layer})
        settings["layer"] = _layer(keras2, inner)
    return kind(**settings)


def _arguments(kind: type) -> set[str]:
    """Returns what the constructors of a class and its bases take."""
    found = {"name", "trainable"}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            found |= set(inspect.signature(vars(base)["__init__"]).parameters)
    return found


def _set_weights(call: Call, layer: Any) -> None:
    """Gives a Keras 2 layer the weights of its twin.

    Raises:
        UnsupportedModelError: it has others.
    """
    values = {}
    for variable in call.operation.variables:
        if "seed_generator" not in variable.path:
            values[variable.path] = keras.ops.convert_to_numpy(variable)
    shapes = [tuple(weight.shape) for weight in layer.weights]
    given = list(values.values())
    if shapes != [value.shape for value in given]:
        raise UnsupportedModelError(
            f"The weights of {call.path!r} are others in Keras 2. Received: "
            f"{[value.shape for value in given]} and {shapes}. Leave the "
            "layer out of the model that the twin is made of."
        )
    layer.set_weights([np.asarray(value) for value in given])


def GlobalMISchedule(
    final_sparsity: float,
    *,
    begin_step: int = 0,
    end_step: int,
    frequency: int = 100,
    power: float = 3.0,
) -> Any:
    """Returns a tfmot schedule for structured removal by information.

    It is a `tfmot.sparsity.keras.PruningSchedule`, of the class
    `GlobalMISchedule`, and follows `PolynomialDecay` from 0 to
    `final_sparsity`. Handed to `LotteryDiet`, whose criterion and scope are
    global mutual information unless told otherwise, it removes units for real;
    handed to `prune_low_magnitude`, it masks weights as any schedule does.

    Args:
        final_sparsity: the share of the full model's parameters that is gone
            in the end, in (0, 1).
        begin_step: training step, or round, of the first removal.
        end_step: of the last.
        frequency: steps from one removal to the next.
        power: 1 removes the same amount each time.

    Raises:
        MissingDependencyError: tfmot is not installed.

    Source:
        Zhu and Gupta, "To prune, or not to prune", 2017, section 3.
    """
    toolkit = require("tensorflow_model_optimization", extra="tfmot")
    return _schedule_class(toolkit.sparsity.keras)(
        final_sparsity=final_sparsity,
        begin_step=begin_step,
        end_step=end_step,
        frequency=frequency,
        power=power,
    )


def _schedule_class(sparsity: Any) -> type:
    """Returns the class, made once tfmot is there to make it from."""
    module = sys.modules[__name__]
    known: type | None = vars(module).get("_GlobalMISchedule")
    if known is not None:
        return known

    class Schedule(sparsity.PruningSchedule):
        """See `tf_diet.tfmot.GlobalMISchedule`."""

        def __init__(self, **settings: Any) -> None:
            self.settings = settings
            self.course = sparsity.PolynomialDecay(
                initial_sparsity=0.0, **settings
            )

        def __call__(self, step: Any) -> Any:
            """Returns whether to prune at a step, and the sparsity then."""
            return self.course(step)

        def get_config(self) -> dict[str, Any]:
            """Returns the class and its arguments, as tfmot's do."""
            return {
                "class_name": type(self).__name__,
                "config": dict(self.settings),
            }

        def __repr__(self) -> str:
            inside = ", ".join(f"{k}={v}" for k, v in self.settings.items())
            return f"GlobalMISchedule({inside})"

    Schedule.__name__ = Schedule.__qualname__ = "GlobalMISchedule"
    setattr(module, "_GlobalMISchedule", Schedule)  # noqa: B010
    return Schedule
