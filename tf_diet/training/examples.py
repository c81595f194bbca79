# SPDX-License-Identifier: MIT
"""Training data in an order that can be found again after a kill."""

import abc
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from tf_diet.data import forms
from tf_diet.data.for_keras import (
    batched,
    check_again,
    check_batch,
    checked_batches,
    in_memory,
    is_tf_data,
    length,
    whole_arrays,
)
from tf_diet.data.forms import form_of
from tf_diet.data.inputs import Inputs
from tf_diet.errors import InputError

_WHAT = "Training data"


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
    inputs: Inputs | None = None,
) -> Examples:
    """Returns the examples in what `fit` takes.

    Args:
        x: data in any form, see `tf_diet.data.forms.form_of`, that can be
            gone through again.
        y: targets of arrays, where `x` holds none.
        sample_weight: of arrays, likewise.
        batch_size: of arrays and single examples; 32 when None.
        shuffle: draw the order of every epoch.
        seed: of those orders.
        inputs: of the model; None where they are not known.

    Raises:
        InputError: a generator, an endless data set, or no data.
    """
    alone = y is None and sample_weight is None
    form = form_of(x if alone else (x, y, sample_weight), inputs, _WHAT)
    if isinstance(form, forms.Batches):
        check_again(form, _WHAT)
        if form.listed:
            form = in_memory(form, inputs, _WHAT)
    if isinstance(form, forms.Arrays):
        form = whole_arrays(form, inputs)
        return _of_arrays(form, batch_size or 32, shuffle, seed)
    source = form.source
    if is_tf_data(source):
        source = batched(source, inputs, batch_size)
    elif not hasattr(source, "__iter__") and callable(source):
        source = _Opened(source)
    return Batches(source, shuffle, inputs)


def _of_arrays(
    form: forms.Arrays, batch_size: int, shuffle: bool, seed: int
) -> "Arrays":
    flat = keras.tree.flatten(form.x)
    sizes = sorted({int(leaf.shape[0]) for leaf in flat})
    if len(sizes) > 1 or not sizes[0]:
        raise InputError(
            "All inputs of the training data must have the same number of "
            f"examples, at least one. Received: {sizes}. Check x."
        )
    return Arrays(form.x, form.y, form.weight, batch_size, shuffle, seed)


@dataclasses.dataclass(frozen=True)
class _Opened:
    """A function that gives batches, as what can be gone through again."""

    open: Callable[[], Any]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.open())


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
        inputs: of the model; None where they are not known.
    """

    parts = False

    def __init__(
        self, data: Any, shuffle: bool, inputs: Inputs | None = None
    ) -> None:
        self.data = data
        self.inputs = inputs
        sequence = isinstance(data, keras.utils.PyDataset)
        self.shuffle = shuffle and sequence and not hasattr(data, "epoch")
        self.steps = length(data, _WHAT)
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
            return checked_batches(iter(self.data), self.inputs, _WHAT)
        if self._begun:
            self.data.on_epoch_end()
        self._begun = True
        self.data.on_epoch_begin()
        return _Epoch(self.data, self.inputs)


class _Epoch(keras.utils.PyDataset):
    """One epoch of a data set that hears nothing of `fit`.

    Args:
        data: the data set.
        inputs: of the model; None where they are not known.
    """

    def __init__(
        self, data: keras.utils.PyDataset, inputs: Inputs | None
    ) -> None:
        super().__init__(
            data.workers, data.use_multiprocessing, data.max_queue_size
        )
        self.data = data
        self.inputs = inputs

    @property
    def num_batches(self) -> int | None:
        """As the data set says."""
        return self.data.num_batches

    def __getitem__(self, index: int) -> Any:
        """Returns a batch."""
        batch = self.data[index]
        check_batch(batch, self.inputs, _WHAT)
        return batch
