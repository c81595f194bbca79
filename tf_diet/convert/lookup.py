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
    """Returns a model with its embeddings as `LookUp`.

    A model without any comes back as it is, and so does an embedding that
    says which steps are masked.

    Args:
        model: functional; left as it is.
    """
    found = [layer for layer in model.layers if _plain(layer)]
    if not found:
        return model

    def remade(layer: Any) -> Any:
        if _plain(layer):
            rows, width = layer.input_dim, layer.output_dim
            return LookUp(rows, width, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    other = keras.models.clone_model(model, clone_function=remade)
    for layer in model.layers:
        weights = [layer.embeddings] if _plain(layer) else layer.weights
        other.get_layer(layer.name).set_weights(
            [keras.ops.convert_to_numpy(weight) for weight in weights]
        )
    return other


def _plain(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.Embedding
        and not layer.mask_zero
        and layer.quantization_mode is None
    )
