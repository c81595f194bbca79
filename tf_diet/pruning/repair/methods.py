# SPDX-License-Identifier: MIT
"""Ways to repair: by biases, by least squares."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from absl import logging

from tf_diet.arrays import Floats
from tf_diet.errors import InputError
from tf_diet.extensions import register_repair, repairs
from tf_diet.pruning.repair.layer_pairs import Consumer
from tf_diet.pruning.repair.stream import Rows, Stream

# A consumer with more columns in a block is left: X'X would take 8 * columns
# ** 2 bytes (128 MiB) and 2 / 3 * columns ** 3 operations.
MOST_COLUMNS = 4096


class Repair(abc.ABC):
    """A way to make up for removed units; subclass and register."""

    @abc.abstractmethod
    def __call__(self, consumers: Sequence[Consumer], stream: Stream) -> None:
        """Changes weights of the small model.

        Args:
            consumers: what reads something that is no longer what it was, in
                the order in which data meets them.
            stream: shows what they read.
        """


def get(identifier: str | Repair) -> Repair:
    """Returns a repair; see `Registry.resolve` for what may be given.

    Raises:
        InputError: it is none of these.
    """
    found: Repair = repairs.resolve(identifier, Repair)
    return found


@register_repair("bias")
class BiasRepair(Repair):
    """Folds the mean of each removed unit into the biases of its consumers.

    The mean is over examples and positions, in the full model, of what the
    consumer reads. At borders that are padded a convolution sees zeros in its
    place: there the fold is not exact. A consumer without a bias hands the
    shift on to a batch normalisation that alone reads its output, off whose
    moving mean it goes, and is left where there is none.

    Source:
        An et al., "Fluctuation-based Adaptive Structured Pruning for Large
        Language Models", 2023, section 3 (bias compensation).
    """

    def __call__(self, consumers: Sequence[Consumer], stream: Stream) -> None:
        """Shifts the biases of all consumers."""
        losing = []
        for consumer in consumers:
            if consumer.loses and consumer.bias is None:
                logging.warning(
                    "%s is left as it is: it has no bias, nor a batch "
                    "normalisation right after it",
                    consumer.name,
                )
            elif consumer.loses:
                losing.append(consumer)
        totals: dict[int, Floats] = {}
        counts: dict[int, int] = {}
        for consumer, number, mean in stream.means(losing):
            key = id(consumer)
            totals[key] = totals.get(key, 0.0) + number * mean
            counts[key] = counts.get(key, 0) + number
        for consumer in losing:
            means = totals[id(consumer)] / counts[id(consumer)]
            row = consumer.form.constant(consumer.old, means)
            shift = np.einsum("bc,bco->bo", row, consumer.gone)
            assert consumer.bias is not None
            consumer.bias.add(shift.ravel()[consumer.outputs])


@register_repair("least_squares")
class LeastSquares(Repair):
    """Refits consumers so that their sums stay nearest to the full model's.

    In the order in which data meets them, so that each is fitted to what the
    ones before have become. Ridge regression towards the weights that it has:
    with X what it reads now, centred, W its weights and R what the sums of
    the full model lack, W + (X'X + a I)^-1 X'R, and the bias that makes the
    means equal. So no sum of squares on the calibration data can grow. A
    layer that is called several times is fitted to all of its calls, as they
    are when its first one is reached.

    Args:
        ridge: `a` relative to the mean of the diagonal of X'X.

    Raises:
        InputError: `ridge` is not positive.

    Source:
        He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural
        Networks", 2017, equation 1, the second step.
    """

    def __init__(self, ridge: float = 1e-3) -> None:
        self.ridge = ridge

    def __call__(self, consumers: Sequence[Consumer], stream: Stream) -> None:
        """Refits level by level, one pass over the data each."""
        if not isinstance(self.ridge, int | float) or not self.ridge > 0:
            raise InputError(
                "The ridge of least squares must be positive. Received: "
                f"ridge={self.ridge!r}. Pass a small number, such as 1e-3."
            )
        fitted = [c for c in consumers if _fits(c)]
        for level in sorted({c.level for c in fitted}):
            sums = {id(c): Moments(c) for c in fitted if c.level == level}
            chosen = [s.consumer for s in sums.values()]
            for consumer, rows in stream.rows(chosen, small=True):
                sums[id(consumer)].add(rows)
            for moments in sums.values():
                moments.refit(self.ridge)


def _fits(consumer: Consumer) -> bool:
    """Says whether a design is narrow enough, and the log if not."""
    columns = consumer.columns.shape[1]
    if columns > MOST_COLUMNS:
        logging.warning(
            "%s is left as it is: least squares over %d columns, more than %d",
            consumer.name,
            columns,
            MOST_COLUMNS,
        )
    return columns <= MOST_COLUMNS


@dataclass(eq=False)
class Moments:
    """Sums over rows, from which a consumer is refitted.

    They take 8 * blocks * columns * (columns + outputs) bytes.

    Args:
        consumer: which one.
    """

    consumer: Consumer
    number: int = 0
    before: Floats = field(init=False)
    x: Floats = field(init=False)
    r: Floats = field(init=False)
    xx: Floats = field(init=False)
    xr: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.consumer.value()
        blocks, columns, outputs = self.before.shape
        self.x = np.zeros((blocks, columns))
        self.r = np.zeros((blocks, outputs))
        self.xx = np.zeros((blocks, columns, columns))
        self.xr = np.zeros((blocks, columns, outputs))

    def add(self, rows: Rows) -> None:
        """Adds what some rows say."""
        x = rows.small
        r = self.consumer.sums(rows.full) - x @ self.before
        across = x.transpose(0, 2, 1)
        self.number += x.shape[1]
        self.x += x.sum(axis=1)
        self.r += r.sum(axis=1)
        self.xx += across @ x
        self.xr += across @ r

    def refit(self, ridge: float) -> None:
        """Sets the weights of the small model."""
        bias = self.consumer.bias
        xx, xr = self.xx, self.xr
        mean = self.x / self.number
        if bias is not None:
            xx = xx - mean[:, :, None] * self.x[:, None]
            xr = xr - mean[:, :, None] * self.r[:, None]
        columns = xx.shape[1]
        scale = np.trace(xx, axis1=1, axis2=2) / columns
        # An input that never moves says nothing of its weights.
        strength = np.where(scale > 0, ridge * scale, 1.0)
        more = np.linalg.solve(
            xx + strength[:, None, None] * np.eye(columns), xr
        )
        self.consumer.assign(self.before + more)
        if bias is not None:
            lack = self.r / self.number
            bias.add(lack - np.einsum("bc,bco->bo", mean, more))
