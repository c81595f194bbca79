# SPDX-License-Identifier: MIT
"""Runs calibration data through a model and keeps what units do.

The model runs operation by operation, in batches, and only as far as the last
unit. Of each example a few positions are kept, evenly spread from a random
start and never side by side: neighbours in time say the same thing twice,
which makes any unit look as if it knew the target.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tf_diet.arrays import Array, Ints
from tf_diet.criteria.alignment import Target
from tf_diet.criteria.calibration import Calibration
from tf_diet.criteria.criterion import Observed
from tf_diet.criteria.unit_observation import INPUT, Place, Runner
from tf_diet.errors import InputError
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Group, Site

__all__ = ["EXAMPLES", "INPUT", "KEPT_BYTES", "POSITIONS", "Observer", "View"]

POSITIONS = 5000
# How many examples run where each has many positions.
EXAMPLES = 512
# Bound of what is kept at a time.
KEPT_BYTES = 2**28


@dataclass(frozen=True, eq=False)
class View:
    """How one tensor is read for one group.

    Args:
        site: the tensor.
        shape: positions along each axis that is neither batch nor channels.
        rows: for each example the flat positions of `grid` that are kept;
            None pools the whole example into one.
        pool: "mean" or "max" where positions are pooled, else "".
        grid: positions along each axis after pooling.
    """

    site: Site
    shape: tuple[int, ...]
    rows: Ints | None
    pool: str = ""
    grid: tuple[int, ...] = ()

    @property
    def place(self) -> Place:
        """The call and which of its outputs."""
        return self.site.call, self.site.output

    @property
    def columns(self) -> Ints:
        """The channels that belong to the group."""
        return np.flatnonzero(self.site.units >= 0)

    def read(self, value: Array, examples: slice) -> Array:
        """Returns what is kept of a tensor, one channel a row.

        Args:
            value: the tensor of a batch.
            examples: which of all examples the batch holds.
        """
        number = examples.stop - examples.start
        value = np.moveaxis(value, self.site.axis, -1)
        channels = value.shape[-1]
        if self.rows is None:
            kept = value.reshape(number, -1, channels)
            kept = _pooled(kept, (1,), self.pool)
        else:
            kept = value.reshape(number, *self.shape, channels)
            if self.pool:
                kept = _pooled(kept, self.grid, self.pool)
            kept = kept.reshape(number, -1, channels)
            kept = kept[np.arange(number)[:, None], self.rows[examples]]
        flat: Array = kept.reshape(-1, channels)
        columns = self.columns
        if len(columns) < channels:
            flat = flat[:, columns]
        return flat.T


def _pooled(value: Array, grid: tuple[int, ...], pool: str) -> Array:
    """Pools the axes between the first and the last down to a grid."""
    for axis, size in enumerate(grid, start=1):
        have = value.shape[axis]
        if have == size:
            continue
        starts = np.arange(size) * have // size
        if pool == "max":
            value = np.maximum.reduceat(value, starts, axis=axis)
            continue
        value = np.add.reduceat(value, starts, axis=axis, dtype=np.float32)
        counts = np.diff(np.r_[starts, have]).astype(np.float32)
        value /= counts.reshape(-1, *[1] * (value.ndim - 1 - axis))
    return value


class Observer:
    """What a model's units do on calibration data.

    At most 5,000 positions of each unit are kept, of at most 512 examples;
    where an example has one target or one position, of 5,000 examples. What
    is kept at a time takes 256 MiB at most: models that need more run several
    times. Where targets are coarser than units, a tensor is seen twice, pooled
    by mean and by maximum; where lags were asked for, once for each.

    Args:
        graph: the channel graph.
        calibration: the data.
        target: what units are compared with, if anything.
        seed: of the examples and positions that are kept.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        calibration: Calibration,
        target: Target | None,
        seed: int,
    ) -> None:
        self.target = target
        self.runner = Runner(graph, calibration)
        shapes = self.runner.shapes()
        one_row = target is not None and target.whole
        one_row = one_row or all(np.prod(s) <= 1 for s in shapes.values())
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(len(calibration.rows))
        chosen = np.sort(chosen[: POSITIONS if one_row else EXAMPLES])
        self.examples = calibration.rows[chosen]
        self.starts = rng.random((len(self.examples), 1))
        self.views = {
            group.name: tuple(
                view
                for site in group.sites
                if (site.call, site.output) in shapes
                for view in self._views(site, shapes[site.call, site.output])
            )
            for group in graph.groups
        }
        self.aligned: dict[tuple[tuple[int, ...], int], Array] = {}

    def __call__(
        self, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, tuple[Observed, ...]]]:
        """Yields what was seen of each group, group by group."""
        batch: list[Group] = []
        size = 0
        for group in groups:
            more = sum(
                4 * len(view.columns) * self._count(view)
                for view in self.views[group.name]
            )
            if batch and size + more > KEPT_BYTES:
                yield from self._look(batch)
                batch, size = [], 0
            batch.append(group)
            size += more
        yield from self._look(batch)

    def describe(self, group: Group) -> str:
        """Says what the units of a group are compared with."""
        views = self.views[group.name]
        if self.target is None or not views:
            return ""
        said = [self.target.describe(view.shape) for view in views]
        return "; ".join(dict.fromkeys(said))

    def _views(self, site: Site, shape: tuple[int, ...]) -> Iterator[View]:
        whole = self.target is not None and self.target.whole
        grid = self.target.grid(shape) if self.target else shape
        pools = ("mean", "max") if np.prod(grid) < np.prod(shape) else ("",)
        rows = None if whole else self._rows(int(np.prod(grid)))
        for pool in pools:
            yield View(site, shape, rows, pool, grid)

    def _rows(self, number: int) -> Ints:
        wanted = max(POSITIONS // len(self.examples), 1)
        kept = min(wanted, max(number // 2, 1))
        rows = (self.starts + np.arange(kept)) * (number / kept)
        return np.minimum(rows.astype(np.int64), number - 1)

    def _count(self, view: View) -> int:
        return len(self.examples) if view.rows is None else view.rows.size

    def _look(
        self, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, tuple[Observed, ...]]]:
        views = [view for group in groups for view in self.views[group.name]]
        kept = {
            view: np.empty((len(view.columns), self._count(view)), np.float32)
            for view in views
        }
        by_place: dict[Place, list[View]] = {}
        for view in views:
            by_place.setdefault(view.place, []).append(view)

        def see(place: Place, value: Array, examples: slice) -> None:
            for view in by_place[place]:
                rows = kept[view]
                each = rows.shape[1] // len(self.examples)
                where = slice(examples.start * each, examples.stop * each)
                rows[:, where] = view.read(value, examples)

        self.runner.run(self.examples, set(by_place), see)
        for group in groups:
            seen = self.views[group.name]
            for view in seen:
                _check_activations(group, kept[view])
            yield (
                group,
                tuple(
                    observed
                    for view in seen
                    for observed in self._observed(view, kept.pop(view))
                ),
            )

    def _observed(self, view: View, rows: Array) -> Iterator[Observed]:
        units = view.site.units[view.columns]
        if self.target is None:
            yield Observed(rows.T, units, None, False)
            return
        for lag in self.target.lags_of(view.grid):
            if (view.grid, lag) not in self.aligned:
                y = self._align(view, self.target, lag)
                self.aligned[view.grid, lag] = y
            y = self.aligned[view.grid, lag]
            yield Observed(rows.T, units, y, self.target.whole)

    def _align(self, view: View, target: Target, lag: int) -> Array:
        if view.rows is None:
            nowhere = np.zeros((len(self.examples), 0))
            return target.at(self.examples, nowhere, ())
        examples = np.repeat(self.examples, view.rows.shape[1])
        if not view.grid:
            return target.at(examples, np.zeros((len(examples), 0)), ())
        places = np.stack(np.unravel_index(view.rows.ravel(), view.grid), 1)
        places[:, 0] = np.clip(places[:, 0] - lag, 0, view.grid[0] - 1)
        shares = (places + 0.5) / np.array(view.grid)
        return target.at(examples, shares, view.grid)


def _check_activations(group: Group, rows: Array) -> None:
    if not np.isfinite(rows).all():
        raise InputError(
            f"Layer {group.name!r} gives NaN or infinity on the calibration "
            f"data. Received: {int((~np.isfinite(rows)).sum())} such "
            "activations. Check the weights, and the range of the data."
        )
