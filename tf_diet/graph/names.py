# SPDX-License-Identifier: MIT
"""What names stand for: groups, and the layers whose channels they hold."""

import difflib
import fnmatch
from collections.abc import Iterable

import numpy as np

from tf_diet.errors import InputError
from tf_diet.graph.calls import Call
from tf_diet.graph.channels import ChannelGraph
from tf_diet.graph.labels import Vector, union
from tf_diet.graph.operation import weights_of

_LISTED = 30


def listed(names: Iterable[str], most: int = _LISTED) -> str:
    """Returns names as text, with a count in place of those past `most`."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def weighty(graph: ChannelGraph) -> list[Call]:
    """Returns the calls of layers that have weights."""
    calls = graph.walk.calls
    return [c for c in calls if weights_of(c.operation)]


def nothing(graph: ChannelGraph, what: str, name: object) -> InputError:
    """Returns the error of a name that stands for nothing in a model.

    Args:
        graph: of the model.
        what: was given the name.
        name: what was given.
    """
    layers = dict.fromkeys(c.layer_path for c in weighty(graph))
    known = list(dict.fromkeys([*graph.by_name, *layers]))
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InputError(
        f"{what} points to nothing in the model. Received: {name!r}. "
        f"Groups: {listed(graph.by_name)}. "
        f"Layers with weights: {listed(layers)}.{hint}"
    )


def is_named(call: Call, pattern: str) -> bool:
    """Says whether a layer, its path or what encloses it is called so."""
    parts = call.layer_path.split("/")
    paths = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return bool(fnmatch.filter([*paths, parts[-1]], pattern))


def groups_named(graph: ChannelGraph, name: str, what: str) -> list[str]:
    """Returns the groups that a name or a pattern stands for.

    Args:
        graph: the channel graph.
        name: of groups; or of a layer or nested model, which stands for the
            groups whose units it makes, passes on or has inside.
        what: was given the name, for the error.

    Raises:
        InputError: there is none.
    """
    found = fnmatch.filter(graph.by_name, name)
    if found:
        return found
    calls = [call for call in graph.walk.calls if is_named(call, name)]
    if not calls:
        raise nothing(graph, what, name)
    numbers = graph.group_of[union(held_labels(graph, call) for call in calls)]
    found = [graph.groups[n].name for n in np.unique(numbers) if n >= 0]
    if not found:
        raise InputError(
            f"{what}: no unit of that layer can be removed. Received: "
            f"{name!r}. tf_diet.describe(model) says what holds it. "
            f"Groups: {listed(graph.by_name)}."
        )
    return found


def held_labels(graph: ChannelGraph, call: Call) -> Vector:
    """Returns the labels that a call makes or passes on, or has inside."""
    signature = graph.signatures[call.index]
    taken = [v for key in call.inputs for v in graph.labels[key].known()]
    given = [v for key in call.outputs for v in graph.labels[key].known()]
    # What is made inside and never seen outside, such as heads.
    seen = {id(vector) for vector in (*taken, *given)}
    hidden = {
        id(axis): axis
        for axes in signature.weights.values()
        for axis in axes
        if axis is not None and id(axis) not in seen
    }
    inside = np.setdiff1d(union(hidden.values()), union(taken))
    return union([*given, inside])


def channels_of(graph: ChannelGraph, layer: str, what: str) -> Vector:
    """Returns the labels of the channels that a layer puts out.

    Args:
        graph: the channel graph.
        layer: its path, or its name where no other has the same.
        what: was given the name, for errors.

    Raises:
        InputError: there is no such layer, or several, or it puts out
            several kinds of channels, or data.
    """
    calls = [c for c in graph.walk.calls if c.layer_path == layer]
    if not calls:
        calls = [
            call
            for call in graph.walk.calls
            if call.layer_path.rpartition("/")[2] == layer
        ]
    if not calls:
        raise nothing(graph, what, layer)
    paths = dict.fromkeys(call.layer_path for call in calls)
    if len(paths) > 1:
        raise InputError(
            f"{what}: several layers are called so. Received: {layer!r}. "
            f"Pass the path of one: {listed(paths)}."
        )
    vectors = [
        known[-1]
        for call in calls
        for key in call.outputs
        if (known := graph.labels[key].known())
    ]
    kinds = {graph.numbers[vector].tobytes() for vector in vectors}
    if len(kinds) != 1:
        several = "puts out channels of several kinds" if kinds else "has none"
        raise InputError(
            f"{what}: units are named by the channels that a layer puts out, "
            f"and this one {several}. Received: {layer!r}. Name a group: "
            f"{listed(graph.by_name)}."
        )
    return vectors[0]
