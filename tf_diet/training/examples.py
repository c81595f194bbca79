# SPDX-License-Identifier: MIT
"""Training data in an order that can be found again after a kill."""

import abc
import dataclasses
import math
from typing import Any

import keras
import numpy as np

from tf_diet.errors import InputError


class Examples(abc.ABC):
    """What a model trains on, an epoch or a part of one at a time.

    Attributes:
        steps: batches in an epoch; None where the data does not say.
        parts: an epoch can be entered at any batch.
    """

    steps: int | None
    parts: bool

    @abc.abstractmethod
    def of(
        self, epoch: int, start: int, stop: int | None, drawn: int
    ) -> dict[str, Any]:
        """Returns what `fit` takes to see batches of one epoch.

        Args:
            epoch: its number, from which the order follows.
            start: the first batch.
            stop: the batch after the last; None for the end.
            drawn: epochs that the whole run has gone through before.
        """


def examples(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None,
    shuffle: bool,
    seed: int,
) -> Examples:
    """Returns the examples in what `fit` takes.

    Args:
        x: arrays, alone, in lists or dicts, or all of `(x, y, sample_weight)`
            as a tuple with `y` left out; or a `tf.data.Dataset`, a
            `PyDataset` or another iterable of batches that can be gone
            through again.
        y: targets of arrays.
        sample_weight: of arrays.
        batch_size: of arrays; 32 when None.
        shuffle: draw the order of every epoch.
        seed: of those orders.

    Raises:
        InputError: a generator, an endless data set, or no data.
    """
    if isinstance(x, tuple) and y is None:
        x, y, sample_weight = (*x, None, None)[:3]
    flat = keras.tree.flatten(x)
    if flat and all(hasattr(leaf, "shape") for leaf in flat):
        sizes = sorted({int(leaf.shape[0]) for leaf in flat})
        if len(sizes) > 1 or not sizes[0]:
            raise InputError(
                "All inputs of the training data must have the same number of "
                f"examples, at least one. Received: {sizes}. Check x."
            )
        return Arrays(x, y, sample_weight, batch_size or 32, shuffle, seed)
    if hasattr(x, "__next__") or not (
        hasattr(x, "__iter__") or isinstance(x, keras.utils.PyDataset)
    ):
        raise InputError(
            "Every round goes through the training data again. Received: "
            f"{type(x).__name__}, which can be gone through once or not at "
            "all. Pass arrays, a tf.data.Dataset or a PyDataset."
        )
    return Batches(x, shuffle)


@dataclasses.dataclass(frozen=True)
class Arrays(Examples):
    """Arrays in memory; the order of an epoch follows from its number.

    Args:
        x: inputs, any structure of arrays.
        y: targets or None.
        sample_weight: or None.
        batch_size: examples a step.
        shuffle: draw the order of every epoch.
        seed: of those orders.
    """

    x: Any
    y: Any
    sample_weight: Any
    batch_size: int
    shuffle: bool
    seed: int
    parts: bool = dataclasses.field(default=True, init=False)

    @property
    def size(self) -> int:
        """How many examples."""
        return int(keras.tree.flatten(self.x)[0].shape[0])

    @property
    def steps(self) -> int:  # type: ignore[override]
        """Batches in an epoch."""
        return math.ceil(self.size / self.batch_size)

    def of(
        self, epoch: int, start: int, stop: int | None, drawn: int
    ) -> dict[str, Any]:
        """See `Examples.of`."""
        order = np.arange(self.size)
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        end = self.size if stop is None else stop * self.batch_size
        order = order[start * self.batch_size : end]

        def taken(part: Any) -> Any:
            if part is None:
                return None
            take = lambda leaf: np.asarray(leaf)[order]  # noqa: E731
            return keras.tree.map_structure(take, part)

        return {
            "x": taken(self.x),
            "y": taken(self.y),
            "sample_weight": taken(self.sample_weight),
            "batch_size": self.batch_size,
            "shuffle": False,
        }


