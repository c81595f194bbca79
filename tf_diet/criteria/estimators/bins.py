"""Bins of equal mass, for many units at once, without sorting them.

Values fall into a few thousand even cells first, those that come up again and
again (the zeros of a ReLU) into cells of their own. Only the samples of other
cells that a cut runs through are put in order, a few percent of them.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from tf_diet.criteria.estimators.checks import Array

Ints = npt.NDArray[np.int64]

# Cells a unit: more make counting dearer, fewer leave more to put in order.
_CELLS = 2048
# Samples a unit that are looked at to lay the cells; every so many of them in
# sorted order are compared to find values that come up again and again.
_SEEN = 256
_STRIDE = 16
# Each such value takes two cells, and there are no more than this.
_OFTEN = _SEEN // _STRIDE
# Set in the code of a cell that a cut runs through; codes lie below.
_MIXED = np.uint8(128)
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
    pure: npt.NDArray[np.bool_]

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
    units, samples = rows.shape
    cells, own = _cells(rows)
    counts = np.bincount(cells.ravel(), minlength=units * _CELLS)
    cuts = _Cuts.even(counts, units, samples, bins)
    table = cuts.codes()
    mixed = cuts.inside
    if len(own):
        tied = mixed & np.isin(cuts.cell, own)
        mixed = mixed & ~tied
        cuts.begin[tied] = cuts.start[tied]
        cuts.stop[tied] = cuts.start[tied] + counts[cuts.cell[tied]]
        early = tied & (cuts.moved() == cuts.begin)
        np.add.at(table, cuts.cell[early], np.uint8(1))
    table[cuts.cell[mixed]] |= _MIXED
    codes = table.take(cells)
    if mixed.any():
        _resolve(rows, cells, codes, counts, cuts, mixed)
    edges = np.pad(cuts.moved(), ((0, 0), (1, 1)))
    edges -= np.arange(units)[:, None] * samples
    edges[:, 0], edges[:, -1] = 0, samples
    filled = np.count_nonzero(np.diff(edges), axis=1)
    few = np.count_nonzero(counts.reshape(units, _CELLS), axis=1) <= filled
    pure = np.zeros(units, np.bool_)
    for unit in np.flatnonzero(few):
        pure[unit] = len(np.unique(rows[unit])) == filled[unit]
    return Binned(codes, edges, pure)


@dataclasses.dataclass(frozen=True)
class _Cuts:
    """Where units are cut, all standing in one long sorted order.

    Args:
        place: of every cut, before anything is moved.
        cell: that the sample before the cut lies in.
        start: where that cell starts.
        inside: the cut runs through the cell, not along its end.
        begin: where the run of ties after the cut begins.
        stop: where it stops.

    Shapes:
        all: (units, bins - 1).
    """

    place: Ints
    cell: Ints
    start: Ints
    inside: npt.NDArray[np.bool_]
    begin: Ints
    stop: Ints

    @staticmethod
    def even(counts: Ints, units: int, samples: int, bins: int) -> "_Cuts":
        """Returns cuts of even bins; no ties are known yet."""
        ends = np.cumsum(counts)
        first = np.arange(units)[:, None] * samples
        place = first + np.arange(1, bins) * samples // bins
        cell = np.searchsorted(ends, place)
        end = ends[cell]
        start = end - counts[cell]
        return _Cuts(
            place, cell, start, end > place, place.copy(), place.copy()
        )

    def codes(self) -> npt.NDArray[np.uint8]:
        """Returns the code of every cell, but for what cuts in it change."""
        units, inner = self.cell.shape
        bounds = np.empty((units, inner + 2), np.int64)
        bounds[:, 0] = np.arange(units) * _CELLS
        # A cut before all samples of a unit lies after those of another.
        bounds[:, 1:-1] = np.maximum(self.cell + 1, bounds[:, :1])
        bounds[:, -1] = bounds[:, 0] + _CELLS
        codes = np.tile(np.arange(inner + 1, dtype=np.uint8), units)
        return np.repeat(codes, np.diff(bounds).ravel())

    def moved(self) -> Ints:
        """Returns the cuts moved out of the ties that they lie in."""
        inside = self.place > self.begin
        if not inside.any():
            return self.place
        other = np.ones((len(inside), inside.shape[1] + 1), np.bool_)
        other[:, 1:-1] = self.begin[:, 1:] != self.begin[:, :-1]
        first, last = other[:, :-1], other[:, 1:]
        near = self.place - self.begin <= self.stop - self.place
        back = np.where(first & last, near, first)
        return np.where(
            inside, np.where(back, self.begin, self.stop), self.place
        )


def _cells(rows: Array) -> tuple[Ints, Ints]:
    """Returns the cell of every sample, counted on from unit to unit.

    Cells are even between values that nearly all samples lie between, found
    on some of them. Where they lie decides how long it takes, not what comes
    of it.

    Returns:
        Cells, shape (units, samples), and those that hold one value only.
    """
    units, samples = rows.shape
    some = np.sort(rows[:, :: max(1, samples // _SEEN)], axis=1)
    tail = some.shape[1] // 100
    low, high = some[:, tail], some[:, -1 - tail]
    narrow = np.flatnonzero(low == high)
    low[narrow] = rows[narrow].min(axis=1)
    high[narrow] = rows[narrow].max(axis=1)
    most = _CELLS - 1 - 2 * _OFTEN
    with np.errstate(over="ignore", divide="ignore"):
        scale = most / (high - low)
        usable = np.isfinite(scale) & np.isfinite(high - low)
    scale[~usable] = 0.0
    # Rounding, too, keeps the order, or makes neighbours equal. What lies
    # beyond the last cells may overflow on its way to them.
    with np.errstate(over="ignore", invalid="ignore"):
        places = rows - low[:, None]
        places *= scale[:, None]
    places[~usable] = 0.0
    np.clip(places, 0, most, out=places)
    cells = places.astype(np.int64)
    cells += np.arange(units)[:, None] * _CELLS
    often = some[:, :-_STRIDE:_STRIDE] == some[:, _STRIDE::_STRIDE]
    own = []
    for unit in np.flatnonzero(often.any(axis=1)):
        row, mine = rows[unit], cells[unit]
        for value in np.unique(some[unit, :-_STRIDE:_STRIDE][often[unit]]):
            same = row == value
            mine += row >= value
            mine += row > value
            # Greater values push this cell no further.
            own.append(mine[np.argmax(same)])
    return cells, np.array(own, np.int64)


def _resolve(
    rows: Array,
    cells: Ints,
    codes: npt.NDArray[np.uint8],
    counts: Ints,
    cuts: _Cuts,
    mixed: npt.NDArray[np.bool_],
) -> None:
    """Codes the samples of the cells that cuts run through.

    Args:
        rows: all values.
        cells: of all samples.
        codes: of all samples; those that are marked are put right here.
        counts: samples in every cell.
        cuts: all cuts; their runs of ties are put right here.
        mixed: which of them run through a cell of several values.
    """
    chosen = np.flatnonzero(codes.ravel() >= _MIXED)
    values, home = rows.ravel()[chosen] + 0, cells.ravel()[chosen]
    order = _order(values, home)
    chosen, values, home = chosen[order], values[order], home[order]
    distinct, index = np.unique(cuts.cell[mixed], return_inverse=True)
    sizes = counts[distinct]
    offsets = np.cumsum(sizes) - sizes
    # From the long order of all samples to that of the chosen ones.
    shift = offsets[index] - cuts.start[mixed]
    place = cuts.place[mixed] + shift
    if np.any(values[place - 1] == values[place]):
        fresh = (values[1:] != values[:-1]) | (home[1:] != home[:-1])
        begins = np.flatnonzero(np.concatenate([[True], fresh]))
        stops = np.append(begins[1:], len(values))
        run = np.searchsorted(begins, place, side="right") - 1
        cuts.begin[mixed] = begins[run] - shift
        cuts.stop[mixed] = stops[run] - shift
        place = cuts.moved()[mixed] + shift
    # A cut at the end of its cell comes before nothing in it.
    inside = place < offsets[index] + sizes[index]
    fresh_bins = np.bincount(place[inside], minlength=len(values))
    passed = np.cumsum(fresh_bins)
    passed -= np.repeat(passed[offsets] - fresh_bins[offsets], sizes)
    flat = codes.reshape(-1)
    flat[chosen] = (flat[chosen] ^ _MIXED) + passed.astype(np.uint8)


def _order(values: Array, home: Ints) -> Ints:
    """Returns the order of samples by cell, then value."""
    if values.dtype != np.float32:
        return np.lexsort((values, home))
    # Floats compare like their bits do, but for the sign.
    bits = values.view(np.int32)
    bits = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    return np.argsort((home << 32) + bits)
