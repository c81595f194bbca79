# SPDX-License-Identifier: MIT
"""The two interpreters: LiteRT, and TFLite Micro as it runs on a board."""

from collections.abc import Sequence

from tf_diet import optional
from tf_diet.arrays import Array
from tf_diet.convert.arena import ample_arena, smallest_arena
from tf_diet.convert.captured_output import captured
from tf_diet.convert.operators import check_micro
from tf_diet.convert.step_runner import StepRunner
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError


def _model(model: TFLiteModel | bytes) -> TFLiteModel:
    if isinstance(model, TFLiteModel):
        return model
    return TFLiteModel.from_bytes(bytes(model))


class LiteRTRunner(StepRunner):
    """Runs a TFLite model in the LiteRT interpreter.

    Args:
        model: a converted model, or the bytes of one.
        frame: time steps in one call; what the file says, or 1, when left
            out.
        threads: CPU threads.

    Raises:
        ConversionError: the bytes are no TFLite model, or LiteRT cannot
            prepare it.
    """

    runtime = "LiteRT"

    def __init__(
        self,
        model: TFLiteModel | bytes,
        frame: int | None = None,
        threads: int = 1,
    ) -> None:
        self.model = _model(model)
        interpreter = optional.require("ai_edge_litert.interpreter", "convert")
        with captured() as output:
            try:
                self._interpreter = interpreter.Interpreter(
                    model_content=self.model.data, num_threads=threads
                )
                self._interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                failure = str(error)
            else:
                failure = ""
        if failure:
            raise ConversionError(
                "LiteRT cannot prepare the model. Received: "
                f"{failure or output.last_lines()}. Convert it with "
                "to_tflite, without select TensorFlow operations."
            )
        self._sources, self._targets = (
            [details["index"] for details in found]
            for found in (
                self._interpreter.get_input_details(),
                self._interpreter.get_output_details(),
            )
        )
        frame = frame or self.model.frame or 1
        super().__init__(self.model.inputs, self.model.outputs, frame)

    def invoke(self, stored: Sequence[Array]) -> list[Array]:
        """Calls the interpreter once."""
        for source, values in zip(self._sources, stored, strict=True):
            self._interpreter.set_tensor(source, values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(key) for key in self._targets]


class MicroRunner(StepRunner):
    """Runs a TFLite model in the TFLite Micro interpreter.

    The interpreter is the C++ one of the boards, compiled for this machine
    with its reference kernels.

    Args:
        model: a converted model, or the bytes of one.
        frame: time steps in one call; what the file says, or 1, when left
            out.
        arena_bytes: memory for its tensors; ample when left out.

    Raises:
        ConversionError: TFLite Micro lacks an operator or the form in which
            it is used, or the arena is too small.
    """

    runtime = "TFLite Micro"

    def __init__(
        self,
        model: TFLiteModel | bytes,
        frame: int | None = None,
        arena_bytes: int | None = None,
    ) -> None:
        self.model = _model(model)
        micro = optional.require("tflite_micro", extra="convert")
        check_micro(self.model.data)
        least = smallest_arena(self.model.data)
        arena = ample_arena(self.model.data)
        if arena_bytes is not None:
            arena = arena_bytes
        if arena < least:
            raise ConversionError(
                "The arena is too small for TFLite Micro. Received: "
                f"arena_bytes={arena:,}. This model needs {least:,} here."
            )
        with captured():
            self._interpreter = micro.runtime.Interpreter.from_bytes(
                self.model.data, arena_size=arena
            )
        frame = frame or self.model.frame or 1
        super().__init__(self.model.inputs, self.model.outputs, frame)

    def invoke(self, stored: Sequence[Array]) -> list[Array]:
        """Calls the interpreter once."""
        # Inputs share the arena with what comes after them, so that every
        # one has to be set before every call.
        for index, values in enumerate(stored):
            self._interpreter.set_input(values, index)
        self._interpreter.invoke()
        return [
            self._interpreter.get_output(details.index)
            for details in self.outputs
        ]

    @property
    def arena_bytes(self) -> int:
        """The smallest arena in which the model can be prepared.

        Found by trying. A board with 32-bit pointers needs less.
        """
        return smallest_arena(self.model.data)
