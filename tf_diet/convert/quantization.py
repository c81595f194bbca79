# SPDX-License-Identifier: MIT
"""How numbers are stored in a TFLite model: float32, int8, wi8 and more.

A quantization is a small frozen object. What ships is registered as what
users add, and the file that it made says which it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, ClassVar

from tf_diet import optional
from tf_diet.errors import InputError
from tf_diet.extensions import quantizations, register_quantization
from tf_diet.registry import snake_case

Samples = Callable[[], Iterator[list[Any]]]
SetUp = Callable[[Any, Samples | None], None]


class Quantization:
    """How a converted model stores its numbers.

    Derive a frozen dataclass from it, override what differs, and register it
    with `register_quantization`.

    Attributes:
        needs_data: its ranges are taken from calibration data.
        tolerance: the largest error of a model's outputs that can be meant:
            root mean square, relative to that of the outputs. A conversion
            that is worse is refused.
        integer: layers compute with integers, which needs forms of some
            layers that keep their ranges apart.
        by_tensorflow: TensorFlow's converter does it, which is there on
            Keras' TensorFlow backend alone.
    """

    needs_data: ClassVar[bool] = False
    tolerance: ClassVar[float] = 0.5
    integer: ClassVar[bool] = False
    by_tensorflow: ClassVar[bool] = False

    def set_up(self, converter: Any, samples: Samples | None) -> None:
        """Sets up TensorFlow's converter, before it runs.

        Args:
            converter: a `tf.lite.TFLiteConverter`.
            samples: calibration data, one list of inputs a call.
        """

    def finish(self, data: bytes, samples: Samples | None) -> bytes:
        """Returns a model that was converted, as it will be.

        Args:
            data: the content of a `.tflite` file.
            samples: likewise.
        """
        return data

    @property
    def name(self) -> str:
        """The name that it is registered by, or that of its class."""
        for name in quantizations.names():
            if quantizations.get(name) is type(self):
                return name
        return snake_case(type(self).__name__)

    @property
    def settings(self) -> dict[str, Any]:
        """The values of its fields."""
        return asdict(self) if is_dataclass(self) else {}


def resolve(given: Any) -> tuple[str, Quantization]:
    """Returns a quantization and its name.

    Args:
        given: a registered name, an instance or class, `{"class_name": ...,
            "config": ...}`, a function that takes a converter and the
            calibration samples, or None for float32.

    Raises:
        InputError: the name is unknown, or it is none of these.
    """
    found = given
    if not isinstance(given, Quantization):
        found = quantizations.resolve("float32" if given is None else given)
    if isinstance(found, Quantization):
        return (given if isinstance(given, str) else found.name), found
    name = given if isinstance(given, str) else found.__name__
    return name, _Function(found)


@dataclass(frozen=True)
class _Function(Quantization):
    """A quantization that is a function of the converter alone."""

    function: SetUp
    integer: ClassVar[bool] = True
    by_tensorflow: ClassVar[bool] = True

    @property
    def settings(self) -> dict[str, Any]:
        """None: a function has no plain form."""
        return {}

    def set_up(self, converter: Any, samples: Samples | None) -> None:
        """Lets the function do it."""
        self.function(converter, samples)


@register_quantization("float32")
@dataclass(frozen=True)
class Float32(Quantization):
    """Leaves weights and activations as 32-bit floats."""

    tolerance: ClassVar[float] = 1e-3


@register_quantization("float16")
@dataclass(frozen=True)
class Float16(Quantization):
    """Stores weights as 16-bit floats and computes with 32 bits.

    Half the size, for phones and a Raspberry Pi. TFLite Micro cannot run it.
    """

    tolerance: ClassVar[float] = 0.05
    by_tensorflow: ClassVar[bool] = True

    def set_up(self, converter: Any, samples: Samples | None) -> None:
        """Asks for 16-bit weights."""
        tf = optional.require("tensorflow", extra="convert")
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]


@register_quantization("dynamic")
@dataclass(frozen=True)
class DynamicRange(Quantization):
    """Stores weights in 8 bits; ranges of activations are found in each call.

    A quarter of the size and fast on a Raspberry Pi, without calibration
    data. TFLite Micro cannot run it. Weights of fewer than 1,024 numbers
    stay floats.
    """

    by_tensorflow: ClassVar[bool] = True

    def set_up(self, converter: Any, samples: Samples | None) -> None:
        """Asks for the converter's default."""
        tf = optional.require("tensorflow", extra="convert")
        converter.optimizations = [tf.lite.Optimize.DEFAULT]


