"""From calls and rules to a channel graph: units, groups and barriers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tf_diet.errors import PlanError
from tf_diet.graph import cost as costing
from tf_diet.graph.cost import Cost
from tf_diet.graph.groups import (
    MINIMUM_WIDTH,
    Barrier,
    Group,
    Member,
    Pinned,
    Site,
)
from tf_diet.graph.labels import Axis, Labels, Mask, UnionFind, Vector
from tf_diet.graph.rule import Fresh, Signature, own_variables, rule_for
from tf_diet.graph.walk import Call, Walk, replay, walk


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """What of a model can be removed, and what goes with it.

    Args:
        walk: the calls of the model.
        groups: the removable units.
        barriers: the operations without a rule.
        pinned: the units that must stay, with the reason.
        variables: every weight by its path.
        axes: the labels of each axis of each weight.
        labels: the labels of each tensor, by key.
        signatures: the signature of each call, in order.
        group_of: the group of each label, -1 for none.
        unit_of: the unit of each label within its group.
    """

    walk: Walk
    groups: tuple[Group, ...]
    barriers: tuple[Barrier, ...]
    pinned: tuple[Pinned, ...]
    variables: Mapping[str, Any]
    axes: Mapping[str, tuple[Axis, ...]]
    labels: Mapping[int, Labels]
    signatures: tuple[Signature, ...]
    group_of: Vector
    unit_of: Vector

    def group(self, name: str) -> Group:
        """Returns the group of that name.

        Raises:
            PlanError: there is none.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise PlanError(
            f"The model has no group of that name. Received: {name!r}. "
            f"Its groups: {', '.join(g.name for g in self.groups)}."
        )

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each weight by its path."""
        return {p: tuple(v.shape) for p, v in self.variables.items()}

    @cached_property
    def everything(self) -> Mask:
        """A mask under which every label lives."""
        return np.ones(len(self.group_of), bool)

    def alive(self, kept: Mapping[str, ArrayLike]) -> Mask:
        """Returns which labels live when only these units are kept.

        Args:
            kept: per group, the units to keep; all of a group left out.
        """
        alive = self.everything.copy()
        for number, group in enumerate(self.groups):
            if group.name in kept:
                lives = np.zeros(group.n_units, bool)
                lives[np.asarray(kept[group.name], np.int64)] = True
                mine = self.group_of == number
                alive[mine] = lives[self.unit_of[mine]]
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
        facts = {
            "calls": [
                [type(c.operation).__name__, list(c.inputs)]
                for c in self.walk.calls
            ],
            "weights": {p: list(s) for p, s in self.shapes.items()},
            "groups": [[g.name, g.n_units] for g in self.groups],
        }
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        units = sum(group.n_units for group in self.groups)
        return (
            f"<ChannelGraph {units} units in {len(self.groups)} groups, "
            f"{len(self.barriers)} barriers, {self.parameters():,} parameters>"
        )


class _Builder:
    def __init__(self, walked: Walk) -> None:
        self.walk = walked
        self.union = UnionFind()
        self.blocks: list[tuple[Call, Vector]] = []
        self.signatures: list[Signature] = []
        self.barriers: list[Barrier] = []
        self.variables: dict[str, Any] = {}
        self.axes: dict[str, tuple[Axis, ...]] = {}
        self.roles: dict[tuple[str, int], str] = {}
        self.paths: dict[int, str] = {}

    def visit(self, call: Call, inputs: Sequence[Labels]) -> Sequence[Labels]:
        rule = rule_for(call.operation)
        fresh = Fresh(self.union)
        if rule is None:
            signature = self.barrier(call, inputs)
            weights = own_variables(call.operation)
        else:
            signature = rule.signature(call, inputs, fresh)
            weights = rule.weights(call.operation)
        for first, second in signature.ties:
            self.union.tie(first, second)
        for vector, reason in signature.frozen:
            self.union.freeze(vector, reason)
        outputs = {
            int(x) for o in signature.outputs for v in o.known() for x in v
        }
        for name, variable in weights.items():
            none = (None,) * len(variable.shape)
            axes = signature.weights.get(name, none)
            self.add_weight(call, variable, axes, outputs)
        self.blocks += [(call, vector) for vector in fresh.made]
        self.signatures.append(signature)
        return signature.outputs

    def barrier(self, call: Call, inputs: Sequence[Labels]) -> Signature:
        kind = type(call.operation).__name__
        reason = f"{call.path!r} ({kind}) has no pruning rule"
        pinned = {
            self.union.find(int(label))
            for labels in inputs
            for vector in labels.known()
            for label in vector
        }
        self.barriers.append(
            Barrier(call.path, kind, "it has no pruning rule", len(pinned))
        )
        return Signature(
            outputs=[Labels.none(len(s.shape)) for s in call.output_specs],
            frozen=[(v, reason) for x in inputs for v in x.known()],
        )

    def add_weight(
        self,
        call: Call,
        variable: Any,
        axes: tuple[Axis, ...],
        outputs: set[int],
    ) -> None:
        if id(variable) not in self.paths:
            path = _path(call, variable)
            while path in self.variables:
                path += "_"
            self.paths[id(variable)] = path
            self.variables[path] = variable
            self.axes[path] = axes
            produces = [
                number
                for number, axis in enumerate(axes)
                if axis is not None and outputs.intersection(axis.tolist())
            ]
            for number in range(len(axes)):
                out = bool(produces) and number == produces[-1]
                self.roles[path, number] = "out" if out else "in"
            return
        path = self.paths[id(variable)]
        for one, other in zip(self.axes[path], axes, strict=True):
            if one is not None and other is not None:
                self.union.tie(one, other)
            elif one is not None or other is not None:
                pinned = one if other is None else other
                assert pinned is not None
                self.union.freeze(
                    pinned, f"{path!r} is shared with a place that is fixed"
                )

    def finish(self, labels: Mapping[int, Labels]) -> ChannelGraph:
        for key in self.walk.outputs:
            for vector in labels[key].known():
                self.union.freeze(vector, "it is an output of the model")
        roots = self.union.roots()
        frozen = np.zeros(len(roots), bool)
        frozen[list(self.union.reasons)] = True
        components = self.components(roots)
        group_of = np.full(len(roots), -1, np.int64)
        unit_of = np.full(len(roots), -1, np.int64)
        names: list[tuple[str, int]] = []
        pinned: list[Pinned] = []
        for blocks in components:
            name = blocks[0][0].layer_path
            units = np.unique(roots[np.concatenate([v for _, v in blocks])])
            stays = units[frozen[units]]
            units = units[~frozen[units]]
            if len(stays):
                reason = self.union.reasons[int(stays[0])]
                pinned.append(Pinned(name, len(stays), reason))
            if len(units):
                taken = {n for n, _ in names}
                while name in taken:
                    name += "_"
                group_of[units] = len(names)
                unit_of[units] = np.arange(len(units))
                names.append((name, len(units)))
        group_of, unit_of = group_of[roots], unit_of[roots]
        groups = tuple(
            Group(
                name,
                count,
                tuple(self.members(number, group_of, unit_of)),
                tuple(self.sites(number, group_of, unit_of, labels)),
                min(MINIMUM_WIDTH, count),
            )
            for number, (name, count) in enumerate(names)
        )
        return ChannelGraph(
            self.walk,
            groups,
            tuple(self.barriers),
            tuple(pinned),
            self.variables,
            self.axes,
            labels,
            tuple(self.signatures),
            group_of,
            unit_of,
        )

    def components(self, roots: Vector) -> list[list[tuple[Call, Vector]]]:
        """Joins the blocks of fresh labels that share a unit."""
        joined = UnionFind()
        joined.make(len(self.blocks))
        owner: dict[int, int] = {}
        for number, (_, vector) in enumerate(self.blocks):
            for root in roots[vector].tolist():
                first = owner.setdefault(root, number)
                joined.tie(np.array([first]), np.array([number]))
        found: dict[int, list[tuple[Call, Vector]]] = {}
        for number, block in enumerate(self.blocks):
            found.setdefault(joined.find(number), []).append(block)
        return list(found.values())

    def members(
        self, number: int, group_of: Vector, unit_of: Vector
    ) -> list[Member]:
        found = []
        for path, axes in self.axes.items():
            for place, axis in enumerate(axes):
                if axis is not None and (group_of[axis] == number).any():
                    units = np.where(
                        group_of[axis] == number, unit_of[axis], -1
                    )
                    role = self.roles[path, place]
                    found.append(Member(path, place, units, role))
        return found

    def sites(
        self,
        number: int,
        group_of: Vector,
        unit_of: Vector,
        labels: Mapping[int, Labels],
    ) -> list[Site]:
        found = []
        for call in dict.fromkeys(call for call, _ in self.blocks):
            for output, key in enumerate(call.outputs):
                for place, axis in enumerate(labels[key].axes):
                    if axis is None or not (group_of[axis] == number).any():
                        continue
                    units = np.where(
                        group_of[axis] == number, unit_of[axis], -1
                    )
                    found.append(Site(call.index, output, place, units))
        return found


def _path(call: Call, variable: Any) -> str:
    """Returns a variable's path below the nested models that hold it.

    Keras puts the names of some enclosing models in front, which it numbers.
    """
    *parents, name = call.layer_path.split("/")
    parts = variable.path.split("/")
    if name in parts:
        parts = parts[parts.index(name) :]
    return "/".join([*parents, *parts])


def build(model: Any) -> ChannelGraph:
    """Builds the channel graph of a functional or Sequential model.

    Raises:
        UnsupportedModelError: for any other model.
    """
    walked = walk(model)
    builder = _Builder(walked)

    def apply(call: Call, args: Any, kwargs: Any) -> Sequence[Labels]:
        inputs = [labels[key] for key in call.inputs]
        outputs = builder.visit(call, inputs)
        labels.update(zip(call.outputs, outputs, strict=True))
        return outputs

    labels = {
        key: Labels.none(len(walked.tensors[key].shape))
        for key in walked.inputs
    }
    replay(walked, [labels[key] for key in walked.inputs], apply)
    return builder.finish(labels)
