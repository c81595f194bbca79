"""Splitting and indexing, whose sizes sit in the arguments."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call


@register_rule("ops.Split")
class SplitRule(Rule):
    """Cuts an axis into pieces."""

    pointwise_in_time = True

    def edges(self, call: Call) -> list[int]:
        """Returns where the axis is cut, as positions."""
        axis = call.operation.axis
        sizes = [spec.shape[axis] or 0 for spec in call.output_specs]
        return [int(edge) for edge in np.cumsum(sizes)[:-1]]

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Cuts the labels like the tensor."""
        (x,) = inputs
        axis = call.operation.axis
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
        """Cuts at the living positions; parts may differ in size."""
        axis = call.operation.axis
        vector = inputs[0].axes[axis]
        config = dict(call.operation.get_config())
        if vector is not None:
            config["indices_or_sections"] = [
                int(alive[vector[:edge]].sum()) for edge in self.edges(call)
            ]
        return type(call.operation).from_config(config)


def spread(key: Any, rank: int) -> list[Any]:
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

    pointwise_in_time = False

    def key(self, call: Call) -> Any:
        """Returns the index, which is an argument of the call."""
        return call.args[1] if len(call.args) > 1 else call.kwargs["key"]

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Indexes the labels; picked and strided units are pinned."""
        x = inputs[0]
        entries = spread(self.key(call), x.rank)
        plain = (type(None), slice, int)
        if len(inputs) > 1 or not all(isinstance(e, plain) for e in entries):
            reason = f"{call.path!r} indexes with an array"
            return Signature(
                outputs=[Labels.none(len(call.output_specs[0].shape))],
                frozen=[(v, reason) for v in x.known()],
            )
        axes: list[Axis] = []
        frozen: list[tuple[Vector, str]] = []
        remaining = iter(x.axes)
        for entry in entries:
            if entry is None:
                axes.append(None)
                continue
            axis = next(remaining)
            if isinstance(entry, int):
                if axis is not None:
                    frozen.append((axis, f"{call.path!r} picks one by number"))
                continue
            if axis is not None and entry.step not in (None, 1):
                frozen.append((axis, f"{call.path!r} takes every other one"))
            axes.append(None if axis is None else axis[entry])
        return Signature(outputs=[Labels(tuple(axes))], frozen=frozen)

    def arguments(
        self,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inputs: Sequence[Labels],
        alive: Mask,
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Moves the bounds of each slice to the living positions."""
        x = inputs[0]
        key: list[Any] = []
        remaining = iter(x.axes)
        for entry in spread(self.key(call), x.rank):
            axis = None if entry is None else next(remaining)
            if axis is not None and isinstance(entry, slice):
                entry = moved(entry, alive[axis])
            key.append(entry)
        return (args[0], tuple(key)), {}


def moved(entry: slice, alive: Mask) -> slice:
    """Returns a slice that takes the living ones of what it took."""
    if entry.step not in (None, 1):
        return entry
    start, stop, _ = entry.indices(len(alive))
    before = int(alive[:start].sum())
    return slice(before, before + int(alive[start:stop].sum()))
