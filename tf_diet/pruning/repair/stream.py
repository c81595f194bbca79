# SPDX-License-Identifier: MIT
"""Calibration data through both models, as rows that consumers read.

No more than one batch of activations is held at a time. Each consumer is
shown a bounded number of rows, spread evenly over examples and positions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tf_diet.arrays import Array, Floats, Ints
from tf_diet.graph.calls import Call, Walk
from tf_diet.graph.forward import ForwardPass, batch_size
from tf_diet.pruning.repair.layer_pairs import Consumer, LayerPair

# Rows a consumer is shown, and at least so many for each of its columns.
ROWS = 10_000
ROWS_A_COLUMN = 10
# Positions of one example say nearly the same: a quarter of them at most is
# read where there are enough examples, of which at least some are run.
SHARE = 4
EXAMPLES = 64
# Bound of the rows held at a time.
CHUNK_BYTES = 2**25
MOST_IN_A_BATCH = 256


@dataclass(frozen=True, eq=False)
class Rows:
    """What one call of a consumer reads, in both models.

    Args:
        full: rows of the full model, (blocks, rows, columns).
        small: the same rows of the small one; as in `full`, less the columns
            that are gone, where the small model was not run.
    """

    full: Floats
    small: Floats


@dataclass
class _Quota:
    """How much of one call has been read, and how much is to be.

    Args:
        examples: to run.
        each: positions to read of an example.
        seen: examples read so far.
    """

    examples: int
    each: int
    seen: int = 0


@dataclass(eq=False)
class Stream:
    """Runs both models over calibration data.

    Args:
        full: the calls of the full model.
        small: those of the small one.
        inputs: the data, an array for each input.
        seed: of the order of examples and of the positions.
    """

    full: Walk
    small: Walk
    inputs: Sequence[Array]
    seed: int
    batch: int = field(init=False)
    passes: tuple[ForwardPass, ForwardPass] = field(init=False)

    def __post_init__(self) -> None:
        self.passes = (ForwardPass(self.full), ForwardPass(self.small))
        self.batch = self.passes[0].fixed or self._affordable()

    def rows(
        self, consumers: Sequence[Consumer], small: bool
    ) -> Iterator[tuple[Consumer, Rows]]:
        """Yields what consumers read, in pieces.

        Args:
            consumers: whose calls are looked at.
            small: whether to run the small model too.
        """
        for consumer, pair, full, other, at in self._read(consumers, small):
            form, width = consumer.form, consumer.matrix.shape
            step = max(CHUNK_BYTES // (8 * width[0] * width[1]), 1)
            for start in range(0, len(at), step):
                piece = at[start : start + step]
                rows = form.rows(pair[0].operation, full, piece)
                yield (
                    consumer,
                    Rows(
                        rows,
                        consumer.left(rows)
                        if other is None
                        else form.rows(pair[1].operation, other, piece),
                    ),
                )

    def means(
        self, consumers: Sequence[Consumer]
    ) -> Iterator[tuple[Consumer, int, Floats]]:
        """Yields the number of positions and the mean of each channel.

        Args:
            consumers: whose inputs, in the full model, are looked at.
        """
        for consumer, _, full, _, _ in self._read(consumers, small=False):
            flat = full.reshape(-1, full.shape[-1])
            yield consumer, len(flat), flat.mean(axis=0, dtype=np.float64)

    def _read(
        self, consumers: Sequence[Consumer], small: bool
    ) -> Iterator[tuple[Consumer, LayerPair, Array, Array | None, Ints]]:
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(self.inputs[0]))
        quotas: dict[tuple[int, int], _Quota] = {}
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            todo = [
                (number, place)
                for number, consumer in enumerate(consumers)
                for place in range(len(consumer.calls))
                if _wants(quotas.get((number, place)))
            ]
            if not todo:
                return
            old, new = self._run(consumers, todo, small, chosen)
            starts = rng.random((len(chosen), 1))
            for number, place in todo:
                consumer = consumers[number]
                pair = consumer.calls[place]
                full = consumer.form.read(pair[0], old)
                other = None
                if small and not consumer.form.given:
                    other = consumer.form.read(pair[1], new)
                count = self._positions(consumer, pair[0], full, len(chosen))
                quota = quotas.setdefault(
                    (number, place), _quota(consumer, count, len(order))
                )
                quota.seen += len(chosen)
                at = _spread(starts, count, quota.each)
                yield consumer, pair, full, other, at

    def _positions(
        self, consumer: Consumer, call: Call, x: Array, examples: int
    ) -> int:
        """Returns how many positions an example has, merged ones included."""
        each = consumer.form.positions(call.operation, x.shape[1:])
        return int(np.prod(each)) * (len(x) // examples)

    def _run(
        self,
        consumers: Sequence[Consumer],
        todo: Iterable[tuple[int, int]],
        small: bool,
        chosen: Ints,
    ) -> tuple[Mapping[int, Array], Mapping[int, Array]]:
        keys: tuple[set[int], set[int]] = (set(), set())
        for number, place in todo:
            form = consumers[number].form
            one, other = consumers[number].calls[place]
            keys[0].update(form.keys(one))
            if small and not form.given:
                keys[1].update(form.keys(other))
        inputs = [array[chosen] for array in self.inputs]
        before, after = self.passes
        return (
            before.run(inputs, keys[0], size=self.batch),
            after.run(inputs, keys[1], size=self.batch),
        )

    def _affordable(self) -> int:
        """Returns how many examples fit into the bound of a batch."""
        one = [array[:1] for array in self.inputs]
        size = self.passes[0].peak_bytes(one)
        most = min(MOST_IN_A_BATCH, len(self.inputs[0]))
        return batch_size(size, most)


def _wants(quota: _Quota | None) -> bool:
    return quota is None or quota.seen < quota.examples


def _spread(starts: Floats, count: int, each: int) -> Ints:
    """Returns the flat numbers of positions spread evenly over examples.

    Args:
        starts: a number in [0, 1) for each example, as a column.
        count: positions of an example.
        each: how many to take.
    """
    shares = (starts + np.arange(each)) / max(each, 1)
    at = np.minimum((shares * count).astype(np.int64), count - 1)
    return (at + np.arange(len(starts))[:, None] * count).ravel()


def _quota(consumer: Consumer, count: int, examples: int) -> _Quota:
    columns = consumer.matrix.shape[1]
    rows = max(ROWS, ROWS_A_COLUMN * columns)
    rows = -(-rows // len(consumer.calls))
    wanted = max(-(-SHARE * rows // max(count, 1)), EXAMPLES)
    number = min(wanted, examples)
    return _Quota(number, min(count, -(-rows // number)))