@dataclass(frozen=True)
class _Integer(Quantization):
    """Computes with integers, the ranges of which come from data.

    Args:
        per_channel_dense: whether the weights of a matrix product have a
            scale for each channel. One for all is as good on most models,
            needs less memory (8 bytes a channel), and runs everywhere:
            `Arduino_TensorFlowLite` (2023) applies the first to all weights.
    """

    per_channel_dense: bool = False
    needs_data: ClassVar[bool] = True
    integer: ClassVar[bool] = True
    by_tensorflow: ClassVar[bool] = True
    dtype: ClassVar[str] = "int8"
    operators: ClassVar[str] = "TFLITE_BUILTINS_INT8"

    def set_up(self, converter: Any, samples: Samples | None) -> None:
        """Asks for integers everywhere, inputs and outputs included."""
        tf = optional.require("tensorflow", extra="convert")
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.inference_input_type = tf.as_dtype(self.dtype)
        converter.inference_output_type = tf.as_dtype(self.dtype)
        if not self.per_channel_dense:
            name = "_experimental_disable_per_channel_quantization"
            setattr(converter, f"{name}_for_dense_layers", True)
        converter.target_spec.supported_ops = [
            getattr(tf.lite.OpsSet, self.operators)
        ]


@register_quantization("int8")
@dataclass(frozen=True)
class Int8(_Integer):
    """Stores weights, activations, inputs and outputs in 8 bits.

    Smallest and fastest on most boards; slow recurrent states lose precision.
    """


@register_quantization("int16x8")
@dataclass(frozen=True)
class Int16x8(_Integer):
    """Stores weights in 8 bits, activations and states in 16 bits.

    The choice for recurrent and gated networks on a microcontroller: their
    states keep their precision, and tanh and sigmoid are table look-ups. On
    a Raspberry Pi LiteRT runs it 1.5 to 300 times slower than float32.
    """

    dtype: ClassVar[str] = "int16"
    operators: ClassVar[str] = (
        "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
    )


@dataclass(frozen=True)
class Recipe(Quantization):
    """Quantizes a float32 model by a recipe of litert-quantizer.

    Args:
        recipe: the name of a function of `litert_quantizer.recipe` that
            takes no arguments, such as "dynamic_wi4_afp32", or a recipe: a
            list of dicts, as that package writes them.
    """

    recipe: Any = "weight_only_wi8_afp32"

    def adapted(self, recipe: Any) -> Any:
        """Returns a named recipe as it is used."""
        return recipe

    def finish(self, data: bytes, samples: Samples | None) -> bytes:
        """Runs the quantizer over the float32 model."""
        quantizer = optional.require("litert_quantizer.quantizer", "quantizer")
        recipes = optional.require("litert_quantizer.recipe", "quantizer")
        recipe = self.recipe
        if isinstance(recipe, str):
            recipe = getattr(recipes, recipe, None)
            if recipe is None:
                known = [n for n in vars(recipes) if n.endswith("afp32")]
                raise InputError(
                    "litert-quantizer has no such recipe. Received: "
                    f"{self.recipe!r}. Known: {', '.join(known)}."
                )
            recipe = self.adapted(recipe())
        work = quantizer.Quantizer(bytearray(data), recipe)
        done = work.quantize(enable_progress_report=False)
        return bytes(done.quantized_model)


@register_quantization("wi8")
@dataclass(frozen=True)
class WeightOnlyInt8(Recipe):
    """Stores weights in 8 bits and computes with 32-bit floats.

    A third of the size of float32 at hardly any error, without calibration
    data; runs on TFLite Micro too, where weights unpack into the arena. One
    scale for each tensor: TFLite Micro would apply the scale of the first
    channel to all (tflite-micro 0.dev20261023, see `findings/`).
    """

    recipe: Any = "weight_only_wi8_afp32"
    tolerance: ClassVar[float] = 0.1

    def adapted(self, recipe: Any) -> Any:
        """Returns the recipe with one scale a tensor."""
        qtyping = optional.require("litert_quantizer.qtyping", "quantizer")
        for entry in recipe:
            weights = entry["op_config"]["weight_tensor_config"]
            weights["granularity"] = qtyping.QuantGranularity.TENSORWISE
        return recipe


@register_quantization("wi4")
@dataclass(frozen=True)
class WeightOnlyInt4(Recipe):
    """Stores weights in 4 bits and computes with 32-bit floats.

    A sixth of the size, for a Raspberry Pi; TFLite Micro cannot run it.
    """

    recipe: Any = "weight_only_wi4_afp32"


def needed(samples: Samples | None, name: str) -> Samples:
    """Returns the calibration samples of a quantization that needs them.

    Raises:
        InputError: there are none.
    """
    if samples is None:
        raise InputError(
            f"The quantization {name!r} chooses its integer ranges from data. "
            "Received: calibration=None. Pass calibration=, about 1,000 steps "
            "of real input, or use quantize='wi8' (8-bit weights, no data) or "
            "'float32'."
        )
    return samples
