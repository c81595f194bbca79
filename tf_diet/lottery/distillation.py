# SPDX-License-Identifier: MIT
"""The full model as a teacher of its smaller copies."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tf_diet.errors import InputError

Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Distillation:
    """What a retraining learns from the outputs of the full model.

    The loss is `(1 - weight)` times the compiled one plus `weight` times the
    distance from the teacher.

    Args:
        weight: of the teacher, in (0, 1].
        temperature: for outputs that are logits of classes: the distance is
            the Kullback-Leibler divergence of the softened classes, times the
            temperature squared. Without one, it is the compiled loss with the
            teacher's outputs for targets.
        loss: the distance instead, as a Keras loss `loss(teacher, student)`;
            it is the mean squared error for what `on` names.
        on: names of layers whose outputs are compared in place of the
            model's, such as the controls of a synthesiser. They must be as
            wide in both, so protect them with `Limits(keep=...)`; the models
            are called once more for them.

    Source:
        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
        section 2; for layers, Romero et al., "FitNets", ICLR 2015.
    """

    weight: float = 0.5
    temperature: float | None = None
    loss: Loss | None = None
    on: Sequence[str] = ()

    def check(self, model: keras.Model) -> None:
        """Checks that it fits a model.

        Raises:
            InputError: a number is out of range, or a layer is unknown.
        """
        if not 0 < self.weight <= 1:
            raise InputError(
                "The teacher's weight must be above 0 and at most 1. "
                f"Received: weight={self.weight}. Use 0.5 for halves."
            )
        if self.temperature is not None and not self.temperature > 0:
            raise InputError(
                "The temperature must be above 0. Received: "
                f"temperature={self.temperature}. Use 2 to 5 for classes."
            )
        _layers(model, self.on)

    @contextmanager
    def teach(
        self, student: keras.Model, teacher: keras.Model
    ) -> Iterator[None]:
        """Adds the teacher to the student's loss for a while.

        Args:
            student: the compiled model that is trained.
            teacher: the full model; it is not changed.

        Raises:
            InputError: the layers to compare are not as wide in both.
        """
        self.check(student)
        before = student.compute_loss
        distance = self._distance(student, teacher, before)

        def compute_loss(
            x: Any = None,
            y: Any = None,
            y_pred: Any = None,
            sample_weight: Any = None,
            training: bool = True,
        ) -> Any:
            given = (x, y, y_pred, sample_weight)
            own = before(*given, training=training)
            if not training:
                # The error is what it is without a teacher.
                return own
            far = distance(*given, training)
            return (1 - self.weight) * own + self.weight * far

        student.compute_loss = compute_loss
        # Traced with the loss that it had.
        student.make_train_function(force=True)
        try:
            yield
        finally:
            del student.compute_loss
            student.make_train_function(force=True)

    def _distance(
        self, student: keras.Model, teacher: keras.Model, compiled: Any
    ) -> Callable[..., Any]:
        if self.on:
            return self._between_layers(student, teacher)
        loss = self.loss
        if self.temperature is not None:
            loss = _softened(self.temperature)

        def distance(
            x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool
        ) -> Any:
            target = ops.stop_gradient(teacher(x, training=False))
            if loss is None:
                given = (x, target, y_pred, sample_weight)
                return compiled(*given, training=training)
            return ops.mean(loss(target, y_pred))

        return distance

    def _between_layers(
        self, student: keras.Model, teacher: keras.Model
    ) -> Callable[..., Any]:
        loss = self.loss or keras.losses.mean_squared_error
        taught = _layers(student, self.on)
        source = _layers(teacher, self.on)
        for name, ours, theirs in zip(self.on, taught, source, strict=True):
            if ours.shape[1:] != theirs.shape[1:]:
                raise InputError(
                    f"The layer {name!r} is narrower than the teacher's. "
                    f"Received: {ours.shape} and {theirs.shape}. Protect it "
                    f"with Limits(keep=[{name!r}]), or compare another one."
                )
        inner = keras.Model(student.inputs, taught)
        outer = keras.Model(teacher.inputs, source)

        def distance(
            x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool
        ) -> Any:
            ours = keras.tree.flatten(inner(x, training=training))
            theirs = keras.tree.flatten(outer(x, training=False))
            pairs = zip(theirs, ours, strict=True)
            return sum(
                ops.mean(loss(ops.stop_gradient(far), near))
                for far, near in pairs
            )

        return distance


def _softened(temperature: float) -> Loss:
    def loss(teacher: Any, student: Any) -> Any:
        ours = ops.log_softmax(student / temperature, axis=-1)
        theirs = ops.log_softmax(teacher / temperature, axis=-1)
        divergence = ops.exp(theirs) * (theirs - ours)
        return ops.sum(divergence, axis=-1) * temperature**2

    return loss


def _layers(model: keras.Model, names: Sequence[str]) -> list[Any]:
    """Returns the outputs of some layers."""
    known = {layer.name: layer for layer in model.layers}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(
            f"The model {model.name!r} has no such layer to compare. "
            f"Received: {', '.join(missing)}. Known: "
            f"{', '.join(sorted(known))}."
        )
    return [known[name].output for name in names]
