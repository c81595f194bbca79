# SPDX-License-Identifier: MIT
"""LiteRT's own converter: from a function on JAX to TFLite, by StableHLO.

It needs no TensorFlow. Source: litert-converter 0.5.0, of which only the
bindings of the compiler are documented.
"""

from typing import Any

import keras

from tf_diet import optional
from tf_diet.convert.flatbuffer_writing import SIGNATURE
from tf_diet.convert.lowering import Lowered, place
from tf_diet.errors import ConversionError

_EXTRA = "convert-jax"


def convert(lowered: Lowered) -> bytes:
    """Returns the content of a `.tflite` file in float32.

    Args:
        lowered: the model, on Keras' JAX backend.

    Raises:
        ConversionError: the compiler has no operators for what it computes.
    """
    jax = optional.require("jax", _EXTRA)
    ir = optional.require("litert_converter.mlir.ir", _EXTRA)
    passes = optional.require("litert_converter.mlir.passmanager", _EXTRA)
    bindings = optional.require(
        "litert_converter.mlir._mlir_libs.converter_api_ext", _EXTRA
    )

    def step(*inputs: Any) -> tuple[Any, ...]:
        return tuple(map(keras.ops.convert_to_tensor, lowered(*inputs)))

    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in lowered.arguments]
    # An input that nothing reads would be left out.
    text = jax.jit(step, keep_unused=True).lower(*shapes).as_text()
    context = ir.Context()
    bindings.prepare_mlir_context(context)
    with context:
        module = ir.Module.parse(text)
        bindings.set_signature(
            _main(module),
            SIGNATURE,
            [place(at) for at in range(len(shapes))],
            [f"output_{at:03d}" for at in range(len(lowered.output_names))],
        )
        bindings.run_convert_to_tfl_passes(
            module, passes.PassManager(), bindings.ConvertToTFLConfig()
        )
        return bytes(bindings.export_flatbuffer_to_bytes(module.operation))


def _main(module: Any) -> Any:
    """Returns the function of the module that is the model."""
    for operation in module.body.operations:
        name = getattr(operation, "sym_name", None)
        if name is not None and name.value == "main":
            return operation.operation
    raise ConversionError(
        "JAX gave no function to convert. Received: a module without 'main'. "
        "This is a fault of tf_diet: please report it with the model."
    )
