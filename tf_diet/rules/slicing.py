# SPDX-License-Identifier: MIT
"""Splitting and indexing, by positions that are arguments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from tf_diet.graph.calls import Call, Slot
from tf_diet.graph.labels import Axis, Labels, Mask, Vector, shrunk
from tf_diet.graph.operation import Args, Config, Kwargs, Tensor
from tf_diet.graph.rule import Fresh, Rule, Signature
from tf_diet.graph.rule_table import register_rule
from tf_diet.graph.timing import (
    Axes,
    StepForm,
    axis_of_time,
    check_apart,
    refused,
)
from tf_diet.rules.outcomes import pinned

# What an index says of one axis; None is a new axis.
Entry = slice | int | np.integer[Any] | None


def where_now(positions: ArrayLike, alive: Mask) -> Vector:
    """Returns where the positions that are left have moved to."""
    given = np.asarray(positions, np.int64)
    return (np.cumsum(alive) - 1)[given[alive[given]]]


@register_rule(
    "ops.ArraySplit", "ops.Dsplit", "ops.Hsplit", "ops.Split", "ops.Vsplit"
)
class SplitRule(Rule):
    """Cuts an axis into pieces."""

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Time stays where it is, unless it is cut."""
        axis = check_apart(call, axes, [self.axis(call)])
        return StepForm(outputs=(axis,) * len(call.outputs))

    def axis(self, call: Call) -> int:
        """Returns the axis that is cut."""
        rank = len(call.input_specs[0].shape)
        fixed = {"Dsplit": 2, "Hsplit": min(1, rank - 1), "Vsplit": 0}
        kind = type(call.operation).__name__
        axis = fixed.get(kind, getattr(call.operation, "axis", 0))
        return int(axis) % rank

    def edges(self, call: Call) -> list[int]:
        """Returns where the axis is cut, as positions."""
        axis = self.axis(call)
        sizes = [spec.shape[axis] or 0 for spec in call.output_specs]
        return [int(edge) for edge in np.cumsum(sizes)[:-1]]

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Cuts the labels like the tensor."""
        (x,) = inputs
        axis = self.axis(call)
        vector = x.axes[axis]
        if vector is None:
            return Signature(outputs=[x] * len(call.outputs))
        parts = np.split(vector, self.edges(call))
        return Signature(outputs=[x.at(axis, part) for part in parts])

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Any:
        """Cuts at the new positions; parts may differ in size."""
        operation = call.operation
        axis = self.axis(call)
        vector = inputs[0].axes[axis]
        cuts = operation.indices_or_sections
        kind = type(operation)
        if vector is not None:
            cuts = [int(alive[vector[:e]].sum()) for e in self.edges(call)]
            if kind.__name__ != "Split":
                # Not every backend takes a list of uneven parts for these.
                return partial(
                    keras.ops.split, indices_or_sections=cuts, axis=axis
                )
        elif np.ndim(cuts):
            # An array has no config.
            cuts = np.asarray(cuts).tolist()
        settings: Kwargs = {"name": operation.name}
        if hasattr(operation, "axis"):
            settings["axis"] = axis
        return kind(cuts, **settings)


def spread(key: Any, rank: int) -> list[Entry]:
    """Returns an index with its ellipsis written out, one entry an axis."""
    entries = list(key) if isinstance(key, tuple) else [key]
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    fill = [slice(None)] * (rank - used)
    for place, entry in enumerate(entries):
        if entry is Ellipsis:
            return entries[:place] + fill + entries[place + 1 :]
    return entries + fill


@register_rule("ops.GetItem")
class GetItemRule(Rule):
    """x[key] with slices, integers, ellipsis and new axes."""

    def entries(self, call: Call) -> list[tuple[Entry, int | None]] | None:
        """Returns what the key says of each axis, and which axis that is.

        Returns:
            None where the key is or holds an array.
        """
        key = call.args[1] if len(call.args) > 1 else call.kwargs["key"]
        rank = len(call.input_specs[0].shape)
        plain = type(None) | slice | int | np.integer | type(Ellipsis)
        given = key if isinstance(key, tuple) else (key,)
        if not all(
            isinstance(e, plain) and not isinstance(e, bool) for e in given
        ):
            return None
        if any(
            isinstance(bound, Slot)
            for e in given
            if isinstance(e, slice)
            for bound in (e.start, e.stop, e.step)
        ):
            return None
        found: list[tuple[Entry, int | None]] = []
        place = 0
        for entry in spread(key, rank):
            found.append((entry, None if entry is None else place))
            place += entry is not None
        return found

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Indexes the labels; a unit that is picked by number stays."""
        x = inputs[0]
        entries = self.entries(call)
        if entries is None or len(inputs) > 1:
            return pinned(call, inputs, "indexes with an array")
        axes: list[Axis] = []
        frozen: list[tuple[Vector, str]] = []
        for entry, place in entries:
            axis = None if place is None else x.axes[place]
            if isinstance(entry, int | np.integer):
                if axis is not None:
                    picked = axis[[int(entry)]]
                    frozen.append((picked, f"{call.path!r} picks it by number"))
            else:
                axes.append(None if axis is None else axis[entry])
        return Signature(outputs=[Labels(tuple(axes))], frozen=frozen)

    def rebuild(
        self,
        call: Call,
        inputs: Sequence[Labels],
        signature: Signature,
        alive: Mask,
    ) -> Any:
        """Takes positions one by one where no slice can take them any more."""
        new = super().rebuild(call, inputs, signature, alive)
        taken: list[tuple[int, Vector]] = []
        for entry, place in self.entries(call) or []:
            if entry is None or place is None:
                continue
            axis = inputs[0].axes[place]
            if axis is not None:
                moved = relocated(entry, alive[axis])
                if isinstance(moved, np.ndarray):
                    taken.append((place, moved))
        return _picking(new, taken) if taken else new

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Moves the key to the new positions."""
        key: list[Entry] = []
        entries = self.entries(call)
        if entries is None or not inputs[0].known():
            return args, kwargs
        for entry, place in entries:
            axis = None if place is None else inputs[0].axes[place]
            if entry is not None and axis is not None:
                moved = relocated(entry, alive[axis])
                entry = slice(None) if isinstance(moved, np.ndarray) else moved
            key.append(entry)
        return (args[0], tuple(key)), {}

    def in_time(self, call: Call, axes: Axes) -> StepForm:
        """Returns which time steps the key takes, and where time goes."""
        axis = axis_of_time(call, axes)
        entries = self.entries(call)
        if entries is None or len(axes) > 1:
            raise refused(
                call, "which takes positions by number", "Use a slice."
            )
        order = [
            -1 if place is None else place
            for entry, place in entries
            if not isinstance(entry, int | np.integer)
        ]
        entry = next(entry for entry, place in entries if place == axis)
        form = steps_taken(call, entry, call.input_specs[0].shape[axis])
        if axis not in order:
            return form
        return replace(form, outputs=(order.index(axis),))

    def step(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        state: Mapping[str, Tensor],
    ) -> tuple[Any, dict[str, Tensor]]:
        """Applies the key to just the steps that it takes."""
        key: list[Entry] = []
        for entry, place in self.entries(call) or []:
            if place == call.time and isinstance(entry, slice):
                entry = slice(None, None, entry.step)
            key.append(entry)
        return call.operation(args[0], tuple(key)), {}


def steps_taken(call: Call, entry: Entry, size: int | None) -> StepForm:
    """Returns the form of an index into time.

    Args:
        call: the application.
        entry: what the key says of time.
        size: how many steps there are, where that is known.

    Raises:
        StreamingError: it takes steps counted from the end.
    """
    if not isinstance(entry, slice):
        if entry == -1 or (size is not None and entry == size - 1):
            return StepForm(outputs=(None,))
        raise refused(
            call,
            f"which takes time step {entry}: one step for the whole sequence",
            "Take the last one (-1), or none.",
        )
    start, stop, stride = entry.start or 0, entry.stop, entry.step or 1
    whole = stop is None or stop < 0 or (size is not None and stop >= size)
    if start < 0 or stride < 0 or not whole:
        taken = f"{start}:{'' if stop is None else stop}:{stride}"
        raise refused(
            call,
            f"which takes the time steps [{taken}] of a stream without an end",
            "Slice from a number on, or up to a negative one.",
        )
    return StepForm(
        outputs=(1,),
        left=-start,
        stride=stride,
        why=f"it drops the first {start} frames",
        remedy="Pad as many at the left before.",
    )


def _picking(
    new: Any, taken: Sequence[tuple[int, Vector]]
) -> Callable[[Any, Any], Any]:
    """Returns an indexing that takes positions of some axes first."""

    def apply(x: Any, key: Any) -> Any:
        for place, positions in taken:
            x = keras.ops.take(x, positions, axis=place)
        return new(x, key)

    return apply


def relocated(
    entry: slice | int | np.integer[Any], alive: Mask
) -> slice | int | Vector:
    """Returns an index that takes what is left of what it took before.

    Args:
        entry: a slice or a number.
        alive: which positions of the axis live.

    Returns:
        A slice or a number; positions where no slice takes just these.
    """
    every = np.arange(len(alive))
    if not isinstance(entry, slice):
        return int(where_now([every[entry]], alive)[0])
    kept = where_now(every[entry], alive)
    if not len(kept):
        return slice(0, 0)
    step = int(kept[1] - kept[0]) if len(kept) > 1 else 1
    if (np.diff(kept) != step).any():
        return kept
    start, stop = int(kept[0]), int(kept[-1]) + (1 if step > 0 else -1)
    return slice(start, None if stop < 0 else stop, None if step == 1 else step)


@register_rule("ops.Slice")
class SliceRule(Rule):
    """Takes a block of a tensor, of a shape in the config."""

    def start(self, call: Call) -> list[int] | None:
        """Returns where it starts; None where that is a tensor."""
        given = call.args[1:] or tuple(call.kwargs.values())
        leaves = keras.tree.flatten(given)
        if any(isinstance(leaf, Slot) for leaf in leaves):
            return None
        return [int(x) for x in np.ravel(np.asarray(leaves))]

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Slices the labels of each axis."""
        start = self.start(call)
        if start is None:
            return pinned(call, inputs, "starts where a tensor says")
        axes = [
            None if axis is None else axis[first:][:size]
            for axis, first, size in zip(
                inputs[0].axes, start, call.output_specs[0].shape, strict=True
            )
        ]
        return Signature(outputs=[Labels(tuple(axes))])

    def config(self, call: Call, signature: Signature, alive: Mask) -> Config:
        """Recounts the axes that carry units."""
        config = dict(call.operation.get_config())
        axes = signature.outputs[0].axes
        config["shape"] = shrunk(axes, config["shape"], alive)
        return config

    def arguments(
        self,
        call: Call,
        args: Args,
        kwargs: Kwargs,
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[Args, Kwargs]:
        """Moves the start to its new position."""
        start = self.start(call)
        if start is None:
            return args, kwargs
        moved = [
            first if axis is None else int(alive[axis[:first]].sum())
            for axis, first in zip(inputs[0].axes, start, strict=True)
        ]
        return (args[0], tuple(moved)), {}
