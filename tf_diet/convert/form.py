# SPDX-License-Identifier: MIT
"""What a model is decides the form that is converted: a call, or a step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras

from tf_diet.convert.streaming import StreamingModel, to_streaming
from tf_diet.errors import InputError, StreamingError

WHOLE, STREAM = "whole", "stream"


@dataclass(frozen=True, eq=False)
class Form:
    """A model in the form that is converted.

    Args:
        model: the model itself, or its step model.
        kind: "whole" for one call that does everything, "stream" for a step
            with states.
        reason: why.
        shapes: given for inputs of unknown sizes.
    """

    model: keras.Model | StreamingModel
    kind: str
    reason: str
    shapes: Mapping[str, Sequence[int]] | None = None

    def __str__(self) -> str:
        what = "one whole call" if self.kind == WHOLE else "a step with states"
        return f"converted as {what}: {self.reason}"


def in_form(
    model: keras.Model | StreamingModel,
    form: str | None = None,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    frame: int = 1,
    sample_rate: int | None = None,
    hop: int | None = None,
) -> Form:
    """Returns a model in the form that is converted, and why.

    Args:
        model: a model of Keras, or a step model.
        form: "whole" or "stream"; decided by the model when left out.
        shapes: for inputs of unknown sizes, by name, without the batch; the
            model is then converted whole.
        frame: time steps in one call of a step model.
        sample_rate: samples of audio a second.
        hop: samples of audio that one call stands for.

    Raises:
        InputError: the form is unknown.
        StreamingError: a model of sequences cannot run step by step.
    """
    if form not in (None, WHOLE, STREAM):
        raise InputError(
            "A model is converted whole or as a step. Received: "
            f"form={form!r}. Pass 'whole' or 'stream', or leave it out."
        )
    if isinstance(model, StreamingModel):
        return Form(model, STREAM, "it is a step model")
    unknown = [
        tensor.name
        for tensor in getattr(model, "inputs", None) or ()
        if None in tensor.shape[1:] and tensor.name not in (shapes or {})
    ]
    if form == WHOLE or (form is None and (shapes or not unknown)):
        reason = (
            "asked for"
            if form
            else "its shapes were given"
            if shapes
            else "the shapes of its inputs are fixed"
        )
        return Form(model, WHOLE, reason, shapes)
    try:
        step = to_streaming(model, frame, sample_rate=sample_rate, hop=hop)
    except StreamingError as error:
        if form is not None:
            raise
        names = ", ".join(repr(name) for name in unknown)
        raise StreamingError(
            f"{error} Or, to convert the model as one whole call, give every "
            f"size of {names}: shapes={{...}}, or 'tf-diet convert --shape'."
        ) from error
    why = "asked for" if form else f"the length of {unknown[0]!r} is unknown"
    return Form(step, STREAM, why)
