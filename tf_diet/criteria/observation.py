"""Runs calibration data through a model and keeps what units do.

The model runs operation by operation, in batches, and only as far as the last
unit. Of each example a few positions are kept, evenly spread from a random
start and never side by side: neighbours in time say the same thing twice,
which makes any unit look as if it knew the target.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tf_diet.criteria.alignment import Target
from tf_diet.criteria.calibration import Calibration
from tf_diet.criteria.criterion import Array, Ints, Observed
from tf_diet.errors import InputError
from tf_diet.graph.calls import Call, Slot, Walk, replay
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Group, Site
from tf_diet.progress import track

POSITIONS = 5000
# How many examples run where each has many positions.
EXAMPLES = 512
# Bounds of what is kept at a time, and of the tensors of one batch.
KEPT_BYTES = 2**29
BATCH_BYTES = 2**27
_MOST_IN_A_BATCH = 64

Place = tuple[int, int]
# In place of the number of an output: the first tensor that a call takes.
INPUT = -1


@dataclass(frozen=True, eq=False)
class View:
    """How one tensor is read for one group.

    Args:
        site: the tensor.
        shape: positions along each axis that is neither batch nor channels.
        rows: for each example the flat positions that are kept; None keeps
            the mean over all.
    """

    site: Site
    shape: tuple[int, ...]
    rows: Ints | None

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
        value = value.reshape(number, -1, value.shape[-1])[..., self.columns]
        if self.rows is None:
            return value.mean(axis=1, dtype=np.float32).T
        rows = self.rows[examples]
        kept = value[np.arange(number)[:, None], rows]
        return kept.reshape(-1, kept.shape[-1]).T.astype(np.float32)


class Observer:
    """What a model's units do on calibration data.

    At most 5,000 positions of each unit are kept, of at most 512 examples;
    where an example has one target or one position, of 5,000 examples. What
    is kept at a time takes 512 MiB at most: models that need more run several
    times.

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
        self.runner = _Runner(graph, calibration)
        shapes = self.runner.shapes()
        one_row = target is not None and target.whole
        one_row = one_row or all(np.prod(s) <= 1 for s in shapes.values())
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(calibration.examples)
        self.examples = np.sort(chosen[: POSITIONS if one_row else EXAMPLES])
        self.starts = rng.random((len(self.examples), 1))
        self.views = {
            group.name: tuple(
                self._view(site, shapes[site.call, site.output])
                for site in group.sites
                if (site.call, site.output) in shapes
            )
            for group in graph.groups
        }
        self.aligned: dict[tuple[int, ...], Array] = {}

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

    def _view(self, site: Site, shape: tuple[int, ...]) -> View:
        if self.target is not None and self.target.whole:
            return View(site, shape, None)
        number = int(np.prod(shape))
        wanted = max(POSITIONS // len(self.examples), 1)
        kept = min(wanted, max(number // 2, 1))
        rows = (self.starts + np.arange(kept)) * (number / kept)
        return View(site, shape, np.minimum(rows.astype(np.int64), number - 1))

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
        for examples, values in self.runner.run(
            self.examples, {view.place for view in views}
        ):
            for view, rows in kept.items():
                each = rows.shape[1] // len(self.examples)
                place = slice(examples.start * each, examples.stop * each)
                rows[:, place] = view.read(values[view.place], examples)
        for group in groups:
            seen = self.views[group.name]
            for view in seen:
                _check_activations(group, kept[view])
            yield group, tuple(self._observed(v, kept.pop(v)) for v in seen)

    def _observed(self, view: View, rows: Array) -> Observed:
        units = view.site.units[view.columns]
        if self.target is None:
            return Observed(rows.T, units, None, False)
        if view.shape not in self.aligned:
            self.aligned[view.shape] = self._align(view, self.target)
        y = self.aligned[view.shape]
        return Observed(rows.T, units, y, self.target.whole)

    def _align(self, view: View, target: Target) -> Array:
        if view.rows is None:
            shares = np.zeros((len(self.examples), 0))
            return target.at(self.examples, shares, view.shape)
        examples = np.repeat(self.examples, view.rows.shape[1])
        if not view.shape:
            return target.at(examples, np.zeros((len(examples), 0)), ())
        places = np.unravel_index(view.rows.ravel(), view.shape)
        shares = (np.stack(places, axis=1) + 0.5) / np.array(view.shape)
        return target.at(examples, shares, view.shape)


def _check_activations(group: Group, rows: Array) -> None:
    if not np.isfinite(rows).all():
        raise InputError(
            f"Layer {group.name!r} gives NaN or infinity on the calibration "
            f"data. Received: {int((~np.isfinite(rows)).sum())} such "
            "activations. Check the weights, and the range of the data."
        )


class _Runner:
    """Runs the part of a model in which units can be seen."""

    def __init__(self, graph: ChannelGraph, calibration: Calibration) -> None:
        self.walk = graph.walk
        self.inputs = calibration.inputs
        self.places = {
            (site.call, site.output): site.axis
            for group in graph.groups
            for site in group.sites
        }
        self.batch = 2
        # A model may have been built for one batch size only.
        self.fixed = self.walk.tensors[self.walk.inputs[0]].shape[0]
        # Two tell an axis of examples from an axis of size one.
        self.probed = self.fixed or 2

    def shapes(self) -> dict[Place, tuple[int, ...]]:
        """Returns the positions of each tensor.

        It also sets the size of batches by what one example takes.
        """
        found = self._inferred()
        if any(None in shape for shape in found.values()):
            ((_, values),) = self.run(np.zeros(2, np.int64), set(self.places))
            found = {place: value.shape for place, value in values.items()}
        size = 4 * sum(int(np.prod(shape)) for shape in found.values())
        size //= self.probed
        self.batch = int(
            np.clip(BATCH_BYTES // max(size, 1), 1, _MOST_IN_A_BATCH)
        )
        positions = {
            place: _positions(shape, self.places[place], self.probed)
            for place, shape in found.items()
        }
        return {p: shape for p, shape in positions.items() if shape is not None}

    def _inferred(self) -> dict[Place, tuple[Any, ...]]:
        """The tensors' shapes for a few examples, without running them."""
        found: dict[Place, tuple[Any, ...]] = {}
        needed = _needed(self.walk, set(self.places))

        def apply(call: Call, args: Any, kwargs: Any) -> Any:
            if call.index not in needed:
                return [0] * len(call.outputs)
            if len(call.inputs) > 1:
                # Some merging layers state a shape without checking that
                # their inputs fit; a trace of the call itself does.
                infer = keras.Operation.compute_output_spec
                result = infer(call.operation, *args, **kwargs)
            else:
                result = call.operation.compute_output_spec(*args, **kwargs)
            for output, spec in _tensors(call, args, kwargs, result):
                if (call.index, output) in self.places:
                    found[call.index, output] = tuple(spec.shape)
            return result

        specs = [
            keras.KerasTensor(
                (self.probed, *array.shape[1:]),
                self.walk.tensors[key].dtype,
            )
            for key, array in zip(self.walk.inputs, self.inputs, strict=True)
        ]
        try:
            with _unchanged(self.walk):
                replay(self.walk, specs, apply)
        except (TypeError, ValueError) as error:
            given = ", ".join(
                f"{name!r} {array.shape}"
                for name, array in zip(
                    self.walk.input_names, self.inputs, strict=True
                )
            )
            raise InputError(
                "The model cannot run calibration data of these sizes. "
                f"Received: {given}; {type(error).__name__}: {error}. Give "
                "inputs that fit each other, such as equally many frames."
            ) from error
        return found

    def run(
        self, examples: Ints, places: set[Place]
    ) -> Iterator[tuple[slice, dict[Place, Array]]]:
        """Yields what batches of examples give at some places.

        Args:
            examples: which examples to run.
            places: calls and which of their outputs.
        """
        needed = _needed(self.walk, places)
        size = self.fixed or self.batch
        starts = range(0, len(examples), size)
        with _unchanged(self.walk):
            for start in track(starts, "observing units"):
                batch = examples[start : start + size]
                values = self._forward(batch, needed, places)
                yield slice(start, start + len(batch)), values

    def _forward(
        self, batch: Ints, needed: set[int], places: set[Place]
    ) -> dict[Place, Array]:
        found: dict[Place, Array] = {}
        number = self.fixed or len(batch)

        def apply(call: Call, args: Any, kwargs: Any) -> Any:
            if call.index not in needed:
                return [0] * len(call.outputs)
            result = call.operation(*args, **kwargs)
            for output, value in _tensors(call, args, kwargs, result):
                if (call.index, output) in places:
                    value = keras.ops.convert_to_numpy(value)
                    each = len(value) // number
                    found[call.index, output] = value[: each * len(batch)]
            return result

        replay(
            self.walk,
            [
                keras.ops.convert_to_tensor(
                    array[np.resize(batch, number)],
                    dtype=self.walk.tensors[key].dtype,
                )
                for key, array in zip(
                    self.walk.inputs, self.inputs, strict=True
                )
            ],
            apply,
        )
        return found


def _tensors(
    call: Call, args: Any, kwargs: Any, result: Any
) -> Iterator[tuple[int, Any]]:
    """Yields what can be seen of a call: its outputs, and its input."""
    yield from enumerate(keras.tree.flatten(result))
    slots = keras.tree.flatten((call.args, dict(call.kwargs)))
    values = keras.tree.flatten((args, kwargs))
    for slot, value in zip(slots, values, strict=True):
        if isinstance(slot, Slot):
            yield INPUT, value
            return


def _positions(
    shape: tuple[int, ...], axis: int, examples: int
) -> tuple[int, ...] | None:
    """Positions along each axis of the tensor of one example.

    None where examples cannot be told apart.
    """
    others = shape[:axis] + shape[axis + 1 :]
    if axis == 0 or shape[0] % examples:
        return None
    if shape[0] == examples:
        return others[1:]
    # Examples and positions were merged into one axis.
    return (int(np.prod(others)) // examples,)


def _needed(walked: Walk, places: set[Place]) -> set[int]:
    """The calls that some places depend on."""
    needed = {call for call, _ in places}
    for call in reversed(walked.calls):
        if call.index in needed:
            makers = [walked.producers.get(key) for key in call.inputs]
            needed.update(m.index for m in makers if m is not None)
    return needed


@contextmanager
def _unchanged(walked: Walk) -> Iterator[None]:
    """Puts back what running a model changes, such as seeds of noise."""
    states = {
        id(variable): (variable, keras.ops.convert_to_numpy(variable.value))
        for call in walked.calls
        for variable in getattr(call.operation, "variables", ())
        if not variable.trainable
    }
    copies = [(v, np.array(value)) for v, value in states.values()]
    try:
        yield
    finally:
        for variable, value in copies:
            variable.assign(value)
