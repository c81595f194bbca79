# SPDX-License-Identifier: MIT
"""Whether TFLite Micro can run a model, and not only prepare it."""

import re
import subprocess
import sys
from functools import lru_cache

from tf_diet import optional
from tf_diet.convert import flatbuffer
from tf_diet.convert.arena import ample_arena, smallest_arena
from tf_diet.convert.operators import check_micro
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.errors import ConversionError

# Twice: a kernel may spoil what the second call needs.
_CALLS = """
import sys
import numpy as np
from tflite_micro import runtime
data = sys.stdin.buffer.read()
interpreter = runtime.Interpreter.from_bytes(data, arena_size=int(sys.argv[1]))
rng = np.random.default_rng(0)
for _ in range(2):
    for index in range(int(sys.argv[2])):
        details = interpreter.get_input_details(index)
        shape, dtype = tuple(details["shape"]), np.dtype(details["dtype"])
        if dtype.kind == "f":
            values = rng.uniform(-1, 1, shape)
        else:
            values = rng.integers(0, 2, shape)
        interpreter.set_input(values.astype(dtype), index)
    interpreter.invoke()
print("ran")
"""
_FAILED = re.compile(r"Node (\w+) \(number (\w+)\) failed to invoke")


def check_runs(model: TFLiteModel) -> None:
    """Calls a model in TFLite Micro, in a process of its own.

    Several kernels accept a type when they are prepared and refuse it when
    they are called.

    Args:
        model: the converted model.

    Raises:
        ConversionError: a call fails; the operator is named, with a remedy.
    """
    optional.require("tflite_micro", extra="convert")
    check_micro(model.data)
    words = _words(model.data, len(model.inputs))
    if words is None:
        return
    match = _FAILED.search(words)
    # What the interpreter says comes before Python's own account.
    own = words.split("Traceback")[0]
    lines = [line.strip() for line in own.split("\n") if line.strip()]
    said = " | ".join(lines[-3:]) or "no reason"
    what = "it ends the process"
    if match:
        labels = [
            operation.label
            for operation in flatbuffer.operations(model.data)
            if operation.name == match[1]
        ]
        what = f"the operator {match[1]}"
        if labels:
            what += f", which makes {', '.join(map(repr, labels[:3]))},"
        what += " fails"
    kinds = {spec.dtype for spec in model.inputs}
    remedy = "End the model before it and do the rest in C++."
    if kinds & {"int8", "int16"}:
        remedy = (
            "Convert it with quantize='wi8' or 'float32', which compute with "
            "floats there, or end the model before it and do the rest in C++."
        )
    raise ConversionError(
        "TFLite Micro prepares the model but cannot run it: "
        f"{what} with {model.quantize} numbers. Received: {said}. {remedy}"
    )


@lru_cache(maxsize=8)
def _words(data: bytes, inputs: int) -> str | None:
    """Returns what a failed call says, None where the calls work."""
    # Which also says what cannot be prepared.
    smallest_arena(data)
    done = subprocess.run(
        [sys.executable, "-c", _CALLS, str(ample_arena(data)), str(inputs)],
        input=data,
        capture_output=True,
        check=False,
    )
    if done.returncode == 0 and b"ran" in done.stdout:
        return None
    return done.stderr.decode("utf-8", "replace")
