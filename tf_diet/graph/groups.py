# SPDX-License-Identifier: MIT
"""What a channel graph is made of: groups of units, barriers and pins."""

from dataclasses import dataclass

from tf_diet.arrays import Ints

MINIMUM_WIDTH = 2


@dataclass(frozen=True, eq=False)
class Member:
    """One axis of one weight that carries units of a group.

    Args:
        path: the weight's path.
        axis: which axis of it.
        units: the unit of each position; -1 where it is of another group.
        role: "out" where the axis produces the unit, "in" where it consumes.
    """

    path: str
    axis: int
    units: Ints
    role: str


@dataclass(frozen=True, eq=False)
class Site:
    """A tensor in which the activations of a group can be seen.

    Args:
        call: index of the call that makes the units.
        output: which of its output tensors.
        axis: which axis of that tensor.
        units: the unit of each position; -1 where it is of another group.
    """

    call: int
    output: int
    axis: int
    units: Ints


@dataclass(frozen=True, eq=False)
class Group:
    """Units that lie along the same axes and are removed one by one.

    Args:
        name: the path of the first layer that makes them.
        n_units: how many there are.
        members: every weight axis that holds them.
        sites: every tensor in which they can be observed.
        minimum: how many must stay.
    """

    name: str
    n_units: int
    members: tuple[Member, ...]
    sites: tuple[Site, ...]
    minimum: int


@dataclass(frozen=True)
class Barrier:
    """An operation that has no rule: what reaches it keeps its channels.

    Args:
        path: where it is.
        kind: its class.
        reason: why it stops the graph.
        n_frozen: how many channels it pins.
    """

    path: str
    kind: str
    reason: str
    n_frozen: int


@dataclass(frozen=True)
class Pinned:
    """Units that cannot be removed.

    Args:
        name: the layer that makes them.
        n_units: how many.
        reason: what pins them.
    """

    name: str
    n_units: int
    reason: str


@dataclass(frozen=True)
class Held:
    """Parameters that stay, however much is asked for.

    Args:
        reason: what holds them.
        parameters: how many elements of weights.
    """

    reason: str
    parameters: int


@dataclass(frozen=True)
class Options:
    """What a channel graph is built with.

    Args:
        exact: pin what can be removed only by giving up equivalence, such as
            channels that LayerNormalization takes statistics over.
        ties: names of groups that live and die together, unit by unit.
        probe: let channels through unknown operations without weights that
            prove equivalent on random data.
    """

    exact: bool = True
    ties: tuple[tuple[str, ...], ...] = ()
    probe: bool = False
