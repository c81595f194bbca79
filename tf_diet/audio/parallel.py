"""Work on many files, spread over processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

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
    # A fork would copy whatever threads the caller's frameworks run.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context) as pool:
        done = pool.map(function, *zip(*tasks, strict=True), chunksize=chunk)
        yield from track(done, title, total=len(tasks))
