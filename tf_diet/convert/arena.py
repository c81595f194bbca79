# SPDX-License-Identifier: MIT
"""How much memory TFLite Micro needs for a model, found without harm.

TFLite Micro may end the process where it cannot prepare a model, so models
and arena sizes are tried in a process of their own first.
"""

import subprocess
import sys
from functools import lru_cache

from tf_diet import optional
from tf_diet.errors import ConversionError

# Arenas grow in these steps of bytes.
ALIGNMENT = 16

# Halves the range between an arena that is too small and one that is enough.
_SEARCH = """
import sys
from tflite_micro import runtime
data = sys.stdin.buffer.read()
small, enough, step = map(int, sys.argv[1:])
size = enough
while True:
    print("try", size, flush=True)
    try:
        runtime.Interpreter.from_bytes(data, arena_size=size)
    except RuntimeError as error:
        print("no", size, error, flush=True)
        small = size
    else:
        print("yes", size, flush=True)
        enough = size
    if small >= enough - step:
        break
    size = (small + enough) // 2 // step * step
"""


def ample_arena(data: bytes) -> int:
    """Returns an arena size that is more than enough for a step model."""
    return (16 * len(data) + (1 << 20)) // ALIGNMENT * ALIGNMENT


@lru_cache(maxsize=8)
def smallest_arena(data: bytes) -> int:
    """Returns the smallest arena in which a model can be prepared.

    A board with 32-bit pointers needs less than this machine.

    Args:
        data: the content of a `.tflite` file.

    Raises:
        ConversionError: TFLite Micro cannot prepare the model in any.
    """
    optional.require("tflite_micro", extra="convert")
    small, enough, found = 0, ample_arena(data), False
    while not found or enough - small > ALIGNMENT:
        answers, words = _search(data, small, enough)
        for answer, size in answers:
            if answer == "yes":
                enough, found = size, True
            else:
                # A size that was tried and got no answer ended the process.
                small = size
        if not found:
            raise ConversionError(
                f"TFLite Micro cannot prepare the model in {enough:,} bytes. "
                f"Received: {words}. Convert it with another quantize=, such "
                "as 'wi8' or 'float32', or end the model before the operator "
                "that is named."
            )
    return enough


def _search(
    data: bytes, small: int, enough: int
) -> tuple[list[tuple[str, int]], str]:
    """Returns the answer to each tried size, and the last words on errors."""
    done = subprocess.run(
        [sys.executable, "-c", _SEARCH, str(small), str(enough), "16"],
        input=data,
        capture_output=True,
        check=False,
    )
    answers: dict[int, str] = {}
    for line in done.stdout.decode().splitlines():
        answer, size = line.split()[:2]
        answers[int(size)] = answer
    lines = done.stderr.decode("utf-8", "replace").split("\n")
    words = " | ".join([line.strip() for line in lines if line.strip()][-3:])
    if done.returncode < 0:
        words += f" (signal {-done.returncode} ended the process)"
    return [(a, s) for s, a in answers.items()], words.strip() or "no reason"
