# SPDX-License-Identifier: MIT
"""The channel graph: what of a model can be removed, and what goes with it."""

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tf_diet.errors import InputError, PlanError
from tf_diet.graph import cost as costing
from tf_diet.graph.calls import Walk
from tf_diet.graph.composite import sublayers
from tf_diet.graph.cost import Cost
from tf_diet.graph.groups import Barrier, Group, Options, Pinned
from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.operation import Variable
from tf_diet.graph.rule import Signature
from tf_diet.graph.rule_table import is_constant, rule_for

if TYPE_CHECKING:
    from tf_diet.graph.details import GroupDetails

_NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """What of a model can be removed, and what goes with it.

    Args:
        walk: the calls of the model.
        groups: the removable units.
        barriers: the operations without a rule.
        pinned: the units that must stay, with the reason.
        inexact: the units that may go only by giving up equivalence.
        variables: every weight by its path.
        axes: the labels of each axis of each weight.
        labels: the labels of each tensor, by key.
        signatures: the signature of each call, in order.
        group_of: the group of each label, -1 for none.
        unit_of: the unit of each label within its group.
        reasons: why labels must live, each reason once.
        reason_of: the reason of each label, -1 for none.
        options: what it was built with.
    """

    walk: Walk
    groups: tuple[Group, ...]
    barriers: tuple[Barrier, ...]
    pinned: tuple[Pinned, ...]
    inexact: tuple[Pinned, ...]
    variables: Mapping[str, Variable]
    axes: Mapping[str, tuple[Axis, ...]]
    labels: Mapping[int, Labels]
    signatures: tuple[Signature, ...]
    group_of: Vector
    unit_of: Vector
    reasons: tuple[str, ...]
    reason_of: Vector
    options: Options

    def group(self, name: str) -> Group:
        """Returns the group of that name.

        Raises:
            PlanError: there is none.
        """
        if name in self.by_name:
            return self.by_name[name]
        near = difflib.get_close_matches(str(name), self.by_name, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise PlanError(
            f"The model has no group of that name. Received: {name!r}. "
            f"Its groups: {', '.join(self.by_name) or 'none'}.{hint}"
        )

    def details(self, name: str) -> "GroupDetails":
        """Returns all that goes with the units of a group.

        Args:
            name: of the group, or of a layer that makes or passes on the
                units of one group.

        Raises:
            InputError: the name stands for no group, or for several.

        Example:
            >>> tf_diet.inspect(model).details("conv1d")
        """
        # These rooms stand on this one.
        from tf_diet.graph.details import details
        from tf_diet.graph.names import groups_named, listed

        names = groups_named(self, name, "details")
        if len(names) > 1:
            raise InputError(
                "details are those of one group, and the name stands for "
                f"several. Received: {name!r}. Pass one of: {listed(names)}."
            )
        return details(self, names)[0]

    @cached_property
    def by_name(self) -> Mapping[str, Group]:
        """The groups by their names."""
        return {group.name: group for group in self.groups}

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each weight by its path."""
        return {p: tuple(v.shape) for p, v in self.variables.items()}

    @cached_property
    def prunable_share(self) -> float:
        """The share of weight elements in at least one removable slice."""
        removable = 0
        for path, axes in self.axes.items():
            stays = 1
            for axis, size in zip(axes, self.shapes[path], strict=True):
                fixed = size if axis is None else (self.group_of[axis] < 0)
                stays *= int(np.sum(fixed))
            removable += int(np.prod(self.shapes[path])) - stays
        return removable / max(self.parameters(), 1)

    @cached_property
    def constants(self) -> Mapping[str, int]:
        """The weights that no share of the parameters counts, by path.

        Each with its number of elements; `tf_diet.plan` says which they are.
        """
        fixed = {
            id(variable)
            for call in self.walk.calls
            for layer in sublayers(call.operation)
            if is_constant(layer)
            for variable in layer.variables
        }
        return {
            path: int(np.prod(self.shapes[path]))
            for path, variable in self.variables.items()
            if (id(variable) in fixed or not variable.trainable)
            and not self._removable(path)
        }

    def _removable(self, path: str) -> bool:
        """Says whether a unit that may go lies on a weight."""
        axes = [axis for axis in self.axes[path] if axis is not None]
        return any((self.group_of[axis] >= 0).any() for axis in axes)

    @cached_property
    def counted(self) -> int:
        """How many parameters a share of them counts: all but constants."""
        return self.parameters() - sum(self.constants.values())

    @cached_property
    def everything(self) -> Mask:
        """A mask under which every label lives."""
        return np.ones(len(self.group_of), bool)

    @cached_property
    def numbers(self) -> Vector:
        """The unit of each label, numbered through all groups; -1 for none."""
        starts = np.cumsum([0, *(group.n_units for group in self.groups)])
        held = self.group_of >= 0
        numbers = np.full(len(held), -1, np.int64)
        numbers[held] = starts[self.group_of[held]] + self.unit_of[held]
        return numbers

    def alive(self, kept: Mapping[str, ArrayLike]) -> Mask:
        """Returns which labels live when only these units are kept.

        Args:
            kept: per group, the units to keep; all of a group left out.
        """
        lives = []
        for group in self.groups:
            mine = np.full(group.n_units, group.name not in kept)
            mine[np.asarray(kept.get(group.name, ()), np.int64)] = True
            lives.append(mine)
        alive = self.everything.copy()
        held = self.numbers >= 0
        units = np.concatenate([*lives, np.zeros(0, bool)])
        alive[held] = units[self.numbers[held]]
        return alive

    def parameters(self, alive: Mask | None = None) -> int:
        """Returns the number of weight elements that live."""
        mask = self.everything if alive is None else alive
        return costing.parameters(self.axes, self.shapes, mask)

    def cost(self, alive: Mask | None = None) -> Cost:
        """Returns the cost of one call at batch size 1."""
        mask = self.everything if alive is None else alive
        rows = [
            costing.call_cost(
                call, rule_for(call.operation), signature, self.labels, mask
            )
            for call, signature in zip(
                self.walk.calls, self.signatures, strict=True
            )
        ]
        return Cost(
            self.parameters(mask),
            sum(row[0] for row in rows),
            sum(row[1] for row in rows),
            max((row[2] for row in rows), default=0),
        )

    @cached_property
    def fingerprint(self) -> str:
        """A hash of calls, weight paths and shapes and groups, not of values.

        Operations without weights count by kind: Keras numbers their names.
        """
        return self._hashed(lambda path: path)

    @property
    def unnumbered_fingerprint(self) -> str:
        """The same, whatever numbers Keras has put at the end of names.

        They tell how many layers of that kind the process has made before,
        and count here by the order in which they appear.
        """
        numbers: dict[str, dict[str, int]] = {}

        def part(name: str) -> str:
            stem = _NUMBER.sub("", name)
            seen = numbers.setdefault(stem, {})
            return f"{stem} {seen.setdefault(name, len(seen))}"

        return self._hashed(lambda path: "/".join(map(part, path.split("/"))))

    def _hashed(self, name: Callable[[str], str]) -> str:
        facts = {
            "calls": [
                [type(c.operation).__name__, list(c.inputs)]
                for c in self.walk.calls
            ],
            "weights": {name(p): list(s) for p, s in self.shapes.items()},
            "groups": [[name(g.name), g.n_units] for g in self.groups],
        }
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        units = sum(group.n_units for group in self.groups)
        return (
            f"<ChannelGraph {units} units in {len(self.groups)} groups, "
            f"{len(self.barriers)} barriers, {self.parameters():,} parameters>"
        )
