# SPDX-License-Identifier: MIT
"""Tables looked up as TFLite Micro can: by a gather and nothing else.

Here and not among the rules, since `keras.ops` has no plain gather.
"""

from typing import Any

import keras

from tf_diet import optional
from tf_diet.graph.calls import Call
from tf_diet.graph.operation import Args, Kwargs
from tf_diet.graph.rule_table import register_tflite_form


@register_tflite_form(keras.layers.Embedding)
def embedding(call: Call, args: Args, kwargs: Kwargs, integer: bool) -> Any:
    """Gathers rows, with numbers of rows from 0.

    `keras.layers.Embedding` also counts negative numbers from the end of its
    table, by an operator that TFLite Micro lacks. One that says which steps
    are masked stays as it is.
    """
    layer = call.operation
    if layer.mask_zero or layer.quantization_mode is not None:
        return None
    table = keras.ops.convert_to_tensor(layer.embeddings)
    rows = keras.ops.cast(args[0], "int32")
    if keras.backend.backend() == "tensorflow":
        return optional.require("tensorflow", "convert").gather(table, rows)
    return table[rows]
