# SPDX-License-Identifier: MIT
"""Work on many files, spread over processes."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tf_diet import optional
from tf_diet.progress import track

T = TypeVar("T")


def in_parallel(
    function: Callable[..., T],
    tasks: Sequence[tuple[Any, ...]],
    title: str,
    *,
    jobs: int | None = None,
    chunk: int = 1,
) -> Iterator[T]:
    """Yields what a function returns for each task, in their order.

    Args:
        function: of a module, as other processes must find it.
        tasks: its arguments, each time.
        title: of the work, for the progress view.
        jobs: processes; as many as there are cores when left out. One works
            in this process.
        chunk: tasks that a process is given at a time.
    """
    count = min(jobs or os.cpu_count() or 1, len(tasks))
    if count <= 1:
        yield from (function(*task) for task in track(tasks, title))
        return
    joblib = optional.require("joblib", extra="audio")
    # Its processes are fresh ones: a fork would copy whatever threads the
    # caller's frameworks run. Nor do they run the caller's script again.
    pool = joblib.Parallel(
        count, backend="loky", return_as="generator", batch_size=chunk
    )
    done = pool(joblib.delayed(function)(*task) for task in tasks)
    yield from track(done, title, total=len(tasks))
