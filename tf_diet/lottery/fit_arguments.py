# SPDX-License-Identifier: MIT
"""The data and arguments of `LotteryDiet.fit`, as Keras takes them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from tf_diet.criteria.calibration import inputs_of
from tf_diet.data.for_keras import for_keras
from tf_diet.data.inputs import Inputs
from tf_diet.errors import InputError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.walk import compile_arguments

# What of Keras' `fit` is handed on to it as it is.
_HANDED_ON = (
    "class_weight",
    "validation_batch_size",
    "validation_freq",
    "validation_steps",
)
_INSTEAD = {
    "validation_split": "split the data and pass validation_data",
    "steps_per_epoch": "take() as many batches as an epoch shall have",
    "initial_epoch": "pass resume=True to go on with a run",
    "verbose": "the log tells how far it is: tf_diet.progress.log_to_console()",
}


def handed_on(
    arguments: Mapping[str, Any], validation_data: Any
) -> dict[str, Any]:
    """Returns what every call of Keras' `fit` gets.

    Raises:
        InputError: it is nothing that `LotteryDiet.fit` takes.
    """
    for name in arguments:
        if name not in _HANDED_ON:
            instead = _INSTEAD.get(name, f"it takes {', '.join(_HANDED_ON)}")
            raise InputError(
                "LotteryDiet.fit does not take this argument of Keras' fit. "
                f"Received: {name}={arguments[name]!r}. Instead, {instead}."
            )
    given = dict(arguments)
    if given.get("validation_freq", 1) is None:
        return {k: v for k, v in given.items() if k == "class_weight"}
    return {**given, "validation_data": validation_data}


def trained_on(graph: ChannelGraph, model: keras.Model, what: str) -> Inputs:
    """Returns what data that a model is trained on must have.

    Args:
        graph: of the model.
        model: compiled.
        what: the data, for messages.
    """
    needs = compile_arguments(model).get("loss") is not None
    return replace(inputs_of(graph.walk, what), targets=needs)


def seen_again(
    graph: ChannelGraph, model: keras.Model, data: Any, what: str
) -> Any:
    """Returns data that every round goes through, as Keras takes it.

    Args:
        graph: of the model.
        model: compiled.
        data: in any form.
        what: the data, for messages.

    Raises:
        InputError: it does not fit the model, or can be read only once.
    """
    return for_keras(data, trained_on(graph, model, what), what)
