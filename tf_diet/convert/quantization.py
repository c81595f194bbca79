# SPDX-License-Identifier: MIT
"""How numbers are stored in a TFLite model: float32, int8, int16x8.

A quantization is a function that sets up a TFLite converter; a new one needs
no more than `register_quantization`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tf_diet import optional
from tf_diet.errors import InputError
from tf_diet.extensions import quantizations, register_quantization

Samples = Callable[[], Iterator[list[Any]]]
Quantizer = Callable[[Any, Samples | None], None]


def get(identifier: str | Quantizer | None) -> tuple[str, Quantizer]:
    """Returns the name and the set-up function of a quantization.

    Args:
        identifier: a registered name, a function that takes a converter and
            the calibration samples, or None for float32.

    Raises:
        InputError: the name is unknown.
    """
    if identifier is None:
        identifier = "float32"
    if callable(identifier):
        return getattr(identifier, "__name__", "custom"), identifier
    return identifier, quantizations.get(identifier)


def needed(samples: Samples | None, name: str) -> Samples:
    """Returns the calibration samples of a quantization that needs them.

    Raises:
        InputError: there are none.
    """
    if samples is None:
        raise InputError(
            f"The quantization {name!r} chooses its integer ranges from data. "
            "Received: calibration=None. Pass calibration=, about 1,000 steps "
            "of real input, or use quantize='float32'."
        )
    return samples


@register_quantization("float32")
def float32(converter: Any, samples: Samples | None) -> None:
    """Leaves weights and activations as 32-bit floats."""


@register_quantization("int8")
def int8(converter: Any, samples: Samples | None) -> None:
    """Stores weights, activations, inputs and outputs in 8 bits.

    Smallest and fastest on most boards; slow recurrent states lose precision.
    """
    tf = optional.require("tensorflow", extra="convert")
    _all_integer(converter, needed(samples, "int8"), tf.int8)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]


@register_quantization("int16x8")
def int16x8(converter: Any, samples: Samples | None) -> None:
    """Stores weights in 8 bits, activations and states in 16 bits.

    The choice for recurrent and gated networks: their states keep their
    precision, and tanh and sigmoid are table look-ups.
    """
    tf = optional.require("tensorflow", extra="convert")
    ops = tf.lite.OpsSet
    _all_integer(converter, needed(samples, "int16x8"), tf.int16)
    converter.target_spec.supported_ops = [
        ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]


def _all_integer(converter: Any, samples: Samples, dtype: Any) -> None:
    tf = optional.require("tensorflow", extra="convert")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.inference_input_type = dtype
    converter.inference_output_type = dtype
