# SPDX-License-Identifier: MIT
"""What C++ libraries print, caught instead of shown.

The TFLite converter and both interpreters write to the file descriptors of
the process, past `sys.stderr`. Caught, their words serve error messages.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from absl import logging


class CapturedOutput:
    """The words caught by `captured`; complete once its block has ended."""

    def __init__(self) -> None:
        self.text = ""

    def last_lines(self, count: int = 3) -> str:
        """Returns the end of what was printed, on one line."""
        lines = [line.strip() for line in self.text.splitlines()]
        return " | ".join([line for line in lines if line][-count:])


@contextmanager
def captured() -> Iterator[CapturedOutput]:
    """Catches what the block prints on either stream, C++ included.

    Warnings raised inside TensorFlow Lite's own Python are dropped, and so
    are absl's; all others pass.
    """
    output = CapturedOutput()
    sys.stdout.flush()
    sys.stderr.flush()
    verbosity = logging.get_verbosity()
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as file:
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            logging.set_verbosity(min(verbosity, logging.ERROR))
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", module=r"(tensorflow\.lite|ai_edge_litert)\."
                )
                yield output
        finally:
            logging.set_verbosity(verbosity)
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, stream)
                os.close(copy)
            file.seek(0)
            output.text = file.read().decode("utf-8", "replace")
