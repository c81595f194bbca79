# SPDX-License-Identifier: MIT
"""Bins of equal mass, for many units at once, without sorting them.

Values fall into a few thousand even cells first. Only the samples of cells
that a cut runs through are put in order, a few percent of them.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from tf_diet.arrays import Array, Bools, Ints
from tf_diet.criteria.estimators.compiled import compiled

# Cells a unit: more make counting dearer, fewer leave more to put in order.
_CELLS = 4096
# Samples a unit that are looked at to lay the cells.
_SEEN = 192
# The bit set in the code of a cell that a cut runs through; codes lie below.
_MARK = 7
# Up to so many values are put in order one by one.
_FEW = 24
MOST_BINS = 128


@dataclasses.dataclass(frozen=True)
class Binned:
    """Units cut into bins of equal mass.

    Args:
        codes: the bin of every sample.
        edges: bin b of a unit holds its samples from place [b] up to
            [b + 1], in sorted order.
        pure: no bin of the unit holds more than one value.

    Shapes:
        codes: (units, samples).
        edges: (units, bins + 1).
        pure: (units,).
    """

    codes: npt.NDArray[np.uint8]
    edges: Ints
    pure: Bools

    @property
    def counts(self) -> Ints:
        """How many samples every bin holds, shape (units, bins)."""
        return np.diff(self.edges)


def equal_mass(rows: Array, bins: int) -> Binned:
    """Cuts every unit into bins of equal mass that split no tie.

    A tied run that covers several cuts gets a bin of its own; one that covers
    a single cut pushes it to the nearer end of the run.

    Args:
        rows: finite float32 or float64, one unit a row.
        bins: how many bins, 2 to 128; some stay empty where values are tied.

    Shapes:
        rows: (units, samples).
    """
    # Loops are compiled anew for each layout in memory.
    rows = np.ascontiguousarray(rows)
    units, samples = rows.shape
    low, scale = _cells(rows)
    codes = np.empty((units, samples), np.uint8)
    edges = np.empty((units, bins + 1), np.int64)
    pure = np.empty(units, np.bool_)
    _cut(rows, low, scale, codes, edges, pure)
    return Binned(codes, edges, pure)


def _cells(rows: Array) -> tuple[Array, Array]:
    """Returns where the cells of each unit begin, and how many make up one.

    Cells are even between values that nearly all samples lie between, found
    on some of them. Where they lie decides how long it takes, not what comes
    of it.
    """
    some = np.sort(rows[:, :: max(1, rows.shape[1] // _SEEN)], axis=1)
    tail = some.shape[1] // 100
    low, high = some[:, tail], some[:, -1 - tail]
    narrow = np.flatnonzero(low == high)
    low[narrow] = rows[narrow].min(axis=1)
    high[narrow] = rows[narrow].max(axis=1)
    with np.errstate(over="ignore", divide="ignore"):
        scale = (_CELLS - 1) / (high - low)
        usable = np.isfinite(scale) & np.isfinite(high - low)
    low[~usable] = scale[~usable] = 0.0
    return low, scale


@compiled
def _cut(
    rows: Array,
    low: Array,
    scale: Array,
    codes: Array,
    edges: Array,
    pure: Array,
) -> None:
    """Fills `codes`, `edges` and `pure`, see `Binned`."""
    units, samples = rows.shape
    bins = edges.shape[1] - 1
    cells = np.empty(samples, np.uint16)
    chosen = np.empty(samples + 1, np.int32)
    ordered = np.empty(samples, rows.dtype)
    ends, free = np.empty(_CELLS, np.int32), np.empty(_CELLS, np.int32)
    passed = np.empty(_CELLS, np.uint8)
    # Of every cut, by the bin that begins there.
    home, shift = np.empty(bins, np.int64), np.empty(bins, np.int64)
    begin, stop = np.empty(bins, np.int64), np.empty(bins, np.int64)
    places = np.arange(bins) * samples // bins
    for unit in range(units):
        row, edge, code = rows[unit], edges[unit], codes[unit]
        edge[0], edge[bins] = 0, samples
        _fall(row, low[unit], scale[unit], cells, ends)
        _mark(ends, places, home, passed)
        some = chosen[: _choose(cells, passed, code, chosen)]
        _order(row, cells, some, places, ends, home, free, ordered, shift)
        _runs(places, ends, home, shift, ordered, begin, stop)
        _move(places, begin, stop, edge)
        _pass(row, cells, some, ends, home, shift, ordered, edge, code)
        pure[unit] = _is_pure(row, code, bins)


@compiled
def _fall(
    row: Array, low: float, scale: float, cells: Array, held: Array
) -> None:
    """Lets values fall into cells, and counts what each holds.

    Rounding keeps the order, or makes neighbours equal.
    """
    last = _CELLS - 1
    for i in range(len(row)):
        place = (row[i] - low) * scale
        cells[i] = np.int32(min(max(place, 0), last))
    held[:] = 0
    for cell in cells:
        held[cell] += 1


@compiled
def _mark(ends: Array, places: Array, home: Array, passed: Array) -> None:
    """Finds the cell of the sample before each cut.

    `ends` is how many samples each cell holds, and becomes where it stops.
    `passed` is how many cuts lie before a cell, with a mark if one runs
    through it, not along its end.
    """
    bins, total, b = len(places), 0, 1
    samples = ends.sum()
    while b < bins and places[b] == 0:
        home[b] = 0
        b += 1
    # Read once a cut, not once a cell.
    place = places[b] if b < bins else samples + 1
    before = b - 1
    for cell in range(_CELLS):
        passed[cell] = before
        total += ends[cell]
        ends[cell] = total
        if total < place:
            continue
        while b < bins and places[b] <= total:
            home[b] = cell
            if places[b] < total:
                passed[cell] |= 1 << _MARK
            b += 1
        place = places[b] if b < bins else samples + 1
        before = b - 1


@compiled
def _choose(cells: Array, passed: Array, code: Array, chosen: Array) -> int:
    """Codes samples by their cells, and lists those of marked cells.

    Returns:
        How many those are.
    """
    number = 0
    for i in range(len(cells)):
        cuts = passed[cells[i]]
        code[i] = cuts
        chosen[number] = i
        number += cuts >> _MARK
    return number


@compiled
def _sort(values: Array) -> None:
    """Sorts values in place, of which many may be equal.

    A cell holds more than a few where a value comes up again and again, such
    as the zeros of a ReLU: what equals the middle one is set apart.
    """
    while len(values) > _FEW:
        middle = values[len(values) // 2]
        below, i, above = 0, 0, len(values)
        while i < above:
            value = values[i]
            if value < middle:
                values[i], values[below] = values[below], value
                below += 1
                i += 1
            elif value > middle:
                above -= 1
                values[i], values[above] = values[above], value
            else:
                i += 1
        # The shorter side first: so few wait that they need little room.
        if below < len(values) - above:
            _sort(values[:below])
            values = values[above:]
        else:
            _sort(values[above:])
            values = values[:below]
    for i in range(1, len(values)):
        value, j = values[i], i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@compiled
def _order(
    row: Array,
    cells: Array,
    some: Array,
    places: Array,
    ends: Array,
    home: Array,
    free: Array,
    ordered: Array,
    shift: Array,
) -> None:
    """Puts the samples of marked cells in order, cell by cell.

    `shift` leads from places among all samples to those in `ordered`.
    """
    total, latest = 0, -1
    for b in range(1, len(places)):
        cell, place = home[b], places[b]
        if not ends[cell] > place > 0:
            continue
        first = ends[cell - 1] if cell else 0
        if cell != latest:
            free[cell], latest = total, cell
            total += ends[cell] - first
        shift[b] = free[cell] - first
    for i in some:
        ordered[free[cells[i]]] = row[i]
        free[cells[i]] += 1
    latest = -1
    for b in range(1, len(places)):
        cell, place = home[b], places[b]
        if cell != latest and ends[cell] > place > 0:
            latest = cell
            first = ends[cell - 1] if cell else 0
            _sort(ordered[first + shift[b] : ends[cell] + shift[b]])


@compiled
def _runs(
    places: Array,
    ends: Array,
    home: Array,
    shift: Array,
    ordered: Array,
    begin: Array,
    stop: Array,
) -> None:
    """Finds where the ties that each cut lies in begin and stop."""
    for b in range(1, len(home)):
        place, cell = places[b], home[b]
        begin[b] = stop[b] = place
        if not ends[cell] > place > 0:
            continue
        if b > 1 and home[b - 1] == cell and begin[b - 1] < place < stop[b - 1]:
            begin[b], stop[b] = begin[b - 1], stop[b - 1]
            continue
        first, value = ends[cell - 1] if cell else 0, ordered[place + shift[b]]
        if ordered[place + shift[b] - 1] != value:
            continue
        while begin[b] > first and ordered[begin[b] + shift[b] - 1] == value:
            begin[b] -= 1
        while stop[b] < ends[cell] and ordered[stop[b] + shift[b]] == value:
            stop[b] += 1


@compiled
def _move(places: Array, begin: Array, stop: Array, edge: Array) -> None:
    """Moves cuts out of the ties that they lie in."""
    bins = len(begin)
    for b in range(1, bins):
        place = places[b]
        edge[b] = place
        if begin[b] == place:
            continue
        first = b == 1 or begin[b - 1] != begin[b]
        last = b == bins - 1 or begin[b + 1] != begin[b]
        near = place - begin[b] <= stop[b] - place
        back = near if first and last else first
        edge[b] = begin[b] if back else stop[b]


@compiled
def _pass(
    row: Array,
    cells: Array,
    some: Array,
    ends: Array,
    home: Array,
    shift: Array,
    ordered: Array,
    edge: Array,
    code: Array,
) -> None:
    """Counts the cuts in their own cell that samples have passed."""
    for i in some:
        cell = cells[i]
        b = (code[i] & ((1 << _MARK) - 1)) + 1
        while b < len(home) and home[b] == cell and edge[b] < ends[cell]:
            if row[i] < ordered[edge[b] + shift[b]]:
                break
            b += 1
        code[i] = b - 1


@compiled
def _is_pure(row: Array, codes: Array, bins: int) -> bool:
    seen = np.zeros(bins, np.bool_)
    value = np.empty(bins, row.dtype)
    for i in range(len(row)):
        code = codes[i]
        if not seen[code]:
            seen[code], value[code] = True, row[i]
        elif value[code] != row[i]:
            return False
    return True