class Batches(Examples):
    """A data set that makes its own batches.

    An epoch is gone through whole: one that was cut off is repeated. A data
    set with an attribute `epoch` is told its number. Any other is wound on
    to where a run that was never cut off would have it.

    Args:
        data: a `tf.data.Dataset`, a `PyDataset` or another iterable.
        shuffle: draw the order of batches; a `PyDataset` only.
    """

    parts = False

    def __init__(self, data: Any, shuffle: bool) -> None:
        self.data = data
        sequence = isinstance(data, keras.utils.PyDataset)
        self.shuffle = shuffle and sequence and not hasattr(data, "epoch")
        self.steps = _length(data)
        self._drawn = 0
        self._begun = False

    def of(
        self, epoch: int, start: int, stop: int | None, drawn: int
    ) -> dict[str, Any]:
        """See `Examples.of`.

        Raises:
            InputError: it is not a whole epoch.
        """
        if start or stop not in (None, self.steps):
            raise InputError(
                "Only arrays can be rewound into the middle of an epoch. "
                f"Received: {type(self.data).__name__} and batches {start} to "
                f"{stop} of {self.steps}. Rewind to a whole epoch."
            )
        data = self.data
        told = hasattr(data, "epoch")
        if not told:
            for _ in range(drawn - self._drawn):
                self._open()
        self._drawn = drawn + 1
        part = {"x": self._open(), "shuffle": self.shuffle}
        if told:
            data.epoch = epoch
        if self.steps and not isinstance(data, keras.utils.PyDataset):
            part["steps_per_epoch"] = self.steps
        return part

    def _open(self) -> Any:
        """Begins an epoch, once: how often `fit` does is its own affair.

        Each time, the data set may draw another order.
        """
        if not isinstance(self.data, keras.utils.PyDataset):
            iterator = iter(self.data)
            return (batch for batch in iterator)
        if self._begun:
            self.data.on_epoch_end()
        self._begun = True
        self.data.on_epoch_begin()
        return _Epoch(self.data)


class _Epoch(keras.utils.PyDataset):
    """One epoch of a data set that hears nothing of `fit`.

    Args:
        data: the data set.
    """

    def __init__(self, data: keras.utils.PyDataset) -> None:
        super().__init__(
            data.workers, data.use_multiprocessing, data.max_queue_size
        )
        self.data = data

    @property
    def num_batches(self) -> int | None:
        """As the data set says."""
        return self.data.num_batches

    def __getitem__(self, index: int) -> Any:
        """Returns a batch."""
        return self.data[index]


def first_batch(data: Any) -> tuple[Any, Any, Any]:
    """Returns some first examples as `(x, y, sample_weight)`.

    Args:
        data: `(x, y)` or `(x, y, sample_weight)`, or a data set.
    """
    if isinstance(data, keras.utils.PyDataset):
        batch = data[0]
    elif isinstance(data, tuple):
        batch = keras.tree.map_structure(lambda leaf: leaf[:32], data)
    else:
        batch = next(iter(data))
    return (*batch, None)[:3]


def _length(data: Any) -> int | None:
    """Returns the number of batches, None where it is not known.

    Raises:
        InputError: there is no end to them, or there are none.
    """
    if isinstance(data, keras.utils.PyDataset):
        length = data.num_batches
    elif hasattr(data, "cardinality"):
        length = int(data.cardinality())
        # What tf.data says of data sets whose end it does not know.
        length = None if length == -2 else length
        length = math.inf if length == -1 else length
    else:
        length = len(data) if hasattr(data, "__len__") else None
    if length is None:
        return None
    if not 0 < length < math.inf:
        raise InputError(
            "An epoch of the training data must end, and hold a batch. "
            f"Received: {length} batches. Leave out repeat(), or take() as "
            "many as an epoch shall have."
        )
    return int(length)
