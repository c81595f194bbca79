# SPDX-License-Identifier: MIT
"""What a layer takes, beside what its units do with it.

The input is seen at the place of the unit: positions are shares of an axis, as
for targets. Where the input has axes of positions that the unit lacks, as in a
layer that returns its last state, it is the mean over all positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tf_diet.arrays import Ints
from tf_diet.criteria.calibration import Calibration
from tf_diet.criteria.criterion import Observed
from tf_diet.criteria.observation import INPUT, Observer, View
from tf_diet.graph.calls import TensorSpec
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.groups import Group, Site
from tf_diet.rules.convolution import channel_axis


class InputObserver:
    """What units do on calibration data, beside what their layers take.

    Args:
        graph: the channel graph.
        calibration: the data.
        seed: of the examples and positions that are kept.
    """

    def __init__(
        self, graph: ChannelGraph, calibration: Calibration, seed: int
    ) -> None:
        sites = {
            group.name: [(site, _input(graph, site)) for site in group.sites]
            for group in graph.groups
        }
        groups = tuple(
            replace(group, sites=tuple(s for p in sites[group.name] for s in p))
            for group in graph.groups
        )
        self.groups = {group.name: group for group in graph.groups}
        self.doubled = groups
        self.observer = Observer(
            replace(graph, groups=groups), calibration, None, seed
        )
        for group in groups:
            self.observer.views[group.name] = tuple(
                _paired(self.observer.views[group.name])
            )

    def __call__(
        self, groups: Sequence[Group]
    ) -> Iterator[tuple[Group, tuple[Observed, ...]]]:
        """Yields what was seen of each group, group by group."""
        wanted = {group.name for group in groups}
        for group, seen in self.observer(
            [group for group in self.doubled if group.name in wanted]
        ):
            pairs = zip(seen[::2], seen[1::2], strict=True)
            yield (
                self.groups[group.name],
                tuple(_beside(unit, taken) for unit, taken in pairs),
            )

    def describe(self, group: Group) -> str:
        """Says what the units of a group are compared with."""
        views = self.observer.views[group.name]
        said = [
            "the input of the layer, averaged over positions"
            if view.rows is None
            else "the input of the layer at the unit's position"
            for view in views[1::2]
        ]
        return "; ".join(dict.fromkeys(said))


def _input(graph: ChannelGraph, site: Site) -> Site:
    """The tensor that the call of a site takes, all of its channels.

    None of them where it takes codes, as an embedding does: those are no
    activations. Keras does not cast what such layers take, and gives codes as
    floats where an input has no other type.
    """
    call = graph.walk.calls[site.call]
    spec = call.input_specs[0] if call.input_specs else TensorSpec((), "int32")
    first = channel_axis(call.operation) == 1
    axis = 1 if first else max(len(spec.shape) - 1, 0)
    casts = getattr(call.operation, "autocast", True)
    numbers = casts and "float" in spec.dtype
    width = spec.shape[axis] if numbers and axis else 0
    return Site(site.call, INPUT, axis, np.arange(width or 0))


def _paired(views: Sequence[View]) -> Iterator[View]:
    """Yields each view of units, then the view of what its layer takes.

    The input is read at the places at which the units are read.
    """
    found = {view.site.call: view for view in views if _is_input(view)}
    for view in views:
        taken = found.get(view.site.call)
        if not _is_input(view) and taken is not None and len(taken.columns):
            yield view
            yield replace(taken, rows=_places(view, taken.shape))


def _is_input(view: View) -> bool:
    return view.site.output == INPUT


def _places(view: View, shape: tuple[int, ...]) -> Ints | None:
    """The flat positions of an input nearest to those of a view of units."""
    if view.rows is None or len(shape) > len(view.shape):
        return None
    if not shape:
        return np.zeros_like(view.rows)
    places = np.unravel_index(view.rows, view.shape)
    nearest = [
        np.minimum(((place + 0.5) * size / whole).astype(np.int64), size - 1)
        for place, whole, size in zip(places, view.shape, shape, strict=False)
    ]
    return np.ravel_multi_index(nearest, shape)


def _beside(unit: Observed, taken: Observed) -> Observed:
    # One row an example is the same for all of its positions.
    times = len(unit.x) // len(taken.x)
    return replace(unit, inputs=np.repeat(taken.x, times, axis=0))
