# SPDX-License-Identifier: MIT
"""Tables looked up as TFLite Micro can: by a gather and nothing else."""

from typing import Any

import keras


class LookUp(keras.layers.Layer):
    """The rows of a table, with numbers of rows from 0.

    `keras.layers.Embedding` also counts negative numbers from the end of its
    table, by an operator that TFLite Micro lacks.

    Args:
        rows: of the table.
        width: of a row.

    Shapes:
        any integers (batch, ...) -> (batch, ..., width).
    """

    def __init__(self, rows: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = self.add_weight(
            shape=(rows, width), trainable=False, name="table"
        )

    def call(self, inputs: Any) -> Any:
        """Looks rows up."""
        import tensorflow as tf

        return tf.gather(self.table, tf.cast(inputs, "int32"))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Returns the shape of rows in place of numbers."""
        return (*input_shape, self.table.shape[1])


def with_lookups(model: keras.Model) -> keras.Model:
    """Returns a model with its embeddings as `LookUp`, nested ones too.

    A model without any comes back as it is, and so does an embedding that
    says which steps are masked, or one inside a layer that is no functional
    model.

    Args:
        model: functional; left as it is.
    """
    return _copied(model) if _found(model) else model


def _found(model: keras.Model) -> bool:
    return any(
        _found(layer) if _nested(layer) else _plain(layer)
        for layer in model.layers
    )


def _copied(model: keras.Model) -> keras.Model:
    other = keras.models.clone_model(model, clone_function=_remade)
    for layer, copy in zip(model.layers, other.layers, strict=True):
        if not _nested(layer):
            weights = [layer.embeddings] if _plain(layer) else layer.weights
            copy.set_weights([keras.ops.convert_to_numpy(w) for w in weights])
    return other


def _remade(layer: Any) -> Any:
    if _nested(layer):
        return _copied(layer)
    if _plain(layer):
        return LookUp(layer.input_dim, layer.output_dim, name=layer.name)
    return layer.__class__.from_config(layer.get_config())


def _nested(layer: Any) -> bool:
    return isinstance(layer, keras.Model) and bool(
        getattr(layer, "inputs", None)
    )


def _plain(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.Embedding
        and not layer.mask_zero
        and layer.quantization_mode is None
    )
