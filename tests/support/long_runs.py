# SPDX-License-Identifier: MIT
"""Runs a step model over thousands of steps in one go."""

import keras
import numpy as np

from tf_diet.convert.offline import compare
from tf_diet.convert.schedule import schedule
from tf_diet.convert.streaming import StreamingModel, to_streaming
from tf_diet.graph.rule_table import rule_for
from tf_diet.graph.walk import walk


class LongRun(StreamingModel):
    """A step model that runs whole sequences as one compiled loop."""

    def __init__(self, streaming):
        super().__init__(
            streaming.step_model,
            streaming.frame,
            latency=streaming.latency,
            steps=streaming.steps,
        )

    def run(self, sequences):
        import tensorflow as tf

        cut = self.calls(sequences)
        kept = [source for source, _ in self.states]
        targets = [target for _, target in self.states]

        def step(carry, given):
            values = dict(zip(kept, carry[0], strict=True))
            for details in self.free_inputs:
                values[details.index] = given[details.name]
            inputs = [values[d.index] for d in self.inputs]
            outputs = self.step_model(inputs, training=False)
            if not isinstance(outputs, list):
                outputs = [outputs]
            return (
                [outputs[t] for t in targets],
                [outputs[d.index] for d in self.free_outputs],
            )

        def zeros(details):
            return tf.zeros(details.shape, details.dtype)

        start = (
            [zeros(self.inputs[source]) for source in kept],
            [zeros(details) for details in self.free_outputs],
        )
        elements = {
            d.name: tf.constant(cut[d.name].astype(d.dtype))
            for d in self.free_inputs
        }
        _, made = tf.function(lambda e: tf.scan(step, e, start))(elements)
        joined = {
            d.name: self._joined(d, {d.name: list(np.asarray(values))})
            for d, values in zip(self.free_outputs, made, strict=True)
        }
        return joined if len(joined) > 1 else next(iter(joined.values()))


def _compiled(model, inputs):
    import tensorflow as tf

    return tf.function(model)([tf.constant(x) for x in inputs])


def apart(
    model: keras.Model, steps: int, frame: int = 1, **settings
) -> tuple[StreamingModel, float]:
    """Returns the step model, and how far it is from the model after `steps`.

    The figure is relative to the largest output; infinite where shapes differ.
    """
    streaming = to_streaming(model, frame, **settings)
    walked = walk(model, lambda operation: rule_for(operation) is None)
    plan = schedule(walked, frame, None, settings.get("attention_window"))
    calls = min(steps, plan.exact or steps) // frame
    found = compare(
        model, LongRun(streaming), plan, calls, offline=_compiled
    ).values()
    return streaming, max(
        np.inf if isinstance(error, str) else error for error in found
    )
